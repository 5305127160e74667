"""What the venue refuses before an order reaches the book, in the venue's words.

Texts: docs.polymarket.com error codes and live answers quoted in the clients' issues.
"""

from __future__ import annotations

from eth_hash.auto import keccak

from paper import money
from paper.addresses import exchange_for
from paper.encoding import to_hex
from paper.errors import Refused
from paper.keys import ApiKey
from paper.markets import Market
from paper.money import UNIT
from paper.payloads import PostedOrder
from paper.signatures import order_signer
from paper.wallets import deposit_wallets, proxy_wallet, safe_wallet

GTD_NOTICE = 60
"""A GTD order dies this many seconds before its stated expiration."""
_AMOUNT_STEP = 100


def order_id(posted: PostedOrder, market: Market) -> str:
    """Give the order's id: the EIP-712 digest for the market's exchange."""
    return to_hex(posted.signed.digest(exchange_for(market.neg_risk)))


def check_authority(posted: PostedOrder, key: ApiKey, market: Market) -> None:
    """Refuse an order that the API key's owner did not sign for this market."""
    signed = posted.signed
    if posted.owner != key.key:
        raise Refused(400, "the order owner has to be the owner of the API KEY")
    makers = _makers(key.address, signed.signature_type)
    if not makers:
        raise Refused(400, "maker address not allowed, please use the deposit wallet flow")
    signers = makers if signed.signature_type == 3 else (key.address,)
    if signed.signer not in signers:
        raise Refused(400, "the order signer address has to be the address of the API KEY")
    if signed.maker not in makers or (signed.signature_type == 3 and signed.maker != signed.signer):
        raise Refused(400, "invalid signature")
    if order_signer(signed, exchange_for(market.neg_risk)) != key.address:
        raise Refused(400, "invalid signature")


def _makers(owner: str, signature_type: int) -> tuple[str, ...]:
    """List the wallets that an owner's orders of a signature type may be for."""
    if signature_type == 0:
        return (owner,)
    if signature_type == 1:
        return (proxy_wallet(owner),)
    if signature_type == 2:
        return (safe_wallet(owner),)
    return deposit_wallets(owner) if signature_type == 3 else ()


def limit_price(posted: PostedOrder, market: Market, order: str) -> int:
    """Give the order's limit in millionths, on the tick grid; raises Refused when it is not on it.

    Amounts are rounded to at least 4 decimals by the clients, so a limit counts as on the grid when
    the collateral is that of a grid price to within one such step.
    """
    shares, collateral = posted.shares, posted.collateral
    if shares <= 0 or collateral <= 0:
        raise Refused(400, f"order {order} is invalid. Invalid amounts")
    price = (collateral * UNIT + shares * market.tick // 2) // (shares * market.tick) * market.tick
    if abs(money.notional(shares, price) - collateral) > _AMOUNT_STEP:
        shown = money.text(collateral * UNIT // shares)
        raise Refused(
            400,
            f"order {order} is invalid. Price ({shown}) breaks minimum tick size rule:"
            f" {money.text(market.tick)}",
        )
    if not market.tick <= price <= UNIT - market.tick:
        low, high = money.text(market.tick), money.text(UNIT - market.tick)
        raise Refused(400, f"invalid price ({money.text(price)}), min: {low} - max: {high}")
    return price


def check_open(market: Market) -> None:
    """Refuse an order in a market that is closed or paused."""
    if market.closed:
        raise Refused(400, "the market is closed")
    if not market.accepting:
        raise Refused(400, "the market is not accepting orders")


def check_terms(
    posted: PostedOrder, market: Market, order: str, now_s: int, gtd_seconds: int
) -> None:
    """Refuse an order whose size, precision or expiration the venue does not take.

    A GTD order's expiration has to be at least `gtd_seconds` ahead.
    """
    signed = posted.signed
    market_order = posted.type in ("FAK", "FOK")
    if market_order and (signed.maker_amount % 10_000 or signed.taker_amount % 100):
        raise Refused(
            400,
            f"invalid amounts, the market {signed.side.lower()} orders maker amount supports a max"
            " accuracy of 2 decimals, taker amount a max of 4 decimals",
        )
    if posted.shares < market.min_size:
        raise Refused(
            400,
            f"order {order} is invalid. Size ({money.text(posted.shares)}) lower than the"
            f" minimum: {money.text(market.min_size)}",
        )
    if posted.type == "GTD":
        if posted.expiration < now_s + gtd_seconds:
            raise Refused(400, "invalid expiration")
    elif posted.expiration:
        raise Refused(400, "invalid expiration")
    if posted.post_only and market_order:
        raise Refused(400, "invalid post-only order: only GTC and GTD orders can be post-only")


def anonymous(reference: str) -> tuple[str, str]:
    """Invent the order id and the address of a counterparty we do not know, from a trade's id."""
    return to_hex(keccak(reference.encode())), "0x" + keccak(b"maker " + reference.encode())[
        12:
    ].hex()
