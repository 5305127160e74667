"""Signals over HTTP: every rule checked before anything is sent, sent once, answered with what became of it."""

import dataclasses
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders import venues
from orders.models import ForeignOrder, Halt, Instrument, Leg, Order, Position, Trade
from polytrader.models import IdempotentAnswer
from strategy import managing, signals
from strategy.models import PositionJob, Signal
from tests.paper_process import PaperProcess, wait_until
from tests.rows import Api, a_stop, an_instrument, seen
from tests.trailing.test_tick import in_threads
from tests.truth import assert_our_rows_equal_the_exchange
from trailing.maths import Trail
from trailing.tick import tick

PATH = "/strategy/signals"
KEY = "Idempotency-Key"


def leg(token: Instrument, **changes: Any) -> dict[str, Any]:
    """A sale of 10 at 0.50, taking what is there."""
    told = {
        "assetId": token.symbol,
        "side": "sell",
        "size": 10,
        "price": "0.50",
        "orderType": "FAK",
    }
    return told | changes


def signal(*legs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"strategy": "mine", "legs": list(legs), **changes}


def later(**delta: int) -> str:
    return (timezone.now() + timedelta(**delta)).isoformat()


# What is refused, by what we know alone


def a_token(symbol: str | None = None, **changes: Any) -> Instrument:
    """An instrument whose other outcome is known to be held, too: no venue need be asked."""
    made = an_instrument(symbol, **changes)
    if made.complement:
        Position.objects.get_or_create(
            asset=made.complement,
            defaults={
                "venue": made.venue,
                "matched": 10000,
                "settled": 10000,
                "compared_at": timezone.now(),
            },
        )
    return made


@pytest.fixture
def token(db: None) -> Instrument:
    return a_token()


WRONG_NUMBERS: list[Any] = [None, True, [], {}, "abc", "", "NaN", "Infinity", -1, 0, "1" * 40]
BAD_LEGS: list[tuple[str, dict[str, Any]]] = [
    *[("size", {"size": value}) for value in WRONG_NUMBERS],
    *[("price", {"price": value}) for value in WRONG_NUMBERS],
    *[("assetId", {"assetId": value}) for value in (None, 5, "", "nothing", "123", [], "\u0000")],
    *[("side", {"side": value}) for value in (None, "hold", 1, "SELL", [])],
    *[("orderType", {"orderType": value}) for value in (None, "MARKET", "gtc", 1)],
    *[("postOnly", {"postOnly": value}) for value in (None, 1, "yes")],
    ("postOnly", {"postOnly": True, "orderType": "FAK"}),
    ("postOnly", {"postOnly": True, "orderType": "FOK"}),
    ("expiresAt", {"orderType": "GTD"}),
    ("expiresAt", {"orderType": "GTC", "expiresAt": "2100-01-01T00:00:00Z"}),
    *[
        ("expiresAt", {"orderType": "GTD", "expiresAt": value})
        for value in (None, "soon", "2100-01-01", "2100-01-01T00:00:00", 0, 1e30, True, [], "", 17)
    ],
    ("price", {"price": "0.505"}),  # off the tick of 0.01
    ("price", {"price": "0.005"}),
    ("price", {"price": 1}),
    ("price", {"price": "0.999"}),
    ("price", {"price": "1.5"}),
    ("size", {"size": "10.001"}),
    ("size", {"size": 4}),  # below the minimum of 5
    ("trailingStop", {"trailingStop": {}}),
    ("amount", {"amount": 5}),
]


@pytest.mark.parametrize(("field", "change"), BAD_LEGS, ids=lambda v: str(v)[:40])
def test_a_bad_leg_is_400_by_its_place_and_nothing_is_stored(
    api: Api, token: Instrument, field: str, change: dict[str, Any]
):
    other = a_token()
    answer = api.post(PATH, signal(leg(other), leg(token, **change)))
    assert answer.status_code == 400, answer.content
    error = answer.json()["error"]
    assert f"legs[1].{field}" in error["fields"], error
    assert not any(name.startswith("legs[0]") for name in error["fields"])
    assert (Signal.objects.count(), Trade.objects.count(), Order.objects.count()) == (0, 0, 0)


