"""The verdict on a run: is an intent lost, an order there twice, a unit missing, anything stuck?"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.db.models import F, Q, QuerySet, Sum

from minting.models import Mint, Resolution, Transaction
from orders.models import Entry, Fill, Halt, Instrument, Leg, Order, Position, Trade
from polytrader.models import Alert
from strategy import inventory
from strategy.models import PositionJob
from tests.crashes.scenario import FAILS_THRICE, HEDGED, RESTING_QUANTITY, SPOT, Play
from trailing.models import TrailingStop

EXPECTED_ALERTS = {"settlement_failed", "exit_held"}
ZERO = Decimal(0)


@dataclass(slots=True)
class Verdict:
    """What is wrong, in words; all empty when nothing is."""

    stuck: list[str] = field(default_factory=list)
    """What had not come to its end within the time."""
    lost: list[str] = field(default_factory=list)
    """Intents that were not carried out in full."""
    twice: list[str] = field(default_factory=list)
    """What was ordered or minted more than once, or by nobody of ours."""
    ledger: list[str] = field(default_factory=list)
    """Where our book and the exchange's differ, or ours does not balance."""

    failed: list[str] = field(default_factory=list)
    """Tracebacks in the log of any of its processes."""

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.stuck or self.lost or self.twice or self.ledger or self.failed)


def unfinished() -> dict[str, int]:
    """What still has a way to go, counted."""
    counts = {
        "stops": TrailingStop.objects.filter(status__in=["pending_activation", "active"]).count(),
        "orders": Order.objects.filter(
            Q(status__in=["planned", "sent", "open"]) | Q(is_late=True)
        ).count(),
        "fills": Fill.objects.filter(status="matched").count(),
        "legs": Leg.objects.filter(status="working").count(),
        "sales without a mint": _asking_fills().filter(mint=None).count(),
        "mints": Mint.objects.filter(status__in=["requested", "delayed", "sent"]).count(),
        "conversions": Transaction.objects.filter(status="sent").count(),
        "jobs": PositionJob.objects.filter(status__in=["waiting", "active", "delayed"]).count(),
        "trades without a job": Trade.objects.filter(jobs=None, legs__status="working").count(),
        "surplus": _surplus(),
        "redemptions": _unredeemed(),
    }
    return {name: count for name, count in counts.items() if count}


def _asking_fills() -> QuerySet[Fill]:
    """Settled fills that ask for a mint, or for a merge of what they paired."""
    sales = Q(order__side="sell", order__leg__trade__mint_after_sell=True)
    return Fill.objects.filter(sales | Q(order__leg__role="hedge"), status="confirmed")


def _surplus() -> int:
    """How many markets have more pairs than is wanted."""
    above = settings.CONFIGURATION.minting.merge_above
    if above is None:
        return 0
    assets = Position.objects.filter(venue="polymarket").exclude(asset="collateral")
    pairs = inventory.pairs_of(list(assets.values_list("asset", flat=True)))
    return sum(found.surplus > above for found in pairs.values())


def _unredeemed() -> int:
    """How many markets are known to be resolved of which tokens are still held."""
    paying = Resolution.objects.exclude(first_payout=None).values("condition_id")
    markets = Instrument.objects.filter(condition_id__in=paying)
    held = Position.objects.filter(asset__in=markets.values("base_asset"), settled__gt=0)
    return held.count()


def judge(play: Play, posts: Path, log: str) -> Verdict:
    """Compare intents, rows, the exchange's ledger and the record of what was posted."""
    verdict = Verdict()
    ledger = play.paper.ledger()
    if left := unfinished():
        verdict.stuck.append(f"unfinished: {left}; {_reasons()}")
    verdict.lost += _lost_intents(play) + _lost_mints(play)
    verdict.twice += (
        _strangers(ledger) + _converted(ledger) + _oversold(play, ledger) + _other_bytes(posts)
    )
    verdict.ledger += _differences(ledger) + _imbalances() + _reservations() + _alarms(play)
    if count := log.count("Traceback (most recent call last)"):
        verdict.failed.append(f"{count} tracebacks")
    return verdict


def _reasons() -> list[str]:
    legs = Leg.objects.filter(status="working").values_list("pk", "reason")
    orders = Order.objects.live().values_list("pk", "status", "reason")
    return [str(row) for row in (*legs, *orders)]


