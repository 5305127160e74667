"""Preparing a conversion: what the jobs of a batch want, checked against the market and our book."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal

from django.utils import timezone

from exchange.polymarket.positions import position_id
from exchange.types import Conversion
from minting.choosing import Batch, Parts, parts_of, too_few_pairs, too_little_collateral
from minting.models import Resolution
from orders import balances, instruments, reserving
from orders.ledger import BASE_UNIT
from orders.models import Instrument, Position
from orders.venues import minter
from polytrader.minting_rules import MintingRules
from polytrader.numbers import plain

DESCRIBED_WITHIN = timedelta(seconds=60)
"""How old our description of a market may be when collateral is turned into its tokens."""

ZERO = Decimal(0)


class PutOff(Exception):
    """The jobs cannot go out now; the text says why, in words for the user."""


class GiveUp(Exception):
    """The jobs can never be done; the text says why, in words for the user."""


@dataclass(frozen=True)
class Plan:
    """A conversion that can be signed, and what it moves by asset."""

    batch: Batch
    instrument: Instrument
    parts: Parts
    conversion: Conversion
    takes: Mapping[str, Decimal]
    brings: Mapping[str, Decimal]


def prepare(batch: Batch, rules: MintingRules) -> Plan:
    """Say what goes out for a batch. Raises `PutOff`, `GiveUp`, or what the venue raises."""
    instrument = batch.instrument
    if batch.kind == "split":  # the others need the chain alone, whatever the venue says
        instrument = _described(instrument)
    tokens = tokens_of(instrument)
    for asset in assets_of(instrument):
        balances.opened(asset, instrument.venue)
    plans = {"split": _split, "merge": _merge, "redeem": _redeem}
    return plans[batch.kind](batch, instrument, tokens, rules)


def assets_of(instrument: Instrument) -> list[str]:
    """Both outcomes and the collateral."""
    return [instrument.base_asset, instrument.complement, instrument.quote_asset]


def free_of(assets: list[str]) -> dict[str, Decimal]:
    """What is sellable of each."""
    return reserving.sellable(list(Position.objects.filter(asset__in=assets)))


def _described(instrument: Instrument) -> Instrument:
    """The instrument as the venue describes it now. Raises what the venue raises."""
    if instrument.updated_at < timezone.now() - DESCRIBED_WITHIN:
        instruments.reread(instrument)
        instrument.refresh_from_db()
    return instrument


def tokens_of(instrument: Instrument) -> tuple[str, str]:
    """Both token ids in the condition's order, if they are those that the chain would make."""
    if not instrument.condition_id:
        raise GiveUp(f"{instrument.symbol} is no outcome token; only those are minted")
    if instrument.neg_risk and not instrument.neg_risk_id:
        raise GiveUp(
            "a neg-risk market without the id of its event is not minted for: "
            "its collateral could not be told for sure"
        )
    try:
        first, second = (
            position_id(instrument.condition_id, index, instrument.neg_risk) for index in (0, 1)
        )
    except ValueError as error:
        raise GiveUp(f"the market's condition is unreadable: {error}") from None
    if {first, second} != {instrument.base_asset, instrument.complement}:
        raise GiveUp(
            "the chain would make other tokens of this condition than the market trades; "
            "nothing is converted"
        )
    return first, second


def conversion_of(
    kind: str, instrument: Instrument, tokens: tuple[str, str], quantity: Decimal
) -> Conversion:
    """The conversion as the adapter takes it."""
    return Conversion(
        kind=kind,  # type: ignore[arg-type]
        condition_id=instrument.condition_id,
        neg_risk=instrument.neg_risk,
        tokens=tokens,
        quantity=quantity,
    )


def _split(
    batch: Batch, instrument: Instrument, tokens: tuple[str, str], rules: MintingRules
) -> Plan:
    if instrument.is_closed:
        raise GiveUp("the market is closed for good: nothing more is minted for it")
    if not instrument.accepting_orders:
        raise PutOff("the market takes no orders now; nothing is minted until it does")
    collateral = instrument.quote_asset
    free = free_of([collateral])[collateral]
    wanted = min(sum((job.left for job in batch.jobs), start=ZERO), rules.most)
    if free < rules.reserve_factor * wanted:
        balances.compare(collateral, instrument.venue)  # it may have been topped up just now
        free = free_of([collateral])[collateral]
    parts = parts_of(batch.jobs, rules, lambda total: too_little_collateral(free, total, rules))
    total = _at_least_some(parts)
    is_rest = any(job.done_quantity for job, _ in parts.taken)
    if total < rules.least and not is_rest:
        raise PutOff(
            f"{plain(total)} requested; at least {plain(rules.least)} go out together "
            "(MINT_MIN_PER_SPLIT)"
        )
    return _plan(
        batch, instrument, parts, tokens, {collateral: total}, dict.fromkeys(tokens, total)
    )


def _merge(
    batch: Batch, instrument: Instrument, tokens: tuple[str, str], rules: MintingRules
) -> Plan:
    pairs = min(free_of(list(tokens)).values())
    parts = parts_of(batch.jobs, rules, lambda total: too_few_pairs(pairs, total))
    total = _at_least_some(parts)
    brings = {instrument.quote_asset: total}
    return _plan(batch, instrument, parts, tokens, dict.fromkeys(tokens, total), brings)


def _redeem(
    batch: Batch, instrument: Instrument, tokens: tuple[str, str], rules: MintingRules
) -> Plan:
    """Redeem everything held: the chain knows no part of it."""
    payouts = minter().payouts(instrument.condition_id)
    if payouts is None:
        raise PutOff("the market is not resolved yet")
    note_payouts(instrument.condition_id, payouts)
    free = free_of(list(tokens))
    held = {row.asset: row.settled for row in Position.objects.filter(asset__in=tokens)}
    if free != held:
        raise PutOff("orders or trades of its tokens are not final yet")
    if not any(held.values()):
        raise GiveUp("nothing is held of this market any more")
    takes = {token: held[token] for token in tokens if held[token]}
    paid = sum(
        (_whole(held[token] * pays) for token, pays in zip(tokens, payouts, strict=True)), ZERO
    )
    brings = {instrument.quote_asset: paid} if paid else {}
    parts = Parts([(job, job.left) for job in batch.jobs])
    return _plan(batch, instrument, parts, tokens, takes, brings)


def _whole(amount: Decimal) -> Decimal:
    """Round down to what the chain can pay; ConditionalTokens divides per outcome, in base units."""
    return amount.quantize(BASE_UNIT, ROUND_FLOOR)


def note_payouts(condition_id: str, payouts: tuple[Decimal, Decimal] | None) -> None:
    """Note what the chain said of a condition."""
    first, second = payouts or (None, None)
    Resolution.objects.update_or_create(
        condition_id=condition_id,
        defaults={
            "checked_at": timezone.now(),
            "first_payout": first,
            "second_payout": second,
        },
    )


def _at_least_some(parts: Parts) -> Decimal:
    if not parts.taken:
        raise PutOff(parts.short[0][1])
    return parts.total


def _plan(
    batch: Batch,
    instrument: Instrument,
    parts: Parts,
    tokens: tuple[str, str],
    takes: Mapping[str, Decimal],
    brings: Mapping[str, Decimal],
) -> Plan:
    conversion = conversion_of(batch.kind, instrument, tokens, parts.total)
    return Plan(batch, instrument, parts, conversion, takes, brings)