BAD: list[tuple[str, dict[str, Any]]] = [
    *[("legs", {"legs": value}) for value in (None, [], {}, "x", 5, [{}] * 16)],
    ("legs[0]", {"legs": [5]}),
    *[("strategy", {"strategy": value}) for value in (None, 1, "", "x" * 100, "a\u0000")],
    *[("mintAfterSell", {"mintAfterSell": value}) for value in (None, 1, "yes")],
    *[("dryRun", {"dryRun": value}) for value in (None, 1, "yes")],
    *[("maxSlippage", {"maxSlippage": value}) for value in (None, -1, 1, "1.5", "x", True, "NaN")],
    *[("createdAt", {"createdAt": value}) for value in (None, "now", True, [], 1e30, 1705314600)],
    *[("maxAgeSeconds", {"maxAgeSeconds": value}) for value in (None, 0, -5, "x", 10**7)],
    ("trailingStop", {"trailingStop": {"trailingPercent": 2}}),
    ("nonsense", {"nonsense": 1}),
]


@pytest.mark.parametrize(("field", "change"), BAD, ids=lambda v: str(v)[:40])
def test_a_bad_signal_is_400_by_its_field_and_nothing_is_stored(
    api: Api, token: Instrument, field: str, change: dict[str, Any]
):
    answer = api.post(PATH, signal(leg(token)) | change)
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["error"]["fields"], answer.content
    assert (Signal.objects.count(), Trade.objects.count(), Order.objects.count()) == (0, 0, 0)


@pytest.mark.parametrize("raw", ["", "[]", "nonsense", "null", '{"legs": NaN}', "{" * 9000])
def test_a_body_that_is_no_json_object_is_400(api: Api, token: Instrument, raw: str):
    assert api.post(PATH, raw=raw).status_code == 400


def test_all_complaints_come_in_one_answer(api: Api, token: Instrument):
    closed = a_token(accepting_orders=False)
    body = signal(
        leg(token, price="0.505", size="7.123"),
        leg(closed, side="hold"),
        leg(token, orderType="GTD"),
        maxSlippage=2,
        dryRun="no",
    )
    fields = api.post(PATH, body).json()["error"]["fields"]
    assert set(fields) == {
        "maxSlippage",
        "dryRun",
        "legs[0].price",
        "legs[0].size",
        "legs[1].side",
        "legs[1].assetId",
        "legs[2].expiresAt",
        "legs[2].assetId",
    }
    assert "earlier leg" in fields["legs[2].assetId"]
    assert "takes no orders" in fields["legs[1].assetId"]


def test_the_same_token_twice_is_refused_but_both_outcomes_are_fine(api: Api, token: Instrument):
    for side in ("buy", "sell"):
        answer = api.post(PATH, signal(leg(token), leg(token, side=side, price="0.6")))
        assert "legs[1].assetId" in answer.json()["error"]["fields"]
    no = a_token(token.complement, complement=token.symbol)
    both = signal(leg(token), leg(no, price="0.52"), dryRun=True)
    assert api.post(PATH, both).status_code == 201


def test_a_closed_market_says_so(api: Api, token: Instrument):
    Instrument.objects.update(is_closed=True, accepting_orders=False)
    fields = api.post(PATH, signal(leg(token))).json()["error"]["fields"]
    assert fields == {"legs[0].assetId": "the market is closed"}


