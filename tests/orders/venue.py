"""A venue in memory, honest about its own books, moody about its answers. It holds the truth."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from django.utils import timezone

from exchange.errors import ExchangeError, OutcomeUnknown, Rejected, Unavailable
from exchange.types import (
    Acknowledgement,
    InstrumentInfo,
    OpenOrder,
    OrderReport,
    OrderRequest,
    Quote,
    RejectionCode,
    SignedOrder,
    TradeReport,
)

ZERO = Decimal(0)
Mood = Literal["takes", "refuses", "unmatched", "takes silently", "loses", "is away"]
_ids = itertools.count(1)


@dataclass(slots=True)
class VenueOrder:
    """An order the venue has taken."""

    request: OrderRequest
    order_id: str
    status: Literal["open", "matched", "cancelled"] = "open"
    trades: list[TradeReport] = field(default_factory=list)

    @property
    def matched(self) -> Decimal:
        """What its trades have, whatever becomes of them."""
        return sum((trade.quantity for trade in self.trades), start=ZERO)

    @property
    def left(self) -> Decimal:
        """What may still be matched."""
        return self.request.quantity - self.matched if self.status == "open" else ZERO


class MemoryVenue:
    """Trades outcome tokens at 0.50 / 0.52; what it does next is told by its `mood`."""

    largest_batch = 15

    def __init__(self, balances: Mapping[str, Decimal], fee_rate: Decimal = ZERO) -> None:
        self.balances = dict(balances)
        self.fee_rate = fee_rate
        self.mood: Mood = "takes"
        self.takes_part = Decimal(1)
        """How much of a FAK order it matches."""
        self.orders: dict[str, VenueOrder] = {}
        self.foreign: list[TradeReport] = []
        self.shortages: list[str] = []
        """Orders that wanted more than the wallet had free: nobody may send such."""

    # What it is asked

    def instrument(self, symbol: str) -> InstrumentInfo:
        raise Unavailable("nobody asks")

    def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        bid, ask, now = Decimal("0.50"), Decimal("0.52"), timezone.now()
        return {symbol: Quote(symbol, bid, ask, now) for symbol in symbols}

    def log_in(self) -> None:
        pass

    def sign(self, request: OrderRequest) -> SignedOrder:
        order_id = f"0x{next(_ids):064x}"
        self.signed[order_id] = request
        return SignedOrder(order_id, json.dumps({"id": order_id}))

    @property
    def signed(self) -> dict[str, OrderRequest]:
        """Every order ever signed, by its id."""
        return self.__dict__.setdefault("_signed", {})

    def post(self, signed: SignedOrder) -> Acknowledgement:
        if self.mood == "is away":
            raise Unavailable("away")
        if self.mood == "loses":
            raise OutcomeUnknown("no answer")
        if signed.order_id in self.orders:
            raise Rejected(RejectionCode.DUPLICATED, "duplicated")
        if self.mood == "refuses":
            raise Rejected(RejectionCode.INVALID_SIGNATURE, "refused")
        if self.mood == "unmatched":
            raise Rejected(RejectionCode.UNMATCHED, "no match")
        order = VenueOrder(self.signed[signed.order_id], signed.order_id)
        self._require_funds(order)
        self.orders[order.order_id] = order
        if order.request.order_type in ("FAK", "FOK"):
            self.match(order, (order.request.quantity * self.takes_part).quantize(Decimal("0.01")))
            order.status = "matched" if order.matched == order.request.quantity else "cancelled"
        if self.mood == "takes silently":
            raise OutcomeUnknown("no answer")
        return Acknowledgement(
            order.order_id,
            "open" if order.status == "open" else "matched",
            tuple(trade.trade_id for trade in order.trades),
        )

    def post_many(self, signed: Sequence[SignedOrder]) -> list[Acknowledgement | ExchangeError]:
        answers: list[Acknowledgement | ExchangeError] = []
        for one in signed:
            try:
                answers.append(self.post(one))
            except ExchangeError as error:
                answers.append(error)
        return answers

    def cancel(self, order_id: str) -> bool:
        self._require_presence()
        order = self.orders[order_id]
        if order.status != "open":
            return False
        order.status = "cancelled"
        return True

    def cancel_many(self, order_ids: Sequence[str]) -> Mapping[str, bool]:
        return {order_id: self.cancel(order_id) for order_id in order_ids}

    def open_orders(self) -> list[OpenOrder]:
        self._require_presence()
        return [
            OpenOrder(
                one.order_id,
                one.request.symbol,
                one.request.side,
                one.request.quantity,
                one.request.price,
                one.matched,
            )
            for one in self.orders.values()
            if one.status == "open"
        ]

    def wallet_trades(self, after: datetime) -> list[TradeReport]:
        self._require_presence()
        ours = [trade for order in self.orders.values() for trade in order.trades]
        return [trade for trade in [*ours, *self.foreign] if trade.matched_at >= after]

    def server_time(self) -> datetime:
        self._require_presence()
        return timezone.now()

    def find_order(self, order_id: str) -> OrderReport | None:
        self._require_presence()
        order = self.orders.get(order_id)
        if order is None:
            return None
        ids = tuple(trade.trade_id for trade in order.trades)
        return OrderReport(order_id, order.status, order.matched, ids, order.status.upper())

    def trades(self, order_id: str, trade_ids: Sequence[str]) -> list[TradeReport]:
        self._require_presence()
        return list(self.orders[order_id].trades)

    def balance(self, asset: str) -> Decimal:
        self._require_presence()
        return self.balances.get(asset, ZERO)

    def refresh_balance(self, asset: str) -> None:
        pass

    # What happens there

    def match(self, order: VenueOrder, quantity: Decimal) -> None:
        """Match so much of an order at its own price; it settles later."""
        if quantity <= 0:
            return
        request = order.request
        fee = ZERO
        if request.order_type in ("FAK", "FOK"):
            rate = self.fee_rate * request.price * (1 - request.price)
            fee = (quantity * rate).quantize(Decimal("0.00001"), ROUND_HALF_UP)
        order.trades.append(
            TradeReport(
                f"trade-{next(_ids)}",
                order.order_id,
                request.symbol,
                request.side,
                quantity,
                request.price,
                fee,
                "matched",
                timezone.now(),
            )
        )
        if order.matched == request.quantity:
            order.status = "matched"

    def settle(self, trade: TradeReport, *, fails: bool) -> None:
        """Take a trade's last step; balances move only with CONFIRMED."""
        for order in self.orders.values():
            for index, one in enumerate(order.trades):
                if one.trade_id == trade.trade_id and one.status == "matched":
                    order.trades[index] = replace(one, status="failed" if fails else "confirmed")
                    if not fails:
                        self._move(one)

    def unsettled(self) -> list[TradeReport]:
        """Trades whose settlement is still open."""
        every = [trade for order in self.orders.values() for trade in order.trades]
        return [trade for trade in every if trade.status == "matched"]

    def trade_by_hand(self, symbol: str, side: str, quantity: Decimal, price: Decimal) -> None:
        """The wallet's owner trades past our service, settled at once."""
        trade = TradeReport(
            f"trade-{next(_ids)}",
            f"0xff{next(_ids):062x}",
            symbol,
            side,  # type: ignore[arg-type]
            quantity,
            price,
            ZERO,
            "confirmed",
            timezone.now(),
        )
        self.foreign.append(trade)
        self._move(trade)

    def free(self, asset: str) -> Decimal:
        """What the matching engine lets an order take: less what rests and what is settling."""
        taken = ZERO
        for order in self.orders.values():
            unsettled = [trade for trade in order.trades if trade.status == "matched"]
            request = order.request
            if request.side == "sell" and request.symbol == asset:
                taken += order.left + sum((t.quantity for t in unsettled), start=ZERO)
            elif request.side == "buy" and asset == "collateral":
                taken += order.left * request.price
                taken += sum((t.quantity * t.price + t.fee for t in unsettled), start=ZERO)
        return self.balances.get(asset, ZERO) - taken

    def _require_funds(self, order: VenueOrder) -> None:
        request = order.request
        asset, needed = request.symbol, request.quantity
        if request.side == "buy":
            asset, needed = "collateral", request.quantity * request.price
        if self.free(asset) < needed:
            self.shortages.append(
                f"{order.order_id} wants {needed} of {asset}, {self.free(asset)} are free"
            )
            raise Rejected(RejectionCode.NOT_ENOUGH_BALANCE, "not enough balance")

    def _move(self, trade: TradeReport) -> None:
        sign = 1 if trade.side == "buy" else -1
        self.balances[trade.symbol] = self.balances.get(trade.symbol, ZERO) + sign * trade.quantity
        self.balances["collateral"] -= sign * trade.quantity * trade.price + trade.fee

    def _require_presence(self) -> None:
        if self.mood == "is away":
            raise Unavailable("away")
