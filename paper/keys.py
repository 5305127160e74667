"""API keys: made with a wallet key's signature (L1), then proved by an HMAC on each call (L2).

Source: docs.polymarket.com/trading/wallets-auth; the HMAC is over timestamp, method, path without the
query string, and the body's bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from paper.encoding import checksum, from_hex
from paper.errors import Refused
from paper.signatures import login_signer
from paper.store import Store

LOGIN_WINDOW = 300
CALL_WINDOW = 60
"""How far, in seconds, a login's or a call's timestamp may be from our clock."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key and the address that owns it."""

    key: str
    address: str
    secret: str
    passphrase: str


def l2_signature(secret: str, timestamp: str, method: str, path: str, body: bytes) -> str:
    """Compute the POLY_SIGNATURE of a call."""
    raw = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    message = f"{timestamp}{method}{path}".encode() + body
    return base64.urlsafe_b64encode(hmac.new(raw, message, hashlib.sha256).digest()).decode()


def issue_key(store: Store, headers: Mapping[str, str], create: bool) -> ApiKey:
    """Give the key of an address and nonce, making it when asked to.

    The same address and nonce always have the same key. Raises Refused 401 when the L1 headers do not
    prove the address, 400 when there is nothing to derive.
    """
    address, nonce = _verified_login(headers)
    row = store.one("SELECT * FROM api_keys WHERE address = ? AND nonce = ?", address, nonce)
    if row is None or row["deleted"]:
        if not create:
            raise Refused(400, "Could not derive api key!")
        with store.transaction():
            store.write("DELETE FROM api_keys WHERE address = ? AND nonce = ?", address, nonce)
            return _make_key(store, address, nonce)
    return ApiKey(row["key"], row["address"], row["secret"], row["passphrase"])


def _verified_login(headers: Mapping[str, str]) -> tuple[str, int]:
    try:
        address = checksum(headers["POLY_ADDRESS"])
        timestamp, nonce = headers["POLY_TIMESTAMP"], int(headers["POLY_NONCE"])
        signature = from_hex(headers["POLY_SIGNATURE"])
        fresh = abs(time.time() - int(timestamp)) <= LOGIN_WINDOW
        signer = login_signer(address, timestamp, nonce, signature)
    except (KeyError, ValueError):
        raise Refused(401, "Invalid L1 Request headers") from None
    if not fresh or signer != address or nonce >= 1 << 63:
        raise Refused(401, "Invalid L1 Request headers")
    return address, nonce


def _make_key(store: Store, address: str, nonce: int) -> ApiKey:
    root = store.meta("key_root")
    if root is None:
        root = secrets.token_hex(32)
        store.remember("key_root", root)
    seed = hmac.new(root.encode(), f"{address} {nonce}".encode(), hashlib.sha512).digest()
    key = ApiKey(
        str(uuid.UUID(bytes=seed[:16], version=4)),
        address,
        base64.urlsafe_b64encode(seed[16:48]).decode(),
        hashlib.sha256(seed).hexdigest(),
    )
    store.write(
        "INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, 0)",
        key.key, address, nonce, key.secret, key.passphrase,
    )  # fmt: skip
    return key


def verify_call(
    store: Store, headers: Mapping[str, str], method: str, path: str, body: bytes
) -> ApiKey:
    """Give the key that a private call proves; raises Refused 401 when it proves none."""
    refused = Refused(401, "Unauthorized/Invalid api key")
    row = store.one(
        "SELECT * FROM api_keys WHERE key = ? AND deleted = 0", headers.get("POLY_API_KEY", "")
    )
    if row is None:
        raise refused
    timestamp = headers.get("POLY_TIMESTAMP", "")
    expected = l2_signature(row["secret"], timestamp, method, path, body)
    given = headers.get("POLY_SIGNATURE", "")
    if not (
        timestamp.isascii()
        and timestamp.isdecimal()
        and abs(time.time() - int(timestamp[:16])) <= CALL_WINDOW
        and headers.get("POLY_ADDRESS", "").lower() == row["address"].lower()
        and hmac.compare_digest(
            headers.get("POLY_PASSPHRASE", "").encode(), row["passphrase"].encode()
        )
        and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
    ):
        raise refused
    return ApiKey(row["key"], row["address"], row["secret"], row["passphrase"])