def test_amounts_that_cannot_be_sent_are_refused_for_fak_and_fok_only(api: Api):
    token = a_token(tick_size=Decimal("0.0001"), min_quantity=Decimal("0.01"))
    odd = {"side": "buy", "size": "0.01", "price": "0.3333"}
    for kind in ("FAK", "FOK"):
        answer = api.post(PATH, signal(leg(token, **odd, orderType=kind), dryRun=True))
        assert answer.status_code == 400
        assert set(answer.json()["error"]["fields"]) == {"legs[0].size"}
    assert (
        api.post(PATH, signal(leg(token, **odd, orderType="GTC"), dryRun=True)).status_code == 201
    )


def test_spot_symbols_take_gtc_fok_and_fak_the_papers_only_fak(api: Api, settings: Any):
    spot = a_token(
        "BTCUSDT",
        venue="binance",
        base_asset="BTC",
        quote_asset="USDT",
        min_quantity=Decimal("0.00001"),
        quantity_step=Decimal("0.00001"),
        condition_id="",
        complement="",
    )
    told = {"size": "0.001", "price": "50000.01"}
    for kind in ("GTC", "FOK", "FAK"):
        asked = signal(leg(spot, **told, orderType=kind), dryRun=True)
        settings.CONFIGURATION = replace(settings.CONFIGURATION, exchange="live")
        assert api.post(PATH, asked).status_code == 201
        settings.CONFIGURATION = replace(settings.CONFIGURATION, exchange="paper")
        assert api.post(PATH, asked).status_code == (201 if kind == "FAK" else 400)
    answer = api.post(PATH, signal(leg(spot, **told, orderType="GTD", expiresAt=later(hours=1))))
    assert set(answer.json()["error"]["fields"]) == {"legs[0].orderType"}
    minted = signal(leg(spot, **told, orderType="FAK"), mintAfterSell=True)
    assert set(api.post(PATH, minted).json()["error"]["fields"]) == {"mintAfterSell"}


def test_only_a_sale_can_be_minted_again(api: Api, token: Instrument):
    bought = signal(leg(token, side="buy"), mintAfterSell=True, dryRun=True)
    assert set(api.post(PATH, bought).json()["error"]["fields"]) == {"mintAfterSell"}
    sold = signal(leg(token), mintAfterSell=True, dryRun=True)
    assert api.post(PATH, sold).status_code == 201


@pytest.mark.parametrize(
    ("created", "age", "is_fine"),
    [
        (-2, 5, True),
        (-6, 5, False),
        (-600, None, True),
        (3, 5, True),
        (20, 60, False),
        (20, None, False),
        (None, 5, True),
    ],
)
def test_a_signal_that_is_too_old_or_from_the_future_is_refused(
    api: Api, token: Instrument, created: int | None, age: int | None, is_fine: bool
):
    moment = timezone.now() + timedelta(seconds=created or 0)
    for told in (moment.isoformat(), int(moment.timestamp() * 1000)):
        change = {} if created is None else {"createdAt": told}
        change |= {} if age is None else {"maxAgeSeconds": age}
        answer = api.post(PATH, signal(leg(token), dryRun=True, **change))
        assert answer.status_code == (201 if is_fine else 400), answer.content
        if not is_fine:
            assert set(answer.json()["error"]["fields"]) == {"createdAt"}


def test_more_than_is_sellable_is_409_with_the_numbers(api: Api, token: Instrument):
    answer = api.post(PATH, signal(leg(a_token()), leg(token, size=10001), dryRun=True))
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert error["code"] == "not_sellable"
    assert "10001" in error["fields"]["legs[1].size"]
    assert "10000" in error["fields"]["legs[1].size"]
    assert (Signal.objects.count(), Trade.objects.count()) == (0, 0)


