"""What a run is about, by its seed: stops that fire, signals, conversions, a venue that errs.

A scenario is rows and books laid out by the laboratory, then deeds of a person and of the market
that any process may do: each looks at the rows first, as a client repeats what was not answered.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from django.db import transaction
from django.utils import timezone

from minting import requesting
from minting.models import Mint
from orders import balances, cancelling, instruments, planning
from orders.models import Instrument, Leg, Order, Trade, VenueState
from orders.planning import LegRequest
from paper.addresses import (
    COLLATERAL_ADAPTER,
    CONDITIONAL_TOKENS,
    NEG_RISK_COLLATERAL_ADAPTER,
    PUSD,
)
from tests.paper_process import PaperProcess
from tests.rows import Api, a_stop
from trailing.maths import Trail

Deal = Literal["buy_pair", "sell_pair", "sell"]
DEALS: Sequence[Deal] = ("buy_pair", "sell_pair", "sell")
Rest = Literal["", "cancelled", "matched", "partly"]
RESTS: Sequence[Rest] = ("", "cancelled", "matched", "partly")
Fault = tuple[str, str, int]
"""What the paper exchange does wrong: the endpoint, how, and how often."""

LARGE = 100_000
HELD = Decimal(10_000)
"""Of each token, after a reset."""

SPOT = "BTCUSDT"
RESTING_PRICE = Decimal("0.20")
RESTING_QUANTITY = Decimal(50)

ORDER_FAULTS: Sequence[Fault] = (
    ("POST /order", "timeout_after_accept", 1),
    ("POST /order", "timeout_before_accept", 1),
    ("POST /order", "http_500", 1),
    ("POST /order", "http_500_after_accept", 1),
    ("POST /order", "http_425", 1),
    ("POST /order", "reject:fak_not_filled", 1),
    ("POST /order", "reject:not_enough_balance", 1),
    ("POST /order", "slow:200", 2),
    ("POST /order", "settlement_fails", 1),
    ("POST /order", "settlement_retries", 2),
    ("POST /order", "delayed", 1),
    ("POST /order", "timeout_after_accept+settlement_fails", 1),
    ("GET /data/order/{id}", "http_500", 2),
    ("GET /data/order/{id}", "slow:200", 2),
    ("GET /data/trades", "http_500", 2),
)
FAILS_THRICE: Fault = ("split", "settlement_fails", 3)
SPLIT_FAULTS: Sequence[Fault] = (
    ("split", "timeout_after_accept", 1),
    ("split", "timeout_after_accept", 2),
    ("split", "timeout_before_accept", 1),
    ("split", "http_500", 1),
    ("split", "http_500_after_accept", 1),
    ("split", "slow:200", 1),
    ("split", "settlement_fails", 1),
    FAILS_THRICE,
    ("split", "timeout_after_accept+settlement_fails", 1),
    ("GET /transactions", "http_500", 1),
    ("GET /v1/account/transactions/params", "http_500", 2),
    ("POST /rpc", "http_500", 2),
)
SPOT_FAULTS: Sequence[Fault] = (
    ("POST /api/v3/order", "timeout_after_accept", 1),
    ("POST /api/v3/order", "timeout_before_accept", 1),
    ("POST /api/v3/order", "http_500", 1),
    ("POST /api/v3/order", "http_500_after_accept", 1),
    ("POST /api/v3/order", "slow:200", 1),
    ("GET /api/v3/order", "http_500", 2),
    ("GET /api/v3/myTrades", "http_500", 1),
)
REFUSED: Fault = ("POST /order", "reject:fak_not_filled", 1)
STUCK: Fault = ("split", "settlement_slow", 1)
EOA_FAULTS: Sequence[Fault] = (
    STUCK,
    ("split", "timeout_after_accept", 1),
    ("split", "timeout_before_accept", 2),
    ("split", "timeout_after_accept+settlement_slow", 1),
    ("split", "http_500_after_accept", 1),
    ("split", "settlement_fails", 1),
    ("POST /rpc", "http_500", 3),
    ("POST /rpc", "lie:no_receipt", 1),
)
IN_DOUBT: Fault = ("POST /order", "timeout_before_accept", 1)
SPLIT_FAILS: Fault = ("split", "settlement_fails", 1)

NEEDS: dict[str, list[Fault]] = {
    "refusal_noted": [REFUSED],
    "refusal_committed": [REFUSED],
    "refusal_looked_up": [IN_DOUBT, REFUSED],
    "conversion_given_up": [SPLIT_FAILS],
    "conversion_failed": [SPLIT_FAILS],
    "replacement_committed": [STUCK],
}
"""Points that only a venue that errs makes a process pass."""

OF_AN_EOA = ("approval_signed", "approval_made", "approval_committed", "replacement_committed")
"""Points that only a wallet which sends its own transactions passes."""

MOST_PER_SPLIT = Decimal(70)
"""The stops' largest sales go out in parts."""
ASKED: Sequence[tuple[str, Decimal]] = (
    ("merge", Decimal("7.25")),
    ("split", Decimal("33.333333")),
    ("split", Decimal("15.5")),
    ("merge", Decimal(150)),
)
HEDGED = Decimal(17)
MERGED_ABOVE = Decimal(5)

