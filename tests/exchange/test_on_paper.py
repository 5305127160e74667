"""Both adapters and the minter trading for real on the paper exchange."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from exchange.binance.trading import BinanceExchange
from exchange.errors import OutcomeUnknown, Rejected, Unavailable
from exchange.polymarket.minting import minter_of
from exchange.polymarket.positions import position_id
from exchange.polymarket.settings import Account, Endpoints, Timeouts
from exchange.polymarket.trading import PolymarketExchange
from exchange.polymarket.user_stream import UserStream
from exchange.port import Minter
from exchange.quantising import limit_price
from exchange.types import (
    Conversion,
    InstrumentInfo,
    OrderRequest,
    SignedOrder,
    TradeReport,
    UserEvent,
)
from tests.exchange.conftest import KEY, OWNER
from tests.paper_process import PaperProcess, running_paper, wait_until

FAST = {"PAPER_SETTLE_SECONDS": "0.2", "PAPER_TIMEOUT_SECONDS": "1", "PAPER_GENERATOR": "0"}
TIMES = Timeouts(read=0.6)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[PaperProcess]:
    with running_paper(tmp_path_factory.mktemp("paper"), OWNER, **FAST) as paper:
        yield paper


@pytest.fixture
def paper(running: PaperProcess) -> PaperProcess:
    running.call("POST", "/paper/reset", {})
    return running


@pytest.fixture
def exchange(paper: PaperProcess) -> PolymarketExchange:
    return PolymarketExchange(Endpoints.paper(paper.url), Account(KEY), TIMES)


@pytest.fixture
def minter(paper: PaperProcess) -> Minter:
    return minter_of(Endpoints.paper(paper.url), Account(KEY, relayer_key="any"), TIMES)


def order(info: InstrumentInfo, side="sell", quantity="20", price="0.45") -> OrderRequest:
    return OrderRequest(
        info.symbol, side, Decimal(quantity), Decimal(price), info.tick_size, info.neg_risk
    )


def settled(
    exchange: PolymarketExchange, order_id: str, trade_ids: Sequence[str]
) -> list[TradeReport]:
    found: list[TradeReport] = wait_until(
        lambda: [
            report
            for report in exchange.trades(order_id, trade_ids)
            if report.status in ("confirmed", "failed")
        ]
    )
    return found


@pytest.mark.parametrize("number", range(6))
def test_an_exit_is_sold_and_settles_on_every_market(paper, exchange, number):
    market = paper.markets()[number]
    info = exchange.instrument(market["tokenIds"][0])
    assert info.question == market["question"]
    assert info.neg_risk == market["negRisk"]
    assert info.complement == market["tokenIds"][1]
    assert info.tick_size == Decimal(str(market["tickSize"]))
    for index, token in enumerate(market["tokenIds"]):
        assert position_id(info.condition_id, index, info.neg_risk) == token
    paper.put_book(info.symbol, bids=[("0.48", "100")], asks=[("0.52", "100")])
    quote = exchange.quotes([info.symbol])[info.symbol]
    assert (quote.bid, quote.ask) == (Decimal("0.48"), Decimal("0.52"))
    before = exchange.balance(info.symbol)

    limit = limit_price("sell", quote.bid, info.tick_size)
    signed = exchange.sign(order(info, price=str(limit)))
    acknowledgement = exchange.post(signed)

    assert (acknowledgement.order_id, acknowledgement.status) == (signed.order_id, "matched")
    report = exchange.find_order(signed.order_id)
    assert report is not None
    assert report.matched_quantity == 20
    (trade,) = settled(exchange, signed.order_id, acknowledgement.trade_ids)
    assert (trade.side, trade.quantity, trade.price) == ("sell", Decimal(20), Decimal("0.48"))
    assert trade.status == "confirmed"
    assert exchange.trades(signed.order_id, []) == [trade]
    wait_until(lambda: exchange.balance(info.symbol) == before - 20)


def test_a_repeated_post_is_answered_duplicated(paper, exchange):
    info = exchange.instrument(paper.markets()[0]["tokenIds"][0])
    paper.put_book(info.symbol, bids=[("0.48", "100")])
    signed = exchange.sign(order(info))
    exchange.post(signed)
    with pytest.raises(Rejected) as refused:
        exchange.post(signed)
    assert refused.value.code == "duplicated"
    assert [row["size"] for row in paper.ledger()["trades"]] == ["20"]


def test_a_time_out_after_acceptance_is_found_by_its_id(paper, exchange):
    info = exchange.instrument(paper.markets()[0]["tokenIds"][0])
    paper.put_book(info.symbol, bids=[("0.48", "100")])
    exchange.balance("collateral")  # logs in
    signed = exchange.sign(order(info))
    paper.fault("POST /order", "timeout_after_accept")
    with pytest.raises(OutcomeUnknown):
        exchange.post(signed)
    report = wait_until(lambda: exchange.find_order(signed.order_id))
    assert report.matched_quantity == 20


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("http_425", Unavailable),
        ("http_429", Unavailable),
        ("http_500", OutcomeUnknown),
        ("reject:not_enough_balance", Rejected),
    ],
)
def test_a_fault_before_acceptance_leaves_nothing_behind(paper, exchange, kind, error):
    info = exchange.instrument(paper.markets()[0]["tokenIds"][0])
    paper.put_book(info.symbol, bids=[("0.48", "100")])
    exchange.balance("collateral")
    signed = exchange.sign(order(info))
    paper.fault("POST /order", kind)
    with pytest.raises(error):
        exchange.post(signed)
    assert exchange.find_order(signed.order_id) is None
    assert exchange.post(signed).status == "matched"


def test_an_empty_book_is_unmatched(paper, exchange):
    info = exchange.instrument(paper.markets()[0]["tokenIds"][0])
    paper.put_book(info.symbol)
    assert exchange.quotes([info.symbol]) == {}
    with pytest.raises(Rejected) as refused:
        exchange.post(exchange.sign(order(info)))
    assert refused.value.code == "unmatched"


def test_a_failed_settlement_is_told_and_a_buy_pays_its_fee(paper, exchange):
    info = exchange.instrument(paper.markets()[0]["tokenIds"][0])
    paper.put_book(info.symbol, asks=[("0.5", "100")])
    signed = exchange.sign(order(info, side="buy", price="0.5"))
    acknowledgement = exchange.post(signed)
    (trade,) = settled(exchange, signed.order_id, acknowledgement.trade_ids)
    assert (trade.side, trade.quantity) == ("buy", Decimal(20))
    assert trade.fee == 20 * info.fee_rate * Decimal("0.25") ** info.fee_exponent

    paper.fault("POST /order", "settlement_fails")
    failing = exchange.sign(order(info, side="buy", price="0.5"))
    acknowledgement = exchange.post(failing)
    (trade,) = settled(exchange, failing.order_id, acknowledgement.trade_ids)
    assert trade.status == "failed"


def split_of(market, quantity: str) -> Conversion:
    tokens = tuple(market["tokenIds"])
    neg_risk = market["negRisk"]
    return Conversion("split", market["conditionId"], neg_risk, tokens, Decimal(quantity))


@pytest.mark.parametrize("neg_risk", [False, True])
def test_a_split_brings_both_tokens_once(paper, exchange, minter, neg_risk):
    market = next(one for one in paper.markets() if one["negRisk"] is neg_risk)
    assets = ["collateral", *market["tokenIds"]]
    minter.check()
    before, nonce = minter.held(assets), minter.next_nonce()
    split = split_of(market, "5.25")
    signed = minter.sign(split, nonce, minter.missing_approval(split))
    assert minter.find([signed], "") is None
    transaction_id = minter.submit(signed)
    with pytest.raises((Unavailable, Rejected)):
        minter.submit(signed)
    found = minter.find([signed], "")
    assert found is not None
    assert found.transaction_id == transaction_id
    wait_until(lambda: minter.find([signed], transaction_id).status == "confirmed")
    moved = minter.find([signed], "").moved
    assert {token: moved[token] for token in assets[1:]} == dict.fromkeys(
        assets[1:], Decimal("5.25")
    )
    after = minter.held(assets)
    assert [after[asset] - before[asset] for asset in assets] == [
        Decimal("-5.25"), Decimal("5.25"), Decimal("5.25"),
    ]  # fmt: skip
    exchange.refresh_balance(assets[1])
    assert exchange.balance(assets[1]) == after[assets[1]]
    with pytest.raises(Rejected) as refused:
        minter.submit(signed)
    assert refused.value.code == "nonce"
    assert minter.next_nonce() == nonce + 1
    assert [split["amount"] for split in paper.ledger()["splits"]] == ["5.25"]
    assert minter.now() <= signed.deadline


def test_a_lost_answer_to_a_split_is_found(paper, minter):
    market = next(one for one in paper.markets() if not one["negRisk"])
    signed = minter.sign(split_of(market, "5"), minter.next_nonce())
    paper.fault("split", "timeout_after_accept")
    with pytest.raises(OutcomeUnknown):
        minter.submit(signed)
    found = wait_until(lambda: minter.find([signed], ""))
    assert found.transaction_id
    wait_until(lambda: minter.find([signed], "").status == "confirmed")


def test_spot_is_quoted_and_sold(paper):
    spot = BinanceExchange(paper.url, "paper-key", "paper-secret")
    paper.call("PUT", "/paper/prices/BTCUSDT", {"price": "50000"})
    info = spot.instrument("BTCUSDT")
    quote = spot.quotes(["BTCUSDT"])["BTCUSDT"]
    assert quote.bid is not None
    before = spot.balance("BTC")
    request = OrderRequest("BTCUSDT", "sell", Decimal("0.01"), Decimal(49000), info.tick_size)
    signed = spot.sign(request)
    assert spot.find_order(signed.order_id) is None
    assert spot.post(signed).status == "matched"
    report = spot.find_order(signed.order_id)
    assert report is not None
    assert (report.status, report.matched_quantity) == ("matched", Decimal("0.01"))
    (trade,) = spot.trades(signed.order_id, [])
    assert trade.quantity == Decimal("0.01")
    assert spot.balance("BTC") == before - Decimal("0.01")
    with pytest.raises(Rejected) as refused:
        spot.post(signed)
    assert refused.value.code == "duplicated"


def rest(exchange: PolymarketExchange, info: InstrumentInfo, **changes: object) -> SignedOrder:
    signed = exchange.sign(replace(order(info, price="0.60"), **{"order_type": "GTC"} | changes))
    assert exchange.post(signed).status == "open"
    return signed


def test_every_resting_type_is_placed_listed_and_cancelled(paper, exchange):
    info = exchange.instrument(paper.markets()[0]["tokenIds"][0])
    paper.put_book(info.symbol, bids=[("0.48", "100")], asks=[("0.70", "100")])
    hour = datetime.now(UTC) + timedelta(hours=1)
    placed = [
        rest(exchange, info),
        rest(exchange, info, order_type="GTD", expires_at=hour),
        rest(exchange, info, price=Decimal("0.61"), post_only=True),
        rest(exchange, info, side="buy", price=Decimal("0.30"), post_only=True),
    ]
    listed = {resting.order_id: resting for resting in exchange.open_orders()}
    assert set(listed) == {signed.order_id for signed in placed}
    assert listed[placed[3].order_id].side == "buy"
    assert listed[placed[2].order_id].price == Decimal("0.61")
    assert all(resting.quantity == 20 for resting in listed.values())
    report = exchange.find_order(placed[1].order_id)
    assert report is not None
    assert (report.status, report.venue_status) == ("open", "LIVE")

    ids = [signed.order_id for signed in placed]
    assert exchange.cancel(ids[0])
    gone = exchange.cancel_many([*ids, "0x" + "ab" * 32])
    assert [gone[one] for one in ids] == [False, True, True, True]
    assert gone.get("0x" + "ab" * 32) is not True
    assert exchange.open_orders() == []


def test_a_post_only_order_that_would_take_is_refused(paper, exchange):
    info = exchange.instrument(paper.markets()[0]["tokenIds"][0])
    paper.put_book(info.symbol, bids=[("0.48", "100")])
    crossing = replace(order(info), order_type="GTC", post_only=True)
    with pytest.raises(Rejected) as refused:
        exchange.post(exchange.sign(crossing))
    assert refused.value.code == "post_only"


def test_a_fok_order_is_filled_whole_or_not_at_all(paper, exchange):
    info = exchange.instrument(paper.markets()[0]["tokenIds"][0])
    paper.put_book(info.symbol, bids=[("0.48", "15")])
    with pytest.raises(Rejected) as refused:
        exchange.post(exchange.sign(replace(order(info), order_type="FOK")))
    assert refused.value.code == "unmatched"
    paper.put_book(info.symbol, bids=[("0.48", "20")])
    assert exchange.post(exchange.sign(replace(order(info), order_type="FOK"))).status == "matched"


def test_a_batch_is_taken_and_refused_order_by_order(paper, exchange):
    info = exchange.instrument(paper.markets()[0]["tokenIds"][0])
    paper.put_book(info.symbol, bids=[("0.48", "100")])
    requests = [
        replace(order(info, price="0.60"), order_type="GTC"),
        replace(order(info), order_type="GTC", post_only=True),
        order(info, price="0.48"),
        order(info, price="0.55"),
    ]
    signed = [exchange.sign(one) for one in requests]
    results = exchange.post_many(signed)
    assert [getattr(one, "status", None) or one.code for one in results] == [
        "open",
        "post_only",
        "matched",
        "unmatched",
    ]
    assert exchange.post_many(signed[:1])[0].code == "duplicated"


def test_trades_of_both_sides_and_by_hand_are_the_wallets(paper, exchange):
    info = exchange.instrument(paper.markets()[5]["tokenIds"][0])
    paper.put_book(info.symbol)
    before = exchange.server_time()
    made = rest(exchange, info)
    paper.put_book(info.symbol, bids=[("0.60", "8")])  # takes from our order
    by_hand = {"assetId": info.symbol, "side": "BUY", "size": "7.5", "price": "0.40"}
    done = paper.call("POST", "/paper/hand-trade", by_hand)
    found = {report.order_id: report for report in exchange.wallet_trades(before)}
    bought = found[done["orderId"]]
    assert (bought.side, bought.quantity, bought.price) == ("buy", Decimal("7.5"), Decimal("0.40"))
    assert bought.trade_id == done["tradeIds"][0]
    assert bought.fee > 0
    assert exchange.trades(done["orderId"], []) == [
        one for one in exchange.wallet_trades(before) if one.order_id == done["orderId"]
    ]
    sold = found[made.order_id]
    assert (sold.side, sold.quantity) == ("sell", Decimal(8))
    assert (sold.price, sold.fee) == (Decimal("0.60"), Decimal(0))


def test_the_user_channel_tells_of_our_order_and_its_trade(paper, exchange):
    info = exchange.instrument(paper.markets()[0]["tokenIds"][0])
    paper.put_book(info.symbol, bids=[("0.48", "100")])
    stop = threading.Event()
    events = UserStream(Endpoints.paper(paper.url), Account(KEY), TIMES).events(stop)
    assert next(events) is None
    assert next(events) is None  # the first PONG: the subscription has been read
    resting = rest(exchange, info)
    assert next(one for one in events if one) == UserEvent((resting.order_id,), "", "PLACEMENT")
    exit_ = exchange.sign(order(info))
    exchange.post(exit_)
    statuses = []
    for event in events:
        if event is not None and event.trade_id and exit_.order_id in event.order_ids:
            statuses.append(event.status)
            if event.status == "CONFIRMED":
                break
    assert statuses[0] == "MATCHED"
    stop.set()
    assert next(events, None) is None
