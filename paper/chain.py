"""Just enough of Polygon's JSON-RPC: what the clients read, from the ledger's rows."""

from __future__ import annotations

from collections.abc import Callable

from paper import addresses
from paper.addresses import CHAIN_ID, CONDITIONAL_TOKENS, NEG_RISK_ADAPTER, PUSD
from paper.agenda import now_ms
from paper.approvals import UNLIMITED, allowance
from paper.encoding import (
    array_at,
    checksum,
    encode_array,
    from_hex,
    selector,
    to_hex,
    word,
    words_of,
)
from paper.ledger import COLLATERAL
from paper.relayer import is_deployed, nonce_of
from paper.state import Paper

REVERTED = 3
_BLOCK_SECONDS = 2
_TRANSFER_BATCH = "0x4a39dc06d4c0dbc64b70af90fd698a233a518aa5d07e595d983b8c0526c8f7fb"


class RpcError(Exception):
    """A JSON-RPC error: its code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def answer(paper: Paper, request: object) -> dict[str, object]:
    """Answer one JSON-RPC request object."""
    fields = request if isinstance(request, dict) else {}
    reply: dict[str, object] = {"jsonrpc": "2.0", "id": fields.get("id")}
    try:
        method, params = fields.get("method"), fields.get("params") or []
        if not isinstance(method, str) or not isinstance(params, list):
            raise RpcError(-32600, "invalid request")
        handler = _METHODS.get(method)
        if handler is None:
            raise RpcError(-32601, f"the method {method} does not exist/is not available")
        return reply | {"result": handler(paper, params)}
    except RpcError as error:
        return reply | {"error": {"code": error.code, "message": str(error)}}
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, AttributeError):
        return reply | {"error": {"code": -32602, "message": "invalid params"}}


def _block_number() -> int:
    return now_ms() // 1000 // _BLOCK_SECONDS


def _block(_paper: Paper, params: list[object]) -> dict[str, object]:
    asked = params[0] if params else "latest"
    number = (
        int(asked, 16) if isinstance(asked, str) and asked.startswith("0x") else _block_number()
    )
    return {
        "number": hex(number),
        "hash": to_hex(word(number)),
        "parentHash": to_hex(word(max(number - 1, 0))),
        "timestamp": hex(number * _BLOCK_SECONDS),
        "transactions": [],
    }


def _code(paper: Paper, params: list[object]) -> str:
    address = checksum(str(params[0]))
    return "0x60806040" if _has_code(paper, address) else "0x"


def _has_code(paper: Paper, address: str) -> bool:
    return address.lower() in addresses.WITH_CODE or (
        is_deployed(paper, address) and address != paper.settings.owner
    )


def _receipt(paper: Paper, params: list[object]) -> dict[str, object] | None:
    wanted = str(params[0]).lower()
    row = paper.store.one("SELECT * FROM transactions WHERE hash = ?", wanted)
    if row is not None:
        if row["state"] not in ("STATE_MINED", "STATE_CONFIRMED", "STATE_FAILED"):
            return None
        ok, at, wallet = row["state"] != "STATE_FAILED", row["updated_ms"], row["wallet"]
        return _receipt_body(wanted, ok, at, wallet, _logs(paper, row["id"], wallet))
    trade = paper.store.one(
        "SELECT * FROM trades WHERE hash = ? AND status IN ('MINED', 'CONFIRMED')", wanted
    )
    if trade is None:
        return None
    return _receipt_body(wanted, True, trade["updated_ms"], trade["taker_wallet"], [])


def _receipt_body(
    hash_: str, ok: bool, at_ms: int, to: str, logs: list[dict[str, object]]
) -> dict[str, object]:
    number = at_ms // 1000 // _BLOCK_SECONDS
    return {
        "transactionHash": hash_, "status": "0x1" if ok else "0x0", "blockNumber": hex(number),
        "blockHash": to_hex(word(number)), "transactionIndex": "0x0", "gasUsed": "0x5b8d8",
        "effectiveGasPrice": "0x6fc23ac00", "to": to, "logs": logs,
    }  # fmt: skip


def _logs(paper: Paper, transaction_id: str, wallet: str) -> list[dict[str, object]]:
    """Give the ERC-1155 TransferBatch of every split (to the wallet) and merge (from it)."""
    logs: list[dict[str, object]] = []
    for row in paper.store.all(
        "SELECT * FROM conversions WHERE transaction_id = ? ORDER BY number", (transaction_id,)
    ):
        market = paper.markets[row["condition_id"]]
        operator = addresses.adapter_for(market.neg_risk)
        split = row["kind"] == "split"
        ids = encode_array([int(token) for token in market.tokens])
        values = encode_array([row["amount"]] * 2)
        topics = [
            word(operator),
            word(operator if split else wallet),
            word(wallet if split else operator),
        ]
        logs.append(
            {
                "address": CONDITIONAL_TOKENS,
                "topics": [_TRANSFER_BATCH, *map(to_hex, topics)],
                "data": to_hex(word(64) + word(64 + len(ids)) + ids + values),
                "logIndex": hex(len(logs)),
            }
        )
    return logs


def _call(paper: Paper, params: list[object]) -> str:
    request = params[0]
    if not isinstance(request, dict):
        raise RpcError(-32602, "invalid params")
    target = checksum(str(request["to"]))
    data = from_hex(str(request.get("data") or request.get("input")))
    function, arguments = data[:4], words_of(data[4:])
    read = _READS.get((target.lower(), function)) or _READS.get(("wallet", function))
    if read is None or (
        (target.lower(), function) not in _READS and not is_deployed(paper, target)
    ):
        if not _has_code(paper, target):
            return "0x"
        raise RpcError(REVERTED, "execution reverted")
    return to_hex(read(paper, target, arguments))


def _address(value: int) -> str:
    return checksum(value.to_bytes(20, "big"))


def _collateral_of(paper: Paper, _target: str, words: list[int]) -> bytes:
    return word(paper.ledger.balance(_address(words[0]), COLLATERAL))


def _allowance(paper: Paper, target: str, words: list[int]) -> bytes:
    return word(allowance(paper.store, _address(words[0]), target, _address(words[1])))


def _approved_for_all(paper: Paper, target: str, words: list[int]) -> bytes:
    amount = allowance(paper.store, _address(words[0]), target, _address(words[1]))
    return word(int(amount == UNLIMITED))


def _tokens_of(paper: Paper, _target: str, words: list[int]) -> bytes:
    return word(_token_balance(paper, words[0], words[1]))


def _tokens_of_many(paper: Paper, _target: str, words: list[int]) -> bytes:
    owners, tokens = array_at(words, 0), array_at(words, 1)
    balances = [_token_balance(paper, o, t) for o, t in zip(owners, tokens, strict=True)]
    return word(32) + encode_array(balances)


def _token_balance(paper: Paper, owner: int, token: int) -> int:
    return paper.ledger.balance(_address(owner), str(token))


def _number(value: int | str) -> Callable[[Paper, str, list[int]], bytes]:
    return lambda _paper, _target, _words: word(value)


_READS: dict[tuple[str, bytes], Callable[[Paper, str, list[int]], bytes]] = {
    (addresses.WALLET_FACTORY.lower(), bytes.fromhex("49493a4d")): _number(addresses.WALLET_BEACON),
    (PUSD.lower(), selector("balanceOf(address)")): _collateral_of,
    (PUSD.lower(), selector("allowance(address,address)")): _allowance,
    (PUSD.lower(), selector("decimals()")): _number(6),
    (CONDITIONAL_TOKENS.lower(), selector("payoutDenominator(bytes32)")): _number(0),
    ("wallet", selector("nonce()")): lambda paper, target, _: word(nonce_of(paper, target)),
}
for _token in (CONDITIONAL_TOKENS, NEG_RISK_ADAPTER, addresses.POSITION_MANAGER):
    _READS |= {
        (_token.lower(), selector("balanceOf(address,uint256)")): _tokens_of,
        (_token.lower(), selector("balanceOfBatch(address[],uint256[])")): _tokens_of_many,
        (_token.lower(), selector("isApprovedForAll(address,address)")): _approved_for_all,
    }

_METHODS: dict[str, Callable[[Paper, list[object]], object]] = {
    "eth_chainId": lambda _paper, _params: hex(CHAIN_ID),
    "net_version": lambda _paper, _params: str(CHAIN_ID),
    "eth_blockNumber": lambda _paper, _params: hex(_block_number()),
    "eth_getBlockByNumber": _block,
    "eth_call": _call,
    "eth_getCode": _code,
    "eth_getTransactionReceipt": _receipt,
    "eth_getTransactionCount": lambda paper, params: hex(nonce_of(paper, checksum(str(params[0])))),
    "eth_getBalance": lambda _paper, _params: hex(10**18),
    "eth_gasPrice": lambda _paper, _params: hex(30 * 10**9),
    "eth_estimateGas": lambda _paper, _params: hex(400_000),
}