def test_legs_share_the_collateral_with_fees_and_with_what_others_reserve(api: Api):
    one, other = a_token(collateral="100"), a_token()
    bought = {"side": "buy", "size": 100, "price": "0.60"}
    assert api.post(PATH, signal(leg(one, **bought), dryRun=True)).status_code == 201
    both = signal(leg(one, **bought), leg(other, **bought), dryRun=True)
    answer = api.post(PATH, both)
    assert answer.status_code == 409
    assert "legs[1].size" in answer.json()["error"]["fields"]
    placed = {"order_id": "0x1", "venue": "polymarket", "symbol": one.symbol, "asset": "collateral"}
    ForeignOrder.objects.create(
        **placed, side="buy", quantity=100, price=Decimal("0.5"), reserved=Decimal(50)
    )
    assert api.post(PATH, signal(leg(one, **bought), dryRun=True)).status_code == 409
    ForeignOrder.objects.all().delete()
    Instrument.objects.filter(pk=one.pk).update(fee_rate=Decimal("0.25"), fee_exponent=1)
    dear = {**bought, "size": 160}
    assert api.post(PATH, signal(leg(one, **dear), dryRun=True)).status_code == 409


def test_nothing_is_taken_while_sending_is_halted(api: Api, token: Instrument):
    Halt.objects.create(reason="order 5: another id")
    answer = api.post(PATH, signal(leg(token)))
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "halted"
    assert "order 5" in answer.json()["error"]["message"]
    assert Trade.objects.count() == 0


def test_a_dry_run_checks_everything_and_sends_and_reserves_nothing(api: Api, token: Instrument):
    expires = later(minutes=10)
    body = signal(leg(token, orderType="GTD", expiresAt=expires, postOnly=True), dryRun=True)
    answer = api.post(PATH, body, **{KEY: "dry"})
    assert answer.status_code == 201
    told = answer.json()
    assert (told["dryRun"], told["trade"]) == (True, None)
    [shown] = told["legs"]
    assert (shown["side"], shown["size"], shown["price"]) == ("sell", "10", "0.5")
    assert (shown["orderType"], shown["postOnly"], shown["orderId"]) == ("GTD", True, None)
    assert (Trade.objects.count(), Leg.objects.count(), Order.objects.count()) == (0, 0, 0)
    assert api.get(f"{PATH}/{told['id']}").json() == told
    assert api.post(PATH, body, **{KEY: "dry"}).json() == told


def test_scopes_are_kept(token: Instrument, client: Any):
    assert client.post(PATH, "{}", content_type="application/json").status_code == 401
    assert Api("read").post(PATH, signal(leg(token))).status_code == 403
    assert Api("trade").post(PATH, signal(leg(token), dryRun=True)).status_code == 201
    assert Api("read").get(PATH).json()["count"] == 1


# On the paper exchange


@pytest.fixture
def pair(
    paper: PaperProcess, paper_token: Instrument, monkeypatch: pytest.MonkeyPatch
) -> tuple[Instrument, Instrument]:
    """Both outcomes of a market, the first at 0.50 / 0.52; a busy machine is waited for."""
    from orders import instruments

    monkeypatch.setattr(signals, "WAIT_FOR_ANSWERS", 20.0)
    return paper_token, instruments.known(paper_token.complement)


def settled(trade_id: int) -> Trade:
    def done() -> bool:
        managing.work()
        return not Leg.objects.filter(trade=trade_id, status="working").exists()

    wait_until(done, seconds=20)
    return Trade.objects.get(pk=trade_id)


