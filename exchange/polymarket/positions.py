"""Token ids computed from a condition, to know before minting what a split would bring.

The arithmetic is `CTHelpers.getCollectionId` and `getPositionId` of Gnosis's
ConditionalTokens (github.com/gnosis/conditional-tokens-contracts), with no parent
collection, as Polymarket uses it.
"""

from eth_hash.auto import keccak

from exchange.polymarket.addresses import BRIDGED_USDC, WRAPPED_COLLATERAL

_FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""The prime of alt_bn128, on which collection ids are points."""


def position_id(condition_id: str, index: int, neg_risk: bool) -> str:
    """Return the token id of outcome `index` (0 or 1) as the decimal text a venue uses.

    Raises `ValueError` for a condition that is not 32 bytes of hex.
    """
    condition = bytes.fromhex(condition_id.removeprefix("0x"))
    if len(condition) != 32 or index not in (0, 1):
        raise ValueError(f"expected a 32-byte condition and outcome 0 or 1, found {condition_id}")
    collateral = WRAPPED_COLLATERAL if neg_risk else BRIDGED_USDC
    collection = _collection_id(condition, 1 << index)
    digest = keccak(bytes.fromhex(collateral[2:]) + collection)
    return str(int.from_bytes(digest, "big"))


def _collection_id(condition: bytes, index_set: int) -> bytes:
    x = int.from_bytes(keccak(condition + index_set.to_bytes(32, "big")), "big")
    is_odd = bool(x >> 255)
    while True:
        x = (x + 1) % _FIELD
        square = (pow(x, 3, _FIELD) + 3) % _FIELD
        y = pow(square, (_FIELD + 1) // 4, _FIELD)
        if y * y % _FIELD == square:
            break
    if is_odd != bool(y % 2):
        y = _FIELD - y
    if y % 2:
        x ^= 1 << 254
    return x.to_bytes(32, "big")