def _lost_intents(play: Play) -> list[str]:
    found = []
    scenario = play.scenario
    stops = list(TrailingStop.objects.order_by("pk"))
    expected = len(scenario.stops) + (scenario.spot is not None)
    if len(stops) != expected:
        found.append(f"{len(stops)} stops, {expected} expected")
    for stop in stops:
        legs = [] if stop.trade is None else list(stop.trade.legs.all())
        if stop.triggered_at is None or len(legs) != 1:
            found.append(f"stop {stop.pk} is {stop.status} with {len(legs)} legs")
        elif not scenario.is_short or stop.instrument.venue == "binance":
            found += _not_done(legs[0], stop.quantity)
    if scenario.is_short:
        found += _short_sales(scenario.held, sum(scenario.stops))
    for deal in scenario.deals:
        legs = list(Leg.objects.filter(trade__strategy=deal).order_by("pk"))
        wanted = play.legs_of(deal)
        if len(legs) != len(wanted):
            found.append(f"the signal {deal} has {len(legs)} legs, {len(wanted)} expected")
        for leg, request in zip(legs, wanted, strict=False):
            found += _not_done(leg, request.quantity)
    if scenario.rest:
        found += _rested(scenario.rest)
    if scenario.is_hedged:
        legs = list(Leg.objects.filter(role="hedge"))
        found += _not_done(legs[0], HEDGED) if len(legs) == 1 else [f"{len(legs)} hedges"]
    if Leg.objects.exclude(role="wanted").exclude(trade__strategy="hedge").exists():
        found.append("a remedy was planned where none was needed")
    return found


def _not_done(leg: Leg, quantity: Decimal | None) -> list[str]:
    settled = leg.settled_quantity()
    if leg.status == "done" and settled == quantity:
        return []
    return [f"leg {leg.pk} is {leg.status}, settled {settled} of {quantity}: {leg.reason}"]


def _short_sales(held: Decimal, wanted: Decimal) -> list[str]:
    """Stops that want more than is held sell all of it but for less than a smallest order."""
    sales = Fill.objects.filter(
        status="confirmed", order__leg__trade__purpose="exit", order__instrument__venue="polymarket"
    )
    sold = sales.aggregate(total=Sum("quantity"))["total"] or ZERO
    most = min(held, wanted)
    return [] if most - 5 < sold <= most else [f"sold {sold} of {most} that could be sold"]


def _rested(rest: str) -> list[str]:
    legs = list(Leg.objects.filter(trade__strategy="rest"))
    if len(legs) != 1:
        return [f"the resting order has {len(legs)} legs"]
    leg, settled = legs[0], legs[0].settled_quantity()
    if rest == "matched":
        return _not_done(leg, RESTING_QUANTITY)
    if leg.status in ("cancelled", "done") and settled <= RESTING_QUANTITY:
        return []
    return [f"the withdrawn leg {leg.pk} is {leg.status} with {settled}"]


def _lost_mints(play: Play) -> list[str]:
    found = []
    for fill in _asking_fills().select_related("order__leg"):
        mint = Mint.objects.filter(fill=fill).first()
        if mint is None or (mint.status, mint.quantity) != ("confirmed", fill.quantity):
            found.append(f"fill {fill.pk} of {fill.quantity} has the mint {mint}")
    redeemed = Transaction.objects.filter(kind="redeem", status="confirmed").count()
    if redeemed != play.scenario.resolves:
        found.append(f"{redeemed} redemptions of a market that is resolved")
    by_hand = Mint.objects.filter(cause="hand").order_by("kind", "quantity")
    asked = sorted(play.scenario.asked)
    if list(by_hand.values_list("kind", "quantity")) != asked:
        found.append(f"{list(by_hand)} were asked for by hand, {asked} expected")
    for job in Mint.objects.exclude(cause="surplus", status="failed"):
        if job.status != "confirmed" or job.done_quantity != job.quantity or job.left:
            found.append(f"{job} has done {job.done_quantity} of {job.quantity}: {job.reason}")
    return found


def _strangers(ledger: dict) -> list[str]:
    """Orders at the exchange that we know nothing of."""
    known = set(Order.objects.exclude(order_id=None).values_list("order_id", flat=True))
    return [f"order {row['id']} is not ours" for row in ledger["orders"] if row["id"] not in known]


def _converted(ledger: dict) -> list[str]:
    """Conversions at the exchange that are not exactly our transactions, or not what jobs wanted."""
    found = []
    paid = [Decimal(row["amount"]) for row in ledger["redemptions"]]
    ours = Transaction.objects.filter(kind="redeem", status="confirmed")
    if paid != [sum(row.brought().values(), ZERO) for row in ours]:
        found.append(f"redeem: the exchange paid {paid}, we know of {list(ours)}")
    for kind, rows in (("split", ledger["splits"]), ("merge", ledger["merges"])):
        theirs = sorted((row["conditionId"], Decimal(row["amount"])) for row in rows)
        ours = Transaction.objects.filter(kind=kind, status="confirmed")
        known = sorted(ours.values_list("condition_id", "quantity"))
        if theirs != known:
            found.append(f"{kind}: the exchange has {theirs}, we know of {known}")
        jobs = Mint.objects.filter(kind=kind).values("instrument__condition_id").order_by()
        wanted = jobs.annotate(done=Sum("done_quantity"), all=Sum("quantity"))
        for row in wanted:
            condition = row["instrument__condition_id"]
            done = sum(amount for at, amount in theirs if at == condition)
            if done != row["done"]:
                found.append(f"{kind}: the exchange did {done}, our jobs say {row['done']}")
            if done > row["all"]:
                found.append(f"{kind}: the exchange did {done}, only {row['all']} were wanted")
    return found