def test_legs_go_out_in_one_request_and_the_answer_shows_what_became_of_them(
    paper: PaperProcess, pair: tuple[Instrument, Instrument]
):
    api, (yes, no) = Api("trade"), pair
    body = signal(
        leg(yes, orderType="FOK"),
        leg(no, orderType="GTC", price="0.90"),
        maxSlippage="0.01",
    )
    answer = api.post(PATH, body)
    assert answer.status_code == 201, answer.content
    told = answer.json()
    first, second = told["legs"]
    assert told["trade"]["legs"] == told["legs"]
    assert told["trade"]["maxSlippage"] == "0.01"
    assert (second["status"], second["phase"]) == ("open", "working")
    assert first["status"] in ("sent", "filled")
    assert first["orderId"].startswith("0x")
    assert {row["posts"] for row in paper.ledger()["orders"]} == {1}
    trade = api.get(f"/strategy/trades/{told['trade']['id']}").json()
    assert trade["purpose"] == "signal"

    def filled() -> dict[str, Any] | None:
        managing.work()
        [shown, _] = api.get(f"{PATH}/{told['id']}").json()["legs"]
        return shown if shown["phase"] == "done" else None

    shown = wait_until(filled, seconds=15)
    assert shown["status"] == "filled"
    assert (shown["filledQuantity"], shown["settledQuantity"]) == ("10", "10")
    assert shown["averagePrice"] == "0.5"
    assert shown["order"]["fills"][0]["status"] == "confirmed"
    assert api.get(f"{PATH}/{told['id']}").json()["trade"]["status"] == "working"


def test_every_order_type_is_taken(paper: PaperProcess, pair: tuple[Instrument, Instrument]):
    api, (yes, _) = Api("trade"), pair
    rests = {"side": "buy", "price": "0.40"}
    kinds = [
        ("GTC", {}, "open"),
        ("GTD", {"expiresAt": later(minutes=3)}, "open"),
        ("GTC", {"postOnly": True}, "open"),
    ]
    for kind, more, state in kinds:
        told = api.post(PATH, signal(leg(yes, **rests, orderType=kind, **more))).json()
        assert told["legs"][0]["status"] == state, told


def test_an_unknown_token_is_400_by_its_place(
    paper: PaperProcess, pair: tuple[Instrument, Instrument]
):
    answer = Api("trade").post(PATH, signal(leg(pair[0]), leg(pair[0], assetId="9" * 77)))
    assert answer.status_code == 400
    assert set(answer.json()["error"]["fields"]) == {"legs[1].assetId"}


def test_a_venue_that_is_away_when_it_is_needed_is_503_with_nothing_done(
    paper: PaperProcess, pair: tuple[Instrument, Instrument], settings: Any
):
    new = paper.markets()[1]["tokenIds"][0]
    settings.CONFIGURATION = dataclasses.replace(settings.CONFIGURATION, paper_port=1)
    venues.forget()
    answer = Api("trade").post(PATH, signal(leg(pair[0]), leg(pair[0], assetId=new)))
    assert answer.status_code == 503
    assert (Signal.objects.count(), Trade.objects.count()) == (0, 0)


def test_a_slow_venue_is_not_waited_for_longer_than_the_limit(
    paper: PaperProcess, pair: tuple[Instrument, Instrument], monkeypatch: pytest.MonkeyPatch
):
    api = Api("trade")
    assert api.post(PATH, signal(leg(pair[0]))).status_code == 201  # loads the client
    paper.fault("POST /order", "slow:2000")
    monkeypatch.setattr(signals, "WAIT_FOR_ANSWERS", 0.3)
    told = api.post(PATH, signal(leg(pair[0], orderType="GTC", price="0.90"))).json()
    assert told["legs"][0]["status"] == "sent"
    shown = f"{PATH}/{told['id']}"
    wait_until(lambda: api.get(shown).json()["legs"][0]["status"] == "open", seconds=20)
    assert [row["posts"] for row in paper.ledger()["orders"]] == [1, 1]


def test_a_venue_that_does_not_answer_is_201_with_the_leg_sent(
    paper: PaperProcess, pair: tuple[Instrument, Instrument]
):
    api = Api("trade")
    paper.fault("POST /order", "timeout_after_accept")
    answer = api.post(PATH, signal(leg(pair[0])), **{KEY: "slow"})
    assert answer.status_code == 201
    assert answer.json()["legs"][0]["status"] == "sent"
    again = api.post(PATH, signal(leg(pair[0])), **{KEY: "slow"})
    assert again.content == answer.content
    settled(answer.json()["trade"]["id"])
    assert len(paper.ledger()["orders"]) == 1
    assert_our_rows_equal_the_exchange(paper)


