"""Token ids of a condition's outcomes, as the ConditionalTokens contract numbers them.

Checked against docs.polymarket.com's examples; the collateral is USDC.e for standard markets and the
wrapped collateral for neg-risk ones, never pUSD.
"""

from __future__ import annotations

from eth_hash.auto import keccak

from paper.addresses import USDC_E, WRAPPED_COLLATERAL
from paper.encoding import from_hex

_FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583


def token_ids(condition_id: str, neg_risk: bool) -> tuple[str, str]:
    """Give the ids of the first and the second outcome's token, as decimal text."""
    collateral = from_hex(WRAPPED_COLLATERAL if neg_risk else USDC_E)
    condition = from_hex(condition_id)
    first, second = (
        str(int.from_bytes(keccak(collateral + _collection_id(condition, index)), "big"))
        for index in (1, 2)
    )
    return first, second


def _collection_id(condition: bytes, index_set: int) -> bytes:
    """Find the point on alt_bn128 that stands for one outcome of a condition without a parent."""
    x = int.from_bytes(keccak(condition + index_set.to_bytes(32, "big")), "big")
    odd = x >> 255 != 0
    while True:
        x = (x + 1) % _FIELD
        square = (pow(x, 3, _FIELD) + 3) % _FIELD
        y = pow(square, (_FIELD + 1) // 4, _FIELD)
        if y * y % _FIELD == square:
            break
    if odd != (y % 2 == 1):
        y = _FIELD - y
    if y % 2 == 1:
        x ^= 1 << 254
    return x.to_bytes(32, "big")
