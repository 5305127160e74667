"""What gas costs, and how much of it a transaction uses; prices in wei."""

from __future__ import annotations

from paper.actions import Action, Approval, Conversion
from paper.store import Store

GWEI = 10**9
TIP = 30 * GWEI
"""What the node suggests as a priority fee."""
LEAST_TIP = 25 * GWEI
"""Below this Polygon's nodes take nothing: their `txpool.pricelimit`."""
BLOCK_LIMIT = 45_000_000
RELAYED = 90_000
"""What a relayer's transaction costs around the wallet's calls."""
UNKNOWN = 3_000
"""What a contract's unknown function uses until it reverts."""
_BASE_FEE = 30 * GWEI
_TRANSFER = 21_000
_ZERO_BYTE, _OTHER_BYTE = 4, 16
_APPROVAL, _MERGE, _SPLIT = 27_000, 240_000, 310_000


def base_fee(store: Store) -> int:
    """Give the present base fee, the same in every block until it is set anew."""
    return int(store.arranged("base_fee") or _BASE_FEE)


def set_base_fee(store: Store, wei: int) -> None:
    """Set the base fee."""
    store.arrange("base_fee", str(wei))


def intrinsic(data: bytes) -> int:
    """Give what a transaction uses before its call does anything."""
    zeros = data.count(0)
    return _TRANSFER + zeros * _ZERO_BYTE + (len(data) - zeros) * _OTHER_BYTE


def work_of(action: Action) -> int:
    """Give what a known call uses, about what the real contracts do."""
    if isinstance(action, Approval):
        return _APPROVAL
    return _SPLIT if isinstance(action, Conversion) and action.kind == "split" else _MERGE
