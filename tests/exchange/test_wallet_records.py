"""All of the wallet's orders and trades, whoever placed them, and the venue's clock."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from exchange.errors import Rejected, Unavailable
from exchange.types import OpenOrder, OrderReport
from tests.exchange.conftest import CREDENTIALS, NO, OWNER, YES
from tests.exchange.stub import Answer, Silence, Stub
from tests.exchange.test_reading import OTHERS, OURS, rows, trade

THEIRS = "0x" + "99" * 20
AFTER = datetime(2026, 11, 21, 12, 0, 0, 700_000, UTC)


def resting(order_id: str = OURS, **changes: object) -> dict[str, object]:
    return {
        "id": order_id,
        "status": "LIVE",
        "asset_id": YES,
        "side": "SELL",
        "original_size": "10",
        "size_matched": "2.5",
        "price": "0.57",
        "associate_trades": ["t1"],
    } | changes


def made(order_id: str, **changes: object) -> dict[str, object]:
    return {
        "order_id": order_id,
        "owner": "someone",
        "maker_address": THEIRS,
        "asset_id": YES,
        "side": "BUY",
        "matched_amount": "4",
        "price": "0.5",
    } | changes


def test_resting_orders_come_from_every_page_once(venue: Stub, exchange):
    pages = {
        None: rows(resting(), cursor="two"),
        "two": rows(resting(OTHERS, associate_trades=None), resting(), cursor="LTE="),
    }
    venue.on("GET", "/data/orders", lambda asked: pages[asked.query.get("next_cursor")])
    first = OpenOrder(OURS, YES, "sell", Decimal(10), Decimal("0.57"), Decimal("2.5"), ("t1",))
    found = exchange.open_orders()
    assert found[0] == first
    assert [order.order_id for order in found] == [OURS, OTHERS]
    assert found[1].trade_ids == ()


@pytest.mark.parametrize("status", ["CANCELED", "MATCHED", "INVALID"])
def test_a_finished_order_is_not_resting(venue: Stub, exchange, status):
    venue.on("GET", "/data/orders", rows(resting(status=status)))
    assert exchange.open_orders() == []


@pytest.mark.parametrize(
    "reply",
    [
        Answer(rows(resting(price="NaN"))),
        Answer(rows(resting(side="BOTH"))),
        Answer(rows("order")),
        Answer({"data": None}),
        Answer(None),
        Answer({"error": "x"}, 500),
        Silence,
    ],
)
def test_a_list_that_cannot_be_read_is_not_an_empty_one(venue: Stub, exchange, reply):
    venue.on("GET", "/data/orders", reply)
    with pytest.raises(Unavailable):
        exchange.open_orders()


def test_trades_are_asked_for_by_wallet_and_from_a_second_earlier(venue: Stub, exchange):
    venue.on("GET", "/data/trades", rows(trade()))
    (report,) = exchange.wallet_trades(AFTER)
    assert (report.order_id, report.side, report.quantity) == (OURS, "sell", Decimal(100))
    assert report.fee == Decimal("1.00000")
    (asked,) = venue.of("GET", "/data/trades")
    assert asked.query == {"maker_address": OWNER, "after": str(int(AFTER.timestamp()) - 1)}


@pytest.mark.parametrize("mine", [{"maker_address": OWNER.lower()}, {"owner": CREDENTIALS.key}])
def test_a_makers_part_is_our_entry_by_address_or_key(venue: Stub, exchange, mine):
    ours = made(OURS, asset_id=NO, matched_amount="6", price="0.4", side="SELL", **mine)
    row = trade(
        taker_order_id=OTHERS,
        trader_side="MAKER",
        side="SELL",
        owner="someone",
        maker_address=THEIRS,
        maker_orders=[made(OTHERS), ours],
    )
    venue.on("GET", "/data/trades", rows(row))
    (report,) = exchange.wallet_trades(AFTER)
    assert (report.order_id, report.symbol, report.side) == (OURS, NO, "sell")
    assert (report.quantity, report.price, report.fee) == (Decimal(6), Decimal("0.4"), Decimal(0))


def test_the_top_of_a_makers_row_is_never_ours_whatever_it_names(venue: Stub, exchange):
    row = trade(
        taker_order_id=OTHERS,
        trader_side="MAKER",
        owner=CREDENTIALS.key,
        maker_address=OWNER,
        maker_orders=[made(OURS, maker_address=OWNER)],
    )
    venue.on("GET", "/data/trades", rows(row))
    assert [report.order_id for report in exchange.wallet_trades(AFTER)] == [OURS]


def test_a_trade_with_several_orders_of_ours_gives_one_report_each(venue: Stub, exchange):
    second, third = "0x" + "02" * 32, "0x" + "03" * 32
    row = trade(
        maker_orders=[
            made(second, maker_address=OWNER, matched_amount="1"),
            made(OTHERS, matched_amount="90"),
            made(third, owner=CREDENTIALS.key, matched_amount="4"),
            made(second, maker_address=OWNER, matched_amount="5"),
        ]
    )
    venue.on("GET", "/data/trades", rows(row, row))
    reports = exchange.wallet_trades(AFTER)
    assert [(report.order_id, report.quantity) for report in reports] == [
        (OURS, Decimal(100)),
        (second, Decimal(6)),
        (third, Decimal(4)),
    ]
    assert {report.trade_id for report in reports} == {"t1"}
    assert [report.fee > 0 for report in reports] == [True, False, False]
    assert [report.side for report in reports] == ["sell", "buy", "buy"]


def test_without_a_trader_side_the_addresses_say_who_took(venue: Stub, exchange):
    strangers = trade(trader_side=None, owner="someone", maker_address=THEIRS)
    venue.on("GET", "/data/trades", rows(strangers))
    assert exchange.wallet_trades(AFTER) == []
    venue.on("GET", "/data/trades", rows(trade(trader_side=None, maker_address=OWNER)))
    assert len(exchange.wallet_trades(AFTER)) == 1


@pytest.mark.parametrize(("asset", "side"), [(YES, "buy"), (NO, "sell")])
def test_a_makers_side_that_is_not_told_follows_from_the_takers(venue: Stub, exchange, asset, side):
    entry = made(OURS, maker_address=OWNER, asset_id=asset, side=None)
    row = trade(taker_order_id=OTHERS, trader_side="MAKER", side="SELL", maker_orders=[entry])
    venue.on("GET", "/data/trades", rows(row))
    assert exchange.wallet_trades(AFTER)[0].side == side


def test_all_pages_of_trades_are_read(venue: Stub, exchange):
    pages = {None: rows(trade(), cursor="two"), "two": rows(trade(id="t2"), cursor="LTE=")}
    venue.on("GET", "/data/trades", lambda asked: pages[asked.query.get("next_cursor")])
    assert [report.trade_id for report in exchange.wallet_trades(AFTER)] == ["t1", "t2"]


@pytest.mark.parametrize("reply", [Answer(rows(trade(status="ODD"))), Answer(None), Silence])
def test_trades_that_cannot_be_read_are_not_none(venue: Stub, exchange, reply):
    venue.on("GET", "/data/trades", reply)
    with pytest.raises(Unavailable):
        exchange.wallet_trades(AFTER)


@pytest.mark.parametrize("empty", [Answer(None), Answer(b""), Answer({})])
def test_an_order_with_an_empty_answer_is_found_by_its_trades(venue: Stub, exchange, empty):
    venue.on("GET", f"/data/order/{OURS}", empty)
    other = trade(id="x", taker_order_id=OTHERS, trader_side="MAKER")
    venue.on("GET", "/data/trades", rows(trade(size="40"), other, trade(id="t2", size="60")))
    assert exchange.find_order(OURS) == OrderReport(OURS, "matched", Decimal(100), ("t1", "t2"))
    assert [report.trade_id for report in exchange.trades(OURS, [])] == ["t1", "t2"]


@pytest.mark.parametrize("reply", [Answer(rows()), Answer({"error": "x"}, 404), Silence])
def test_an_order_with_an_empty_answer_and_no_trades_stays_unknown(venue: Stub, exchange, reply):
    venue.on("GET", f"/data/order/{OURS}", Answer(b""))
    venue.on("GET", "/data/trades", reply)
    with pytest.raises(Unavailable):
        exchange.find_order(OURS)


def test_the_venues_clock_is_read_without_a_key(venue: Stub, exchange):
    venue.on("GET", "/time", 1795302552)
    assert exchange.server_time() == datetime.fromtimestamp(1795302552, UTC)
    assert "Poly_api_key" not in {name.capitalize() for name in venue.asked[0].headers}


@pytest.mark.parametrize("answer", ["soon", None, {"time": 1}])
def test_a_clock_that_cannot_be_read_is_unavailable(venue: Stub, exchange, answer):
    venue.on("GET", "/time", Answer(answer))
    with pytest.raises(Unavailable):
        exchange.server_time()


def test_a_refused_key_is_told_from_a_venue_that_is_away(venue: Stub, exchange):
    venue.on("GET", "/data/orders", {"error": "Unauthorized/Invalid api key"}, 401)
    with pytest.raises(Rejected) as refused:
        exchange.open_orders()
    assert refused.value.code == "not_allowed"
