"""Sign orders without the network, and know their ids before the venue does.

The venue's id of an order is its EIP-712 digest: keccak(0x1901, domain of the exchange,
struct hash), whatever the wallet's type (docs.polymarket.com/v2-migration). All fields
are static words, so the encoding is their concatenation; a test holds the result against
the official client's generic (and slow) encoder.
"""

import secrets
import time
from functools import cache

from eth_hash.auto import keccak

from exchange.errors import Rejected
from exchange.polymarket import terms
from exchange.polymarket.addresses import CHAIN_ID, exchange_for
from exchange.polymarket.wallets import Wallet
from exchange.quantising import base_units
from exchange.types import OrderRequest, RejectionCode

ORDER_TYPE = (
    "Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,"
    "uint256 takerAmount,uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,"
    "bytes32 builder)"
)
_WRAPPED_TYPE = (
    "TypedDataSign(Order contents,string name,string version,uint256 chainId,"
    "address verifyingContract,bytes32 salt)" + ORDER_TYPE
)
_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_ZERO_WORD = bytes(32)
_ZERO_HEX = "0x" + "00" * 32
_DEPOSIT_WALLET_SIGNATURE = 3
_SALT_BITS = 53
"""JavaScript's safe integers: the salt travels as a JSON number."""
_V2_RESERVED_BITS = ((1 << 64) - 1) << 40


class OrderSigner:
    """Signs orders of one wallet with its owner's key."""

    def __init__(self, private_key: str, wallet: Wallet) -> None:
        from coincurve import PrivateKey

        self._key = PrivateKey.from_hex(private_key.removeprefix("0x"))
        self._wallet = wallet

    def sign(self, request: OrderRequest) -> tuple[str, dict[str, object]]:
        """Return the order's id and its signed wire form.

        Raises `Rejected` for numbers the venue would refuse and for tokens of
        Protocol V2, whose orders belong to another exchange contract.
        """
        token = token_number(request.symbol)
        terms.require_restable(request)
        maker, taker = terms.amounts(request)
        milliseconds = time.time_ns() // 1_000_000
        return self.sign_amounts(
            token_id=token,
            side=0 if request.side == "buy" else 1,
            maker_amount=base_units(maker),
            taker_amount=base_units(taker),
            neg_risk=request.neg_risk,
            salt=secrets.randbits(_SALT_BITS),
            timestamp=milliseconds,
            expiration=terms.expiration(request, milliseconds // 1000),
        )

    def sign_amounts(
        self,
        *,
        token_id: int,
        side: int,
        maker_amount: int,
        taker_amount: int,
        neg_risk: bool,
        salt: int,
        timestamp: int,
        expiration: int = 0,
    ) -> tuple[str, dict[str, object]]:
        """Sign exact amounts in base units; `side` is 0 to buy, `timestamp` in milliseconds.

        `expiration` (seconds) travels with the order and is no part of what is signed.
        """
        wallet = self._wallet
        signer = wallet.signing_address
        domain = _domain_separator(exchange_for(neg_risk))
        contents = keccak(
            _type_hash(ORDER_TYPE)
            + _word(salt)
            + _address(wallet.address)
            + _address(signer)
            + _word(token_id)
            + _word(maker_amount)
            + _word(taker_amount)
            + _word(side)
            + _word(wallet.signature_type)
            + _word(timestamp)
            + _ZERO_WORD
            + _ZERO_WORD
        )
        digest = keccak(b"\x19\x01" + domain + contents)
        order: dict[str, object] = {
            "builder": _ZERO_HEX,
            "expiration": str(expiration),
            "maker": wallet.address,
            "makerAmount": str(maker_amount),
            "metadata": _ZERO_HEX,
            "salt": salt,
            "side": "BUY" if side == 0 else "SELL",
            "signature": "0x" + self._signature(digest, domain, contents).hex(),
            "signatureType": wallet.signature_type,
            "signer": signer,
            "takerAmount": str(taker_amount),
            "timestamp": str(timestamp),
            "tokenId": str(token_id),
        }
        return "0x" + digest.hex(), order

    def _signature(self, digest: bytes, domain: bytes, contents: bytes) -> bytes:
        if self._wallet.signature_type != _DEPOSIT_WALLET_SIGNATURE:
            return self._sign_digest(digest)
        # ERC-7739: the owner signs the order nested in the wallet's own domain, and the
        # signature carries what the wallet contract needs to unfold it.
        wrapped = keccak(
            _type_hash(_WRAPPED_TYPE)
            + contents
            + _text_hash("DepositWallet")
            + _text_hash("1")
            + _word(CHAIN_ID)
            + _address(self._wallet.address)
            + _ZERO_WORD
        )
        inner = self._sign_digest(keccak(b"\x19\x01" + domain + wrapped))
        described = ORDER_TYPE.encode()
        return inner + domain + contents + described + len(described).to_bytes(2, "big")

    def _sign_digest(self, digest: bytes) -> bytes:
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])


def token_number(symbol: str) -> int:
    """Return a token id as a number; raises `Rejected('unknown_instrument')` for anything else."""
    if not (symbol.isascii() and symbol.isdigit()) or int(symbol) >> 256:
        raise Rejected(
            RejectionCode.UNKNOWN_INSTRUMENT, f"expected a decimal token id, found {symbol[:80]!r}"
        )
    number = int(symbol)
    if number & _V2_RESERVED_BITS == 0:
        raise Rejected(
            RejectionCode.UNKNOWN_INSTRUMENT,
            f"{symbol} is a position of Polymarket's Protocol V2, which is not supported",
        )
    return number


@cache
def _domain_separator(exchange: str) -> bytes:
    return keccak(
        _type_hash(_DOMAIN_TYPE)
        + _text_hash("Polymarket CTF Exchange")
        + _text_hash("2")
        + _word(CHAIN_ID)
        + _address(exchange)
    )


@cache
def _type_hash(described: str) -> bytes:
    return keccak(described.encode())


_text_hash = _type_hash


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _address(text: str) -> bytes:
    return bytes(12) + bytes.fromhex(text[2:])
