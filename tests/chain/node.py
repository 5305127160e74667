"""`Node`: a running anvil that believes to be Polygon, with all that minting needs in place."""

import os
import re
import secrets
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from eth_hash.auto import keccak

from exchange.polymarket import addresses
from exchange.polymarket.positions import position_id
from exchange.polymarket.words import question, words_of
from exchange.quantising import base_units, whole_units
from exchange.types import Conversion
from launch.command import Command
from tests.chain import npm

OPERATOR = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
"""anvil's first own account: it deploys, mints, and resolves conditions."""
_LISTENING = re.compile(r"Listening on (\S+)")
_PLACES = {
    addresses.CONDITIONAL_TOKENS: "ConditionalTokens",
    addresses.COLLATERAL: "Token",
    addresses.BRIDGED_USDC: "Token",
    addresses.WRAPPED_COLLATERAL: "Token",
    addresses.COLLATERAL_ADAPTER: "StandardAdapter",
    addresses.NEG_RISK_COLLATERAL_ADAPTER: "NegRiskAdapter",
}


@dataclass(frozen=True)
class Condition:
    """A condition that the operator can resolve."""

    id: str
    question_id: str
    neg_risk: bool

    @property
    def tokens(self) -> tuple[str, str]:
        """The token ids of both outcomes, as we compute them."""
        yes, no = (position_id(self.id, index, self.neg_risk) for index in (0, 1))
        return yes, no

    def conversion(self, kind: Any, quantity: str) -> Conversion:
        """A conversion of so many pairs."""
        return Conversion(kind, self.id, self.neg_risk, self.tokens, Decimal(quantity))


@dataclass(eq=False)
class Node:
    """A running chain: contracts at the production addresses, blocks on demand."""

    url: str
    process: subprocess.Popen[str]

    @cached_property
    def http(self) -> httpx.Client:
        """A plain HTTP client; without TLS settings, which take longer to load than a call."""
        return httpx.Client(base_url=self.url, timeout=30, verify=False, trust_env=False)

    def rpc(self, method: str, *params: Any) -> Any:
        """Ask, and insist on a result."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self.http.post("", json=body).json()
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def set_up(self) -> None:
        """Put the code of every contract where production has it."""
        for address, name in _PLACES.items():
            self.rpc("anvil_setCode", address, npm.codes()[name])

    def mine(self, blocks: int = 1) -> None:
        """Mine; what waits in the pool goes into the first of them."""
        self.rpc("anvil_mine", hex(blocks))

    def automine(self, whether: bool) -> None:
        """Mine each transaction soon after it came, or only when told, as at the start.

        For whole flows: a transaction may be taken a moment before it is mined.
        """
        self.rpc("evm_setAutomine", whether)

    def height(self) -> int:
        """The number of the latest block."""
        return int(self.rpc("eth_blockNumber"), 16)

    def fund(self, wallet: str, *, pol: str = "100", collateral: str = "1000") -> None:
        """Give a wallet so much."""
        self.rpc("anvil_setBalance", wallet, hex(int(Decimal(pol) * 10**18)))
        self.operate(
            addresses.COLLATERAL, "mint(address,uint256)", wallet, base_units(Decimal(collateral))
        )

    def condition(self, neg_risk: bool = False) -> Condition:
        """Prepare a new condition of two outcomes."""
        question_id = "0x" + secrets.token_hex(32)
        told = "prepareCondition(address,bytes32,uint256)", OPERATOR, question_id, 2
        self.operate(addresses.CONDITIONAL_TOKENS, *told)
        packed = bytes.fromhex(OPERATOR[2:] + question_id[2:] + f"{2:064x}")
        return Condition("0x" + keccak(packed).hex(), question_id, neg_risk)

    def resolve(self, condition: Condition, *payouts: int) -> None:
        """Report what the outcomes pay."""
        told = "reportPayouts(bytes32,uint256[])", condition.question_id, payouts
        self.operate(addresses.CONDITIONAL_TOKENS, *told)

    def operate(self, contract: str, signature: str, *arguments: Any) -> None:
        """Have the operator call a contract, and mine that with whatever else waits."""
        told = {"from": OPERATOR, "to": contract, "data": question(signature, *arguments)}
        transaction_hash = self.rpc("eth_sendTransaction", told | {"gas": hex(1_000_000)})
        self.mine()
        receipt = self.rpc("eth_getTransactionReceipt", transaction_hash)
        assert receipt["status"] == "0x1", signature

    def read(self, contract: str, signature: str, *arguments: Any) -> int:
        """The first word that a contract answers."""
        told = {"to": contract, "data": question(signature, *arguments)}
        return words_of(self.rpc("eth_call", told, "latest"))[0]

    def holdings(self, wallet: str, condition: Condition) -> tuple[Decimal, Decimal, Decimal]:
        """Collateral and both tokens of a wallet, read one by one."""
        collateral = self.read(addresses.COLLATERAL, "balanceOf(address)", wallet)
        yes, no = (
            self.read(
                addresses.CONDITIONAL_TOKENS, "balanceOf(address,uint256)", wallet, int(token)
            )
            for token in condition.tokens
        )
        return whole_units(collateral), whole_units(yes), whole_units(no)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Take back whatever happens meanwhile."""
        snapshot = self.rpc("evm_snapshot")
        try:
            yield
        finally:
            self.automine(False)
            self.rpc("anvil_dropAllTransactions")
            self.rpc("evm_revert", snapshot)


@contextmanager
def running_node(home: Path) -> Iterator[Node]:
    """Start a chain on a free port; it ends with the block, or with this process."""
    argv = (
        str(npm.anvil()),
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--chain-id",
        "137",
        "--no-mining",
    )
    told = Command("anvil", argv, os.environ, home, death_signal=signal.SIGKILL).popen_arguments()
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, **told)
    try:
        assert process.stdout is not None
        found = next(filter(None, map(_LISTENING.search, process.stdout)), None)
        assert found is not None, "anvil ended before it listened"
        # it tells of every request, and would stop when nobody listens
        threading.Thread(target=deque, args=(process.stdout, 0), daemon=True).start()
        node = Node(f"http://{found[1]}", process)
        node.set_up()
        yield node
    finally:
        process.kill()
        process.wait(10)