CANCELLING = ("cancel_wished", "cancel_posted")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run's contents; all of it follows from the seed and the point to be reached."""

    seed: int
    markets: tuple[int, int, int, int]
    """The paper exchange's, by number: where stops fire, where signals trade, where an order rests,
    and which one is resolved."""
    stops: tuple[Decimal, ...]
    held: Decimal
    """Of the token that the stops sell; less than they want in some runs."""
    mints: bool
    is_thin: bool
    """Whether the best price has 30 shares only, and the next lies past the first order's limit."""
    spot: Decimal | None
    """What a stop on BTCUSDT sells; there is none in some runs."""
    deals: tuple[Deal, ...]
    rest: Rest
    """What becomes of an order that rests; empty: there is none."""
    faults: tuple[Fault, ...]
    has_company: bool
    """Whether another process works beside the one that dies."""
    is_reconciled: bool
    """Whether the book has been reconciled with the venue lately, or a start has to do it."""
    asked: tuple[tuple[str, Decimal], ...] = ()
    """What a person asks of the mint queue for the market where signals trade."""
    is_hedged: bool = False
    """Whether a purchase stands in for a sale that was impossible; its pairs are merged."""
    merges_surplus: bool = False
    resolves: bool = False
    approves: bool = False
    """Whether the contracts that convert have no approval yet."""
    wallet: str = "deposit_wallet"

    @property
    def is_short(self) -> bool:
        """Whether the stops may want more than is held."""
        return self.held != HELD


def scenario_of(seed: int, reaching: str = "") -> Scenario:
    """Make up a scenario in which the named point is passed."""
    rng = random.Random(seed)
    cancels = reaching in CANCELLING
    is_short = rng.random() < 0.15 and not cancels and not _of_minting(reaching)
    stops = tuple(Decimal(rng.choice(("5", "40.5", "60", "100", "250"))) for _ in range(3))
    stops = stops[: rng.choice((1, 1, 2, 3))]
    faults = rng.sample(ORDER_FAULTS, rng.choice((0, 1, 1, 2)))
    if rng.random() < 0.3:
        faults.append(rng.choice(SPOT_FAULTS))
    if rng.random() < 0.35:
        faults.append(rng.choice(SPLIT_FAULTS))
    of_minting = _of_minting(reaching)
    if of_minting and rng.random() < 0.5:
        faults = [rng.choice(SPLIT_FAULTS)]
    merges_surplus = reaching == "surplus_requested" or rng.random() < 0.3
    asked = rng.sample(ASKED, rng.choice((1, 2, 3) if of_minting else (0, 0, 1)))
    wallet = "eoa" if reaching in OF_AN_EOA else _a_wallet(rng)
    if wallet == "eoa" and rng.random() < 0.5:
        faults = [fault for fault in faults if fault not in SPLIT_FAULTS]
        faults.append(rng.choice(EOA_FAULTS))
    is_alone = reaching == "refusal_looked_up"  # so that it is the doubtful order that is refused
    if (needed := NEEDS.get(reaching)) is not None:
        faults = needed
    return Scenario(
        seed,
        tuple(rng.sample(range(6), 4)),  # type: ignore[arg-type]
        stops[:1] if is_alone else stops,
        held=Decimal("23.5") if is_short else HELD,
        mints=not is_short and (of_minting or rng.random() < 0.8),
        is_thin=rng.random() < 0.4,
        spot=Decimal("0.03") if not is_alone and rng.random() < 0.4 else None,
        deals=() if is_alone else tuple(rng.sample(DEALS, rng.choice((0, 1, 1, 2)))),
        rest="cancelled" if cancels else "" if is_alone else rng.choice(RESTS),
        faults=tuple(faults),
        has_company=not is_alone and rng.random() < 0.3,
        is_reconciled=rng.random() < 0.5,
        asked=tuple(ASKED[:2] if merges_surplus else asked),
        is_hedged=not is_alone and rng.random() < (0.5 if of_minting else 0.1),
        merges_surplus=merges_surplus,
        resolves=rng.random() < (0.5 if of_minting else 0.1),
        approves="approval" in reaching or rng.random() < 0.3,
        wallet=wallet,
    )


