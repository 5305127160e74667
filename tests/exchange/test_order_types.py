"""GTC, GTD, FAK and FOK as the venue wants them, held against the official client."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from polymarket._internal.actions.orders.limit import (
    _MIN_EXPIRATION_BUFFER_S,
    _compute_limit_order_amounts,
)
from polymarket._internal.actions.orders.market import _compute_market_order_amounts
from polymarket._internal.actions.orders.post import build_post_order_request
from polymarket.clients.secure import SecureClient
from polymarket.environments import PRODUCTION, _create_environment
from polymarket.models.clob import ApiKeyCreds

from exchange.errors import Rejected
from exchange.polymarket import terms
from exchange.quantising import (
    OUTCOME_TICK_SIZES,
    base_units,
    resting_amounts,
    taking_amounts,
)
from exchange.types import OrderRequest, OrderType, Side
from tests.exchange.conftest import CREDENTIALS, KEY, OWNER, SELL, YES
from tests.exchange.stub import Stub

TICKS = st.sampled_from(sorted(OUTCOME_TICK_SIZES))
SIDES: st.SearchStrategy[Side] = st.sampled_from(["buy", "sell"])
SOON = timedelta(seconds=119)


def resting(**changes: object) -> OrderRequest:
    return replace(SELL, order_type="GTC", **changes)


def until(moment: datetime, **changes: object) -> OrderRequest:
    return replace(SELL, order_type="GTD", expires_at=moment, **changes)


@st.composite
def prices(draw: st.DrawFn) -> tuple[Decimal, Decimal]:
    tick = draw(TICKS)
    return draw(st.integers(1, int(1 / tick) - 1)) * tick, tick


@given(SIDES, prices(), st.decimals("0.01", "1000000", places=2))
def test_amounts_of_resting_orders_are_the_clients(
    side: Side, priced: tuple[Decimal, Decimal], quantity: Decimal
) -> None:
    price, tick = priced
    theirs = _compute_limit_order_amounts(
        price=price, size=quantity, side=side.upper(), tick_size=tick
    )
    ours = resting_amounts(side, quantity, price, tick)
    assert tuple(base_units(amount) for amount in ours) == theirs


@given(SIDES, prices(), st.decimals("5", "100000", places=2))
def test_amounts_of_taking_orders_are_the_clients_cut_to_four_decimals(
    side: Side, priced: tuple[Decimal, Decimal], quantity: Decimal
) -> None:
    price, tick = priced
    assume(side == "sell" or quantity * price >= Decimal("0.01"))
    maker, taker = taking_amounts(side, quantity, price, tick)
    their_maker, their_taker = _compute_market_order_amounts(
        amount=quantity if side == "sell" else quantity * price,
        price=price,
        side=side.upper(),
        tick_size=tick,
    )
    assert base_units(maker) == their_maker
    # At a tick of 0.1 the client cuts a bought quantity to 3 decimals already, and where a
    # division ends in many nines it rounds up before it cuts: both below the finest step.
    step = 1000 if tick == Decimal("0.1") else 100
    assert abs(base_units(taker) - their_taker) < step


@pytest.mark.parametrize("order_type", ["GTC", "FAK", "FOK"])
def test_the_type_travels_in_the_payload(exchange, order_type: OrderType):
    body = json.loads(exchange.sign(replace(SELL, order_type=order_type)).payload)
    assert body["orderType"] == order_type
    assert body["order"]["expiration"] == "0"
    assert "postOnly" not in body


def test_a_resting_order_keeps_the_decimals_a_taking_one_must_drop(exchange):
    fine = {"price": Decimal("0.985"), "tick_size": Decimal("0.001"), "quantity": Decimal("10.13")}
    order = json.loads(exchange.sign(resting(**fine)).payload)["order"]
    assert (order["makerAmount"], order["takerAmount"]) == ("10130000", "9978050")
    order = json.loads(exchange.sign(replace(SELL, order_type="FOK", **fine)).payload)["order"]
    assert (order["makerAmount"], order["takerAmount"]) == ("10130000", "9978000")


def test_a_gtd_order_states_a_minute_more_than_it_shall_rest(exchange):
    moment = datetime(2040, 1, 1, 12, 0, 0, 250_000, UTC)
    body = json.loads(exchange.sign(until(moment)).payload)
    stated = int(body["order"]["expiration"])
    assert body["orderType"] == "GTD"
    assert stated == int(datetime(2040, 1, 1, 12, 1, 1, tzinfo=UTC).timestamp())


def test_the_stated_expiration_is_no_part_of_the_id(exchange, monkeypatch):
    monkeypatch.setattr("exchange.polymarket.signing.secrets.randbits", lambda bits: 1)
    now = time.time_ns()
    monkeypatch.setattr("exchange.polymarket.signing.time.time_ns", lambda: now)
    gtd = exchange.sign(until(datetime.now(UTC) + timedelta(hours=1)))
    assert gtd.order_id == exchange.sign(resting()).order_id


@pytest.mark.parametrize("ahead", [180, 181, 3600])
def test_an_expiration_far_enough_is_stated(ahead: int):
    request = until(datetime.fromtimestamp(1000 + ahead - terms.DIES_BEFORE, UTC))
    assert terms.expiration(request, 1000) == 1000 + ahead


def test_the_least_time_ahead_is_the_clients():
    assert terms.LEAST_AHEAD == _MIN_EXPIRATION_BUFFER_S
    too_near = until(datetime.fromtimestamp(1000 + 119, UTC))
    with pytest.raises(Rejected, match="at least 120 s, this one would for 119 s") as refused:
        terms.expiration(too_near, 1000)
    assert refused.value.code == "expiration"


@pytest.mark.parametrize(
    "request_",
    [
        until(datetime.now(UTC) + SOON),
        until(datetime.now(UTC) - timedelta(days=1)),
        replace(SELL, order_type="GTD"),
        resting(expires_at=datetime(2040, 1, 1, tzinfo=UTC)),
        replace(SELL, expires_at=datetime(2040, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_expiration_too_near_missing_or_out_of_place_is_refused(exchange, request_):
    with pytest.raises(Rejected) as refused:
        exchange.sign(request_)
    assert refused.value.code == "expiration"


@pytest.mark.parametrize("order_type", ["FAK", "FOK"])
def test_post_only_does_not_go_with_orders_that_take(exchange, order_type: OrderType):
    with pytest.raises(Rejected) as refused:
        exchange.sign(replace(SELL, order_type=order_type, post_only=True))
    assert refused.value.code == "post_only"


@pytest.mark.parametrize(
    ("side", "post_only", "expires"),
    [("BUY", True, True), ("SELL", False, True), ("SELL", True, False), ("BUY", False, False)],
)
def test_a_limit_orders_body_is_byte_for_byte_the_clients(
    venue: Stub, exchange, monkeypatch, side, post_only, expires
):
    """The recorded shapes of GTC, GTD and post-only, made by the client itself."""
    config = replace(PRODUCTION._config, clob_url=venue.url, gamma_url=venue.url)
    venue.on("GET", "/auth/api-keys", {"apiKeys": [CREDENTIALS.key]})
    client = SecureClient._create(
        private_key=KEY,
        wallet=OWNER,
        environment=_create_environment(name="stub", config=config),
        credentials=ApiKeyCreds(key=CREDENTIALS.key, secret=CREDENTIALS.secret, passphrase="pp"),
    )
    expiration = int(time.time()) + 600 if expires else None
    theirs = client.create_limit_order(
        token_id=YES,
        side=side,
        price="0.45",
        size="10.13",
        post_only=post_only,
        expiration=expiration,
    )
    client.close()
    path, body = build_post_order_request(theirs, owner_api_key=CREDENTIALS.key)
    monkeypatch.setattr("exchange.polymarket.signing.secrets.randbits", lambda bits: theirs.salt)
    monkeypatch.setattr(
        "exchange.polymarket.signing.time.time_ns", lambda: theirs.timestamp * 1_000_000
    )

    signed = exchange.sign(
        OrderRequest(
            symbol=YES,
            side=side.lower(),
            quantity=Decimal("10.13"),
            price=Decimal("0.45"),
            tick_size=Decimal("0.01"),
            order_type="GTD" if expires else "GTC",
            expires_at=datetime.fromtimestamp(expiration - 60, UTC) if expiration else None,
            post_only=post_only,
        )
    )
    answer = {"success": True, "errorMsg": "", "orderID": signed.order_id, "status": "live"}
    venue.on("POST", path, answer)
    assert exchange.post(signed).status == "open"
    assert venue.of("POST", "/order")[0].body == json.dumps(body, separators=(",", ":")).encode()


def test_floors_of_the_clients_table_never_bite_a_price_on_the_grid():
    for tick in OUTCOME_TICK_SIZES:
        price = 1 - tick
        exact = Decimal("0.01") * price
        assert exact == exact.quantize(Decimal("0.000001"), rounding=ROUND_FLOOR)
