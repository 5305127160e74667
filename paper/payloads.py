"""An order as it comes over the wire, read and checked for form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paper.encoding import checksum, from_hex
from paper.errors import Refused
from paper.signatures import SignedOrder

TYPES = ("GTC", "GTD", "FOK", "FAK")


@dataclass(frozen=True, slots=True)
class PostedOrder:
    """One order of a POST /order body; `expiration` in epoch seconds, 0 for none."""

    signed: SignedOrder
    owner: str
    type: str
    expiration: int
    post_only: bool

    @property
    def token(self) -> str:
        """Give the token id as the text it is known by."""
        return str(self.signed.token_id)

    @property
    def spends_budget(self) -> bool:
        """Say whether the order is a market BUY, whose amount is collateral."""
        return self.type in ("FAK", "FOK") and self.signed.side == "BUY"

    @property
    def shares(self) -> int:
        """Give the order's shares in base units."""
        sell = self.signed.side == "SELL"
        return self.signed.maker_amount if sell else self.signed.taker_amount

    @property
    def collateral(self) -> int:
        """Give the order's collateral in base units."""
        sell = self.signed.side == "SELL"
        return self.signed.taker_amount if sell else self.signed.maker_amount


def read_order(body: object) -> PostedOrder:
    """Read one order's body; raises Refused 400 when it is not one.

    An order of the first generation (without timestamp, metadata, builder) is named as such.
    """
    if not isinstance(body, dict) or not isinstance(body.get("order"), dict):
        raise Refused(400, "Invalid order payload")
    fields = body["order"]
    if not {"timestamp", "metadata", "builder"} <= fields.keys():
        raise Refused(400, "order_version_mismatch")
    try:
        signed = _signed(fields)
        expiration = _whole(fields["expiration"])
    except (KeyError, TypeError, ValueError):
        raise Refused(400, "Invalid order payload") from None
    owner, kind, post_only = body.get("owner"), body.get("orderType"), body.get("postOnly", False)
    if not isinstance(owner, str) or kind not in TYPES or not isinstance(post_only, bool):
        raise Refused(400, "Invalid order payload")
    return PostedOrder(signed, owner, kind, expiration, post_only)


def _signed(fields: Mapping[str, object]) -> SignedOrder:
    metadata, builder = str(fields["metadata"]), str(fields["builder"])
    if len(from_hex(metadata)) != 32 or len(from_hex(builder)) != 32:
        raise ValueError("expected 32 bytes")
    side = fields["side"]
    if side not in ("BUY", "SELL"):
        raise ValueError("expected BUY or SELL")
    return SignedOrder(
        salt=_whole(fields["salt"]),
        maker=checksum(str(fields["maker"])),
        signer=checksum(str(fields["signer"])),
        token_id=_whole(fields["tokenId"], 256),
        maker_amount=_whole(fields["makerAmount"], 60),
        taker_amount=_whole(fields["takerAmount"], 60),
        side=str(side),
        signature_type=_whole(fields["signatureType"], 8),
        timestamp=_whole(fields["timestamp"]),
        metadata=metadata,
        builder=builder,
        signature=from_hex(str(fields["signature"])),
    )


def _whole(value: object, bits: int = 64) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected a whole number")  # noqa: TRY004 - callers know one error
    text = str(value)
    if not (text.isascii() and text.isdecimal()) or len(text) > 78:
        raise ValueError("expected a whole number")
    if int(text) >= 1 << bits:
        raise ValueError("number too large")
    return int(text)