def test_a_refused_leg_is_shown_with_its_reason_and_the_other_one_stands(
    paper: PaperProcess, pair: tuple[Instrument, Instrument]
):
    api = Api("trade")
    crossing = leg(pair[0], price="0.49", orderType="GTC", postOnly=True)
    told = api.post(PATH, signal(crossing, leg(pair[1], price="0.90", orderType="GTC"))).json()
    first, second = told["legs"]
    assert (first["status"], second["status"]) == ("rejected", "open")
    assert first["order"]["refusal"] == "post_only"
    assert first["reason"]


def test_the_same_key_trades_once_and_another_body_is_422(
    paper: PaperProcess, pair: tuple[Instrument, Instrument]
):
    api = Api("trade")
    body = signal(leg(pair[0]))
    first = api.post(PATH, body, **{KEY: "one"})
    assert first.status_code == 201
    assert api.post(PATH, body, **{KEY: "one"}).content == first.content
    assert api.post(PATH, signal(leg(pair[0], size=11)), **{KEY: "one"}).status_code == 422
    assert (Signal.objects.count(), len(paper.ledger()["orders"])) == (1, 1)


def test_concurrent_duplicates_wait_for_the_first_and_its_sending(
    paper: PaperProcess, pair: tuple[Instrument, Instrument]
):
    api = Api("trade")
    paper.fault("POST /order", "slow:600")
    body = signal(leg(pair[0], orderType="GTC", price="0.90"))
    answers = in_threads(6, lambda _: api.post(PATH, body, **{KEY: "race"}))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["legs"][0]["status"] == "open"
    assert (Signal.objects.count(), len(paper.ledger()["orders"])) == (1, 1)


def test_a_crash_between_commit_and_answer_is_answered_by_the_rows_and_trades_once(
    paper: PaperProcess, pair: tuple[Instrument, Instrument], monkeypatch: pytest.MonkeyPatch
):
    """The process dies after the commit: nothing is kept but what `act` said."""
    from strategy import api as doors

    class Dead(BaseException):
        pass

    def die(told: Any) -> None:
        raise Dead

    api, body = Api("trade"), signal(leg(pair[0], orderType="GTC", price="0.90"))
    with monkeypatch.context() as patched:
        patched.setattr(doors, "_send_and_show", die)
        with pytest.raises(Dead):
            api.post(PATH, body, **{KEY: "crash"})
    assert Order.objects.get().status == "planned"
    assert IdempotentAnswer.objects.get().status_code is None
    answers = in_threads(4, lambda _: api.post(PATH, body, **{KEY: "crash"}))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["legs"][0]["status"] == "open"
    assert (Signal.objects.count(), len(paper.ledger()["orders"])) == (1, 1)


