"""The truth to compare with: the paper exchange's ledger against our rows, to the last unit."""

from decimal import Decimal

from minting.models import Transaction
from orders.models import Fill, Order, Position
from tests.paper_process import PaperProcess


def assert_our_rows_equal_the_exchange(paper: PaperProcess) -> None:
    """Every position equals the exchange's balance, every fill and order its own row there."""
    ledger = paper.ledger()
    [held] = ledger["balances"].values()
    for position in Position.objects.exclude(venue="binance"):
        assert position.settled == Decimal(held[position.asset]), position.asset
        assert position.matched == position.settled
    trades = {row["id"]: row for row in ledger["trades"]}
    fills = Fill.objects.exclude(status="failed")
    assert {fill.trade_id for fill in fills} == set(trades)
    for fill in fills:
        row = trades[fill.trade_id]
        assert (fill.quantity, fill.price) == (Decimal(row["size"]), Decimal(row["price"]))
        assert row["orderId"] == fill.order.order_id
    known = {order.order_id for order in Order.objects.exclude(order_id=None)}
    assert {row["id"] for row in ledger["orders"]} <= known
    confirmed = Transaction.objects.filter(status="confirmed")
    for kind, rows in (("split", ledger["splits"]), ("merge", ledger["merges"])):
        theirs = [Decimal(row["amount"]) for row in rows]
        ours = confirmed.filter(kind=kind).values_list("quantity", flat=True)
        assert sorted(theirs) == sorted(ours), kind
    paid = [Decimal(row["amount"]) for row in ledger["redemptions"]]
    assert sorted(paid) == sorted(
        sum(one.brought().values()) for one in confirmed.filter(kind="redeem")
    )
