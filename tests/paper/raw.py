"""Requests the real client would not send, or whose answers it hides."""

from __future__ import annotations

import json
import time

import httpx
from polymarket import SecureClient
from polymarket._internal.actions.orders import post

from paper.keys import l2_signature
from tests.paper_process import PaperProcess


def wire(client: SecureClient, signed) -> dict:
    """Write a signed order as the client would, past its own checks."""
    return post._build_send_order_payload(signed, owner_api_key=client.credentials.key)


def post_raw(paper: PaperProcess, client: SecureClient, path: str, body: object) -> httpx.Response:
    """Post a body with a client's credentials and give the answer as it is."""
    creds, at, content = client.credentials, str(int(time.time())), json.dumps(body).encode()
    headers = {
        "POLY_ADDRESS": paper.owner, "POLY_API_KEY": creds.key,
        "POLY_PASSPHRASE": creds.passphrase, "POLY_TIMESTAMP": at,
        "POLY_SIGNATURE": l2_signature(creds.secret, at, "POST", path, content),
    }  # fmt: skip
    return paper.http.post(path, content=content, headers=headers)