def _oversold(play: Play, ledger: dict) -> list[str]:
    """More traded of a token on one side than all intents about it together."""
    traded: Counter[tuple[str, str]] = Counter()
    for row in ledger["trades"]:
        if row["status"] != "FAILED":
            traded[row["assetId"], row["side"].lower()] += Decimal(row["size"])  # type: ignore[assignment]
    wanted: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    wanted[play.tokens[0][0], "sell"] += sum(play.scenario.stops)
    wanted[SPOT, "sell"] += play.scenario.spot or 0
    for deal in play.scenario.deals:
        for leg in play.legs_of(deal):
            wanted[leg.instrument.symbol, leg.side] += leg.quantity
    if play.scenario.is_hedged:
        wanted[play.tokens[1][1], "buy"] += HEDGED
    if play.scenario.rest:
        wanted[play.tokens[2][0], "buy"] += RESTING_QUANTITY
    return [
        f"{side} of {token[:8]}: {quantity} traded, {wanted[token, side]} wanted"
        for (token, side), quantity in traded.items()
        if quantity > wanted[token, side]
    ]


def _other_bytes(posts: Path) -> list[str]:
    """Ids under which different bytes were sent."""
    bytes_of: dict[str, set[str]] = defaultdict(set)
    for line in posts.read_text().splitlines() if posts.exists() else []:
        name, digest = json.loads(line)
        bytes_of[name].add(digest)
    return [f"{name} was sent in {len(d)} versions" for name, d in bytes_of.items() if len(d) > 1]


def _differences(ledger: dict) -> list[str]:
    [held] = ledger["balances"].values()
    found = []
    for position in Position.objects.all():
        theirs = Decimal(held[position.asset])
        if (position.settled, position.matched) != (theirs, theirs):
            ours = f"{position.settled} settled, {position.matched} matched"
            found.append(f"{position.asset[:10]}: {ours}, {theirs} at the exchange")
    theirs_all = {
        (row["id"], row["orderId"], Decimal(row["size"]), Decimal(row["price"]), row["status"])
        for row in ledger["trades"]
    }
    fills = Fill.objects.select_related("order")
    ours_all = {
        (f.trade_id, f.order.order_id, f.quantity, f.price, f.status.upper()) for f in fills
    }
    found += [f"a trade that only we have: {row}" for row in ours_all - theirs_all]
    found += [f"a trade that we do not have: {row}" for row in theirs_all - ours_all]
    return found


def _imbalances() -> list[str]:
    """Postings that do not add up to nothing, and positions that their entries do not explain."""
    sums = Entry.objects.values("kind", "reference", "position__asset").annotate(
        matched=Sum("matched_change"), settled=Sum("settled_change")
    )
    found = [f"does not balance: {row}" for row in sums if row["matched"] or row["settled"]]
    own = Entry.objects.filter(account="wallet").order_by()
    per_asset = own.values("position").annotate(m=Sum("matched_change"), s=Sum("settled_change"))
    for row in per_asset:
        position = Position.objects.get(pk=row["position"])
        if (position.matched, position.settled) != (row["m"], row["s"]):
            found.append(f"{position.asset[:10]}: its entries add up to {row['m']} and {row['s']}")
    return found


def _reservations() -> list[str]:
    found = []
    for position in Position.objects.all():
        free = min(position.matched, position.settled) - position.reserved()
        if free < 0 or position.pending_transactions or position.pending_outflow:
            found.append(
                f"{position.asset[:10]}: {free} free, {position.pending_transactions}"
                f" pending, {position.pending_outflow} pending outflow"
            )
    over = Order.objects.filter(matched_quantity__gt=F("quantity"), side="sell")
    return found + [f"order {order.pk} is matched beyond its quantity" for order in over]


def _alarms(play: Play) -> list[str]:
    """What the system itself calls unexplained; no scenario gives a reason for it."""
    expected = EXPECTED_ALERTS | ({"leg_given_up"} if play.scenario.is_short else set())
    if FAILS_THRICE in play.scenario.faults:
        expected.add("mint_failed")
    found = [
        f"alert {alert.kind}: {alert.text}" for alert in Alert.objects.exclude(kind__in=expected)
    ]
    found += [f"halted: {halt.reason}" for halt in Halt.objects.all()]
    outside = Entry.objects.filter(kind__in=["outside", "hand"], account="wallet")
    return found + [f"booked as {e.kind}: {e.settled_change}" for e in outside]