def _of_minting(point: str) -> bool:
    """Whether a point is passed only where something is converted."""
    words = ("mint", "conversion", "submi", "approval", "replacement", "surplus")
    return any(word in point for word in words)


def _a_wallet(rng: random.Random) -> str:
    return rng.choice(["deposit_wallet"] * 5 + ["safe", "proxy"] + ["eoa"] * 3)


def everything(seed: int) -> Scenario:
    """A scenario in which nearly every point is passed, by one process at a time."""
    return replace(
        scenario_of(seed, "cancel_posted"),
        mints=True,
        deals=("sell_pair",),
        rest="cancelled",
        faults=(REFUSED, SPLIT_FAILS),
        has_company=False,
        asked=ASKED[:2],
        is_hedged=True,
        merges_surplus=True,
        resolves=True,
        approves=False,
        wallet="deposit_wallet",
    )


class Play:
    """A scenario on a paper exchange that was reset, over a database that was emptied."""

    def __init__(
        self, scenario: Scenario, paper: PaperProcess, markets: list[dict], api: Api
    ) -> None:
        self.scenario = scenario
        self._api = api
        self.paper = paper
        self.tokens = [markets[number]["tokenIds"] for number in scenario.markets]
        self._answered: set[str] = set()

    def lay_out(self) -> None:
        """Make the rows and books, let the price fall to every stop, and arrange the faults."""
        scenario, [fallen, traded, rested, resolved] = self.scenario, self.tokens
        for token in (fallen[0], traded[0], rested[0]):
            self.paper.put_book(token, [("0.50", LARGE)], [("0.52", LARGE)])
        self._hold(fallen[0], scenario.held)
        for token in (*fallen, *traded, *rested):
            row = instruments.known(token)
            for asset in (row.base_asset, row.quote_asset):
                balances.opened(asset, row.venue)
        if scenario.spot is not None:
            self._lay_out_spot(scenario.spot)
        if scenario.resolves:
            self._resolve(resolved)
        if scenario.approves:
            self._disapprove()
        if scenario.is_reconciled:
            for venue in ("polymarket", "binance"):
                VenueState.objects.create(venue=venue, reconciled_at=timezone.now())
        for quantity in scenario.stops:
            trail = Trail(amount=Decimal("0.03"))
            stop = a_stop(_instrument(fallen[0]), trail, "0.50", quantity=str(quantity))
            stop.note(mint_after_sell=scenario.mints)
        levels = [("0.47", 30)] if scenario.is_thin else []
        self.paper.put_book(fallen[0], [*levels, ("0.40", LARGE)], [("0.49", LARGE)])
        for fault in scenario.faults:
            self.paper.fault(*fault)

    def _lay_out_spot(self, quantity: Decimal) -> None:
        self.paper.call("PUT", f"/paper/prices/{SPOT}", {"price": "50000"})
        row = instruments.known(SPOT)
        for asset in (row.base_asset, row.quote_asset):
            balances.opened(asset, row.venue)
        a_stop(row, Trail(amount=Decimal(1000)), "50000", quantity=str(quantity))
        self.paper.call("PUT", f"/paper/prices/{SPOT}", {"price": "48500"})

    def _resolve(self, tokens: list[str]) -> None:
        row = instruments.known(tokens[0])
        for asset in (row.base_asset, row.complement):
            balances.opened(asset, row.venue)
        body = {"conditionId": row.condition_id, "state": "resolved", "payouts": self.payouts()}
        self.paper.call("POST", "/paper/market-state", body)

    def payouts(self) -> list[str]:
        """Give what each outcome of the resolved market pays."""
        return (["1", "0"], ["0", "1"], ["0.5", "0.5"])[self.scenario.seed % 3]

    def _disapprove(self) -> None:
        for spender in (COLLATERAL_ADAPTER, NEG_RISK_COLLATERAL_ADAPTER):
            for token in (PUSD, CONDITIONAL_TOKENS):
                body = {"token": token, "spender": spender, "amount": "0"}
                self.paper.call("POST", "/paper/approvals", body)

    def _hold(self, token: str, amount: Decimal) -> None:
        if amount != HELD:
            [wallet] = self.paper.ledger()["balances"]
            body = {"wallet": wallet, "asset": token, "amount": str(amount)}
            self.paper.call("POST", "/paper/balances", body)

    def act(self) -> None:
        """Do what person and market have not done yet."""
        for deal in self.scenario.deals:
            self._signal(deal, self.legs_of(deal))
        if self.scenario.rest:
            self._rest()
        for kind, quantity in self.scenario.asked:
            self._ask(kind, quantity)
        if self.scenario.is_hedged:
            self._hedge()
        requesting.retry_failed()

    def has_acted(self) -> bool:
        """Whether all of that is done, and a resolved market was noticed."""
        wanted = len(self.scenario.deals) + bool(self.scenario.rest)
        if len(self._answered) < wanted:
            return False
        if self.scenario.resolves and not Mint.objects.filter(kind="redeem").exists():
            return False
        return not Mint.objects.filter(status="failed").exclude(cause="surplus").exists()

    def _ask(self, kind: str, quantity: Decimal) -> None:
        """Ask for a conversion, once, as the API does under its key."""
        if not Mint.objects.filter(cause="hand", kind=kind, quantity=quantity).exists():
            requesting.request_by_hand(_instrument(self.tokens[1][0]), kind, quantity)

    def _hedge(self) -> None:
        """Have the other outcome bought, as the position manager does for an impossible sale."""
        if Leg.objects.filter(role="hedge").exists():
            return
        wanted, trade = self.hedge(), Trade(purpose="signal", strategy="hedge")
        with transaction.atomic():
            planning.lock_positions([wanted.instrument])
            planning.open_trade(trade, [wanted])
            sale = Leg.objects.create(
                trade=trade,
                instrument=_instrument(self.tokens[1][0]),
                side="sell",
                quantity=HEDGED,
                price=Decimal("0.50"),
                status="failed",
            )
            trade.legs.filter(side="buy").update(role="hedge", of=sale)

    def hedge(self) -> LegRequest:
        """Give the purchase that stands in for a sale."""
        no = _instrument(self.tokens[1][1])
        return LegRequest(no, "buy", HEDGED, Decimal("0.50"), "FAK")

    def legs_of(self, deal: Deal) -> list[LegRequest]:
        """Give the legs of a deal, at prices that the book offers for as much as one likes."""
        yes, no = (_instrument(token) for token in self.tokens[1])
        if deal == "buy_pair":
            return [
                LegRequest(yes, "buy", Decimal(20), Decimal("0.52"), "FAK"),
                LegRequest(no, "buy", Decimal(20), Decimal("0.50")),
            ]
        first = LegRequest(yes, "sell", Decimal("12.5"), Decimal("0.50"))
        if deal == "sell":
            return [first]
        return [first, LegRequest(no, "sell", Decimal("12.5"), Decimal("0.48"), "FOK")]

    def _signal(self, name: str, legs: Sequence[LegRequest]) -> None:
        """Post it under the same key until there is an answer, as a client does; again in each life."""
        if name in self._answered:
            return
        body = {
            "strategy": name,
            "legs": [_as_json(leg) for leg in legs],
            "mintAfterSell": self.scenario.mints and any(leg.side == "sell" for leg in legs),
        }
        answer = self._api.post("/strategy/signals", body, **{"Idempotency-Key": name})
        if answer.status_code == 201:
            self._answered.add(name)
        elif answer.status_code < 500:
            raise AssertionError(f"the signal {name} was refused: {answer.content!r}")

    def _rest(self) -> None:
        token = self.tokens[2][0]
        buy = LegRequest(_instrument(token), "buy", RESTING_QUANTITY, RESTING_PRICE)
        self._signal("rest", [buy])
        leg = Leg.objects.filter(trade__strategy="rest").first()
        order = None if leg is None else leg.orders.order_by("-pk").first()
        if leg is None or order is None or leg.status != "working" or order.matched_quantity:
            return
        rest = self.scenario.rest
        if rest == "matched" and order.status == "open":
            self.paper.put_book(token, [("0.10", LARGE)], [("0.20", LARGE)])
        if rest == "partly" and order.status == "open":
            self.paper.put_book(token, [("0.10", LARGE)], [("0.20", 7), ("0.30", LARGE)])
        if rest != "matched" and leg.cancel_requested_at is None and self._is_tired(order):
            try:
                with transaction.atomic():
                    cancelling.request(order)
            except cancelling.NotCancellable:
                return

    def _is_tired(self, order: Order) -> bool:
        """Whether the person withdraws it by now: at once in odd runs, else when it rests."""
        return order.status == "open" or bool(self.scenario.seed % 2)


def _as_json(leg: LegRequest) -> dict[str, str]:
    return {
        "assetId": leg.instrument.symbol,
        "side": leg.side,
        "size": str(leg.quantity),
        "price": str(leg.price),
        "orderType": leg.order_type,
    }


def _instrument(symbol: str) -> Instrument:
    return Instrument.objects.get(symbol=symbol)
