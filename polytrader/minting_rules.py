"""How the wallet may convert collateral and tokens: limits, approvals, fees, contracts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from polytrader.variables import Values, wrong

UNLIMITED = "unlimited"


@dataclass(frozen=True)
class MintingRules:
    """The settings of the queue `mint-queue`; quantities in shares, collateral in pUSD.

    - `reserve_factor`: the free collateral must be this many times what a split takes.
    - `expiry`: a request that has waited longer fails; `None`: never.
    - `least`, `most`: of one split; fewer wait for more requests, more go out in parts.
    - `approval_cap`: what a contract is approved for when an approval is missing; `None`
      means exactly what the conversion needs, an infinite one that somebody asked for it.
    - `approve_tokens`: whether an EOA may let the adapter move all its outcome tokens,
      which a merge or redemption needs (ERC-1155 knows no amounts).
    - `confirmations`: blocks above a transaction that the wallet sent itself.
    - `max_fee_gwei`: the most such a transaction bids per unit of gas.
    - `keep_pairs`: pairs per market that are inventory; what exceeds them is surplus.
    - `merge_above`: a surplus larger than this is merged; `None`: only when asked.
    - `redeem_resolved`: whether what is held of resolved markets is redeemed unasked.
    """

    reserve_factor: Decimal
    expiry: timedelta | None
    least: Decimal
    most: Decimal
    approval_cap: Decimal | None
    approve_tokens: bool
    confirmations: int
    max_fee_gwei: int
    keep_pairs: Decimal
    merge_above: Decimal | None
    redeem_resolved: bool
    adapter: str | None
    neg_risk_adapter: str | None


def read_minting_rules(values: Values) -> MintingRules:
    """Read them from the environment. Raises ConfigurationError."""
    least, most = values.decimal("MINT_MIN_PER_SPLIT", "0"), _most(values)
    if least > most:
        raise wrong("MINT_MIN_PER_SPLIT", str(least), f"at most MINT_MAX_PER_SPLIT, {most}")
    expiry = values.decimal("MINT_EXPIRY_SECONDS", "0")
    return MintingRules(
        reserve_factor=_reserve_factor(values),
        expiry=timedelta(seconds=int(expiry)) if expiry else None,
        least=least,
        most=most,
        approval_cap=_approval_cap(values),
        approve_tokens=values.flag("MINT_APPROVE_TOKENS"),
        confirmations=values.whole("MINT_CONFIRMATIONS", 5, highest=1000),
        max_fee_gwei=values.whole("MINT_MAX_FEE_GWEI", 1000, highest=1_000_000),
        keep_pairs=values.decimal("MERGE_KEEP_PAIRS", "0"),
        merge_above=None
        if values.text("MERGE_ABOVE_PAIRS") is None
        else values.decimal("MERGE_ABOVE_PAIRS", "0"),
        redeem_resolved=values.flag("REDEEM_RESOLVED", default="on"),
        adapter=values.address("POLY_COLLATERAL_ADAPTER"),
        neg_risk_adapter=values.address("POLY_NEG_RISK_ADAPTER"),
    )


def _reserve_factor(values: Values) -> Decimal:
    factor = values.decimal("MINT_RESERVE_FACTOR", "6")
    if factor < 1:
        raise wrong("MINT_RESERVE_FACTOR", str(factor), "at least 1: a split takes its size")
    return factor


def _most(values: Values) -> Decimal:
    most = values.decimal("MINT_MAX_PER_SPLIT", "100000")
    if most == 0:
        raise wrong("MINT_MAX_PER_SPLIT", "0", "more than 0; pause the queue to mint nothing")
    return most


def _approval_cap(values: Values) -> Decimal | None:
    text = values.text("MINT_APPROVAL_CAP")
    if text is None:
        return None
    if text.lower() == UNLIMITED:
        return Decimal("Infinity")
    return values.decimal("MINT_APPROVAL_CAP", "0") or None
