"""A rehearsal: recorded markets played by the paper exchange, many stops on them, the truth compared."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from minting.models import WAITING, Mint, Transaction
from operations.driving import DriveError, Paper, Web, wait_for
from orders.models import Fill, Order, Position
from polytrader.numbers import plain
from trailing.models import TrailingStop

STRATEGY = "rehearsal"


@dataclass(slots=True)
class Rehearsal:
    """What one rehearsal is about: the recording, the tokens it was mapped to, the stops made."""

    web: Web
    paper: Paper
    tokens: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def hold(self, file: str, speed: int) -> None:
        """Load the recording with its opening books and wait there."""
        self.paper.post("/paper/replay", {"file": file, "speed": speed, "hold": True})
        mapping = self.paper.get("/paper/replay")["mapping"]
        self.tokens = [token for pair in mapping for token in pair["tokenIds"]]

    def make_stops(self, count: int, seed: int) -> None:
        """Create stops over HTTP, spread over all tokens: 5 to 25 percent, and 2 to 10 ticks."""
        chance = random.Random(seed)  # noqa: S311 - a repeatable rehearsal, no secret
        for number in range(count):
            trail = (
                {"trailingTicks": chance.randint(2, 10)}
                if number % 2
                else {"trailingPercent": chance.randint(5, 25)}
            )
            body = {
                "symbol": self.tokens[number % len(self.tokens)],
                "quantity": chance.randint(10, 60),
                "mintAfterSell": True,
                "strategy": STRATEGY,
                **trail,
            }
            try:
                self.keys.append(self.web.post("/api/trailing-stops", body)["stateKey"])
            except DriveError as refusal:
                self.refused.append(str(refusal))

    def run(self) -> None:
        """Let the recording go on, to its end."""
        self.paper.post("/paper/replay", {"resume": True})

    def progress(self) -> dict[str, Any]:
        """How far the recording is."""
        told: dict[str, Any] = self.paper.get("/paper/replay")
        return told

    def stops(self) -> "list[TrailingStop]":
        """The stops of this rehearsal, as rows."""
        rows = TrailingStop.objects.filter(state_key__in=self.keys)
        return list(rows.select_related("instrument", "trade").prefetch_related("trade__legs"))

    def is_over(self) -> bool | None:
        """Whether every exit is sold and settled and every sale minted."""
        stops = TrailingStop.objects.filter(state_key__in=self.keys)
        if stops.filter(trade__legs__status="working").exists():
            return None
        sold = Fill.objects.filter(
            status="confirmed", order__leg__trade__trailingstop__in=stops, mint__isnull=True
        )
        waiting = Mint.objects.filter(
            status__in=WAITING, fill__order__leg__trade__trailingstop__in=stops
        )
        under_way = Transaction.objects.filter(status="sent")
        return None if sold.exists() or waiting.exists() or under_way.exists() else True


def wait_until_over(rehearsal: Rehearsal, seconds: float) -> None:
    """Wait for sales, settlements and mints; raise `DriveError` when they do not come."""
    wait_for("all exits sold, settled and minted", rehearsal.is_over, seconds)


@dataclass(frozen=True, slots=True)
class Figures:
    """What came out, in numbers; slippage in ticks (negative: worse than the trigger price)."""

    created: int
    refused: int
    triggered: int
    sold: int
    remainders: int
    errors: int
    fills: int
    minted: int
    splits: int
    slippage: Sequence[Decimal]
    to_order: Sequence[timedelta]
    to_answer: Sequence[timedelta]


def figures(rehearsal: Rehearsal) -> Figures:
    """Count from rows."""
    stops = rehearsal.stops()
    triggered = [stop for stop in stops if stop.trade is not None]
    legs = [leg for stop in triggered if stop.trade for leg in stop.trade.legs.all()]
    fills = list(
        Fill.objects.filter(order__leg__in=legs, status="confirmed").select_related("order__leg")
    )
    mints = Mint.objects.filter(fill__in=fills, status="confirmed")
    first_orders = _first_orders(triggered)
    return Figures(
        created=len(stops),
        refused=len(rehearsal.refused),
        triggered=len(triggered),
        sold=sum(leg.status == "done" for leg in legs),
        remainders=sum(leg.status == "done" and "remain" in leg.reason for leg in legs),
        errors=sum(leg.status == "failed" for leg in legs),
        fills=len(fills),
        minted=mints.count(),
        splits=Transaction.objects.filter(mints__in=mints, status="confirmed").distinct().count(),
        slippage=sorted(_slippage(triggered, fills)),
        to_order=sorted(o.sent_at - t for t, o in first_orders if o.sent_at is not None),
        to_answer=sorted(o.answered_at - t for t, o in first_orders if o.answered_at is not None),
    )


def _first_orders(stops: Iterable[TrailingStop]) -> list[tuple[Any, Order]]:
    found = []
    for stop in stops:
        first = Order.objects.filter(leg__trade=stop.trade).order_by("pk").first()
        if first is not None:
            found.append((stop.triggered_at, first))
    return found


def _slippage(stops: Iterable[TrailingStop], fills: Iterable[Fill]) -> list[Decimal]:
    """Per stop, the volume-weighted exit less the trigger price, in ticks."""
    found = []
    for stop in stops:
        mine = [fill for fill in fills if fill.order.leg.trade_id == stop.trade_id]
        quantity = sum((fill.quantity for fill in mine), start=Decimal(0))
        if quantity and stop.final_trigger_price is not None:
            amount = sum((fill.quantity * fill.price for fill in mine), start=Decimal(0))
            found.append((amount / quantity - stop.final_trigger_price) / stop.instrument.tick_size)
    return found


def differences(paper: Paper, since: datetime) -> list[str]:
    """Everything in which the exchange's ledger and our rows differ; empty when equal.

    Rows older than `since` are compared too, but may be missing there: the paper
    exchange may have been reset in between.
    """
    ledger = paper.get("/paper/ledger")
    return [
        *_balance_differences(ledger),
        *_trade_differences(ledger, since),
        *_order_differences(ledger),
        *_conversion_differences(ledger, since),
    ]


def _balance_differences(ledger: Any) -> list[str]:
    held: dict[str, str] = {}
    for assets in ledger["balances"].values():
        held.update(assets)
    return [
        f"{position.asset}: we have {position.settled}, the exchange {held.get(position.asset)}"
        for position in Position.objects.filter(compared_at__isnull=False)
        if position.settled != Decimal(held.get(position.asset, "0"))
    ]


def _trade_differences(ledger: Any, since: datetime) -> list[str]:
    theirs = {row["id"]: row for row in ledger["trades"]}
    ours = {fill.trade_id: fill for fill in Fill.objects.select_related("order")}
    wrong = [f"trade {key} is not ours" for key in theirs.keys() - ours.keys()]
    wrong += [
        f"trade {key} is not theirs"
        for key in ours.keys() - theirs.keys()
        if ours[key].created_at > since
    ]
    for key in theirs.keys() & ours.keys():
        row, fill = theirs[key], ours[key]
        same = (Decimal(row["size"]), Decimal(row["price"]), row["orderId"])
        if same != (fill.quantity, fill.price, fill.order.order_id):
            wrong.append(f"trade {key}: {row} against {fill.quantity} at {fill.price}")
        if fill.order.side == "sell" and fill.price < fill.order.price:
            wrong.append(f"trade {key} is below its limit")
    return wrong


def _order_differences(ledger: Any) -> list[str]:
    ours = set(Order.objects.exclude(order_id=None).values_list("order_id", flat=True))
    return [f"order {row['id']} is not ours" for row in ledger["orders"] if row["id"] not in ours]


def _conversion_differences(ledger: Any, since: datetime) -> list[str]:
    return [
        text
        for kind, rows in (("split", ledger["splits"]), ("merge", ledger["merges"]))
        for text in _differences_of(kind, rows, since)
    ]


def _differences_of(kind: str, rows: Any, since: datetime) -> list[str]:
    theirs = Counter(Decimal(row["amount"]) for row in rows)
    confirmed = Transaction.objects.filter(kind=kind, status="confirmed")
    ours = Counter(confirmed.values_list("quantity", flat=True))
    new = Counter(confirmed.filter(created_at__gt=since).values_list("quantity", flat=True))
    return [
        *(f"a {kind} of {plain(amount)} is not ours" for amount in (theirs - ours).elements()),
        *(f"a {kind} of {plain(amount)} is not theirs" for amount in (new - theirs).elements()),
    ]
