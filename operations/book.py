"""Positions as they are shown: what is held, what of it is free, and in which market."""

from collections.abc import Collection
from typing import Any

from django.db.models import Q

from orders import reserving
from orders.models import Entry, Instrument, Position
from polytrader.numbers import plain, plain_or_none
from strategy.inventory import Pairs, pairs_of

LATEST_ENTRIES = 100


def show_positions(positions: Collection[Position]) -> list[dict[str, Any]]:
    """Positions with what is reserved and sellable of each: a handful of queries for them all."""
    reserved = reserving.reserved(positions)
    assets = [position.asset for position in positions]
    names, pairs = names_of(assets), pairs_of(assets)
    return [
        {
            "assetId": position.asset,
            "venue": position.venue,
            "question": names.get(position.asset, ("", ""))[0],
            "outcome": names.get(position.asset, ("", ""))[1],
            "matched": plain(position.matched),
            "settled": plain(position.settled),
            "reserved": plain(reserved[position.asset]),
            "sellable": plain(reserving.free(position, reserved[position.asset])),
            **_show_pairs(pairs.get(position.asset)),
            "venueBalance": plain_or_none(position.venue_balance),
            "comparedAt": position.compared_at,
        }
        for position in positions
    ]


def _show_pairs(pairs: Pairs | None) -> dict[str, str | None]:
    """Of an outcome token; collateral and spot assets have none."""
    return {
        "pairs": None if pairs is None else plain(pairs.held),
        "surplus": None if pairs is None else plain(pairs.surplus),
    }


def names_of(assets: Collection[str]) -> dict[str, tuple[str, str]]:
    """Question and outcome of tokens; a token known as the other side of a market is `not` that."""
    known = Instrument.objects.filter(Q(base_asset__in=assets) | Q(complement__in=assets))
    names: dict[str, tuple[str, str]] = {}
    for row in known.exclude(condition_id=""):
        names.setdefault(row.complement, (row.question, f"not {row.outcome}"))
    return names | {row.base_asset: (row.question, row.outcome) for row in known}


def show_entries(position: Position) -> list[dict[str, Any]]:
    """The latest changes of what the wallet holds, youngest first."""
    rows = Entry.objects.filter(position=position, account="wallet").order_by("-pk")
    return [
        {
            "at": row.created_at,
            "kind": row.kind,
            "reference": row.reference,
            "matchedChange": plain(row.matched_change),
            "settledChange": plain(row.settled_change),
        }
        for row in rows[:LATEST_ENTRIES]
    ]