def test_a_replay_after_a_crash_is_answered_though_the_signal_has_grown_old(
    paper: PaperProcess, pair: tuple[Instrument, Instrument], monkeypatch: pytest.MonkeyPatch
):
    api = Api("trade")
    body = signal(leg(pair[0]), createdAt=timezone.now().isoformat(), maxAgeSeconds="1.5")
    with monkeypatch.context() as patched:
        patched.setattr(signals, "send", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            api.post(PATH, body, **{KEY: "old"})
    Trade.objects.update(valid_until=timezone.now() - timedelta(seconds=1))
    told = api.post(PATH, body, **{KEY: "old"}).json()
    assert told["legs"][0]["status"] == "cancelled"
    assert "expired" in told["legs"][0]["reason"]
    assert paper.ledger()["orders"] == []


def test_keys_of_two_tokens_are_two_keys(db: None, token: Instrument):
    body = signal(leg(token), dryRun=True)
    Api("trade").post(PATH, body, **{KEY: "same"})
    Api("admin").post(PATH, body, **{KEY: "same"})
    assert Signal.objects.count() == 2


# What is shown


def test_lists_are_filtered_and_take_few_queries(api: Api, token: Instrument):
    def fill(count: int) -> None:
        for _ in range(count):
            trade = Trade.objects.create(purpose="signal", strategy="mine")
            Signal.objects.create(strategy="mine", body={"legs": []}, trade=trade)
            for _ in range(3):
                made = Leg.objects.create(
                    trade=trade, instrument=token, side="sell", quantity=5, price=Decimal("0.5")
                )
                for _ in range(2):
                    Order.objects.create(
                        leg=made,
                        instrument=token,
                        side="sell",
                        quantity=5,
                        price=Decimal("0.5"),
                        status="cancelled",
                    )

    counts = []
    for _ in range(2):
        fill(4)
        for path in (PATH, "/strategy/trades", "/strategy/trades?status=working", "/api/orders"):
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert api.get(path).status_code == 200
            counts.append(len(queries))
    assert counts[:4] == counts[4:]
    assert max(counts) <= 8


def test_trades_are_found_by_state_purpose_and_strategy(api: Api, token: Instrument):
    a_stop(token, Trail(amount=Decimal("0.01")), "0.50")
    tick([seen(token, "0.40")])
    for strategy, states in (
        ("a", ["done", "failed"]),
        ("b", ["done"]),
        ("c", ["cancelled", "done"]),
    ):
        trade = Trade.objects.create(purpose="signal", strategy=strategy)
        for state in states:
            Leg.objects.create(trade=trade, instrument=token, side="sell", quantity=5, status=state)

    def found(**params: str) -> list[str]:
        rows = api.get("/strategy/trades", **params).json()["results"]
        return [f"{row['strategy'] or row['purpose']} {row['status']}" for row in rows]

    assert found() == ["c cancelled", "b done", "a failed", "exit working"]
    assert found(status="working") == ["exit working"]
    assert found(status="failed") == ["a failed"]
    assert found(status="done") == ["b done"]
    assert found(status="cancelled") == ["c cancelled"]
    assert found(purpose="exit") == ["exit working"]
    assert found(strategy="b") == ["b done"]
    for wrong in ({"status": "open"}, {"purpose": "x"}, {"strategy": "\u0000"}):
        assert api.get("/strategy/trades", **wrong).status_code == 400


@pytest.mark.parametrize("name", ["0", "-1", "1", "x", "9" * 30, "1e3", "%00"])
def test_a_number_that_nobody_has_is_404(api: Api, name: str):
    for path in (PATH, "/strategy/trades", "/api/orders", "/api/positions"):
        assert api.get(f"{path}/{name}").status_code == 404, path


def test_a_trade_is_shown_with_its_decisions_and_jobs(
    paper: PaperProcess, pair: tuple[Instrument, Instrument]
):
    api = Api("trade")
    told = api.post(PATH, signal(leg(pair[0], orderType="GTC", price="0.90"))).json()
    trade_id = told["trade"]["id"]
    managing.work()
    assert api.post("/strategy/manage-position", {"tradeId": trade_id}).status_code == 202
    PositionJob.objects.update(next_run_at=timezone.now())
    managing.work()
    trade = api.get(f"/strategy/trades/{trade_id}").json()
    assert trade["jobs"]
    assert trade["decisions"][0]["kind"] == "wait"
    assert trade["decisions"][0]["inputs"]["leg"]["price"] == "0.9"
    known = api.get("/api/schema", format="json").json()["components"]["schemas"]
    for name, body in (
        ("WholeTrade", trade),
        ("Decision", trade["decisions"][0]),
        ("PositionJob", trade["jobs"][0]),
        ("Signal", told),
        ("Leg", told["legs"][0]),
        ("LegOrder", told["legs"][0]["order"]),
        ("BookOrder", api.get("/api/orders").json()["results"][0]),
    ):
        assert set(known[name]["properties"]) == set(body), name
    json.dumps(trade)
