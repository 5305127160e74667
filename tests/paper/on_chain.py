"""Talking to the paper exchange's chain: JSON-RPC, transactions signed by eth_account, logs read by hand."""

from __future__ import annotations

from typing import Any

from eth_account import Account
from polymarket._internal.actions.relayer import calls

from tests.paper.conftest import OWNER_KEY
from tests.paper_process import PaperProcess, wait_until

PUSD = "0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB"
CTF = "0x4D97DCd97eC945f40cF65F87097ACe5EA0476045"
ADAPTER = "0xAdA100Db00Ca00073811820692005400218FcE1f"
NEG_RISK_ADAPTER = "0xadA2005600Dec949baf300f4C6120000bDB6eAab"
NOWHERE = "0x" + "11" * 20
GWEI = 10**9
PLENTY = {"maxFeePerGas": 200 * GWEI, "maxPriorityFeePerGas": 30 * GWEI}
TRANSFER_BATCH = "0x4a39dc06d4c0dbc64b70af90fd698a233a518aa5d07e595d983b8c0526c8f7fb"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


def rpc(paper: PaperProcess, method: str, *params: object) -> Any:
    """Call a method and give its result, or fail."""
    body = answered(paper, method, *params)
    assert "error" not in body, body
    return body["result"]


def refused(paper: PaperProcess, method: str, *params: object) -> tuple[int, str]:
    """Call a method that must fail and give the error's code and message."""
    error = answered(paper, method, *params)["error"]
    return error["code"], error["message"]


def answered(paper: PaperProcess, method: str, *params: object) -> dict[str, Any]:
    """Call a method and give the whole answer."""
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}
    answer: dict[str, Any] = paper.http.post("/rpc", json=body).json()
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
    return answer


def split(market: dict[str, Any], amount: int) -> calls.TransactionCall:
    """Build the official client's call that splits an amount of base units."""
    return calls.ctf_split_position_call(
        target=adapter_of(market), collateral=PUSD, condition_id=market["conditionId"],
        amount=amount,
    )  # fmt: skip


def merge(market: dict[str, Any], amount: int) -> calls.TransactionCall:
    """Build the official client's call that merges an amount of base units."""
    return calls.ctf_merge_positions_call(
        target=adapter_of(market), collateral=PUSD, condition_id=market["conditionId"],
        amount=amount,
    )  # fmt: skip


def redeem(market: dict[str, Any]) -> calls.TransactionCall:
    """Build the official client's call that redeems a condition."""
    return calls.ctf_redeem_positions_call(
        ctf=adapter_of(market), collateral=PUSD, condition_id=market["conditionId"]
    )


def adapter_of(market: dict[str, Any]) -> Any:
    """Name the adapter that a market's positions go through."""
    return NEG_RISK_ADAPTER if market["negRisk"] else ADAPTER


def as_request(call: calls.TransactionCall, sender: str) -> dict[str, str]:
    """Write a call as eth_call and eth_estimateGas take it."""
    return {"from": sender, "to": str(call.to), "data": call.data, "value": hex(call.value)}


def signed(call: calls.TransactionCall, nonce: int, key: str = OWNER_KEY, **fields: object) -> str:
    """Sign a transaction with eth_account; two fees unless `gasPrice` is among the fields."""
    fees = {} if "gasPrice" in fields else PLENTY
    transaction = {
        "to": str(call.to), "data": call.data, "value": call.value, "gas": 500_000,
        "nonce": nonce, "chainId": 137, **fees, **fields,
    }  # fmt: skip
    return "0x" + Account.sign_transaction(transaction, key).raw_transaction.hex()


def send(paper: PaperProcess, raw: str) -> str:
    """Send a raw transaction and give its hash."""
    sent: str = rpc(paper, "eth_sendRawTransaction", raw)
    return sent


def receipt_of(paper: PaperProcess, hash_: str) -> dict[str, Any]:
    """Wait for a transaction's receipt."""
    receipt: dict[str, Any] = wait_until(lambda: rpc(paper, "eth_getTransactionReceipt", hash_))
    return receipt


def nonce_of(paper: PaperProcess, address: str, tag: str = "latest") -> int:
    """Give an address's nonce."""
    return int(rpc(paper, "eth_getTransactionCount", address, tag), 16)


def pol_of(paper: PaperProcess, address: str) -> int:
    """Give an address's POL in wei."""
    return int(rpc(paper, "eth_getBalance", address, "latest"), 16)


def party(topic: str) -> str:
    """Read the address in an indexed topic, in lower case."""
    return "0x" + topic[-40:]
