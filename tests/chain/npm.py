"""What comes from npm: anvil's program, ConditionalTokens' code, and a compiler for our mocks.

Installed by the first test that asks, into an ignored directory, with `npm ci
--ignore-scripts`. Where that cannot be done tests are skipped, in CI they fail.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
LOCK = HERE / "package-lock.json"
SOURCE = HERE / "contracts" / "Mocks.sol"
CONDITIONAL_TOKENS = "@gnosis.pm/conditional-tokens-contracts/build/contracts"
ANVIL = MODULES / "@foundry-rs/anvil-linux-amd64/bin/anvil"


def anvil() -> Path:
    """Return the program itself, from npm or, on other machines, one that is installed."""
    _install()
    if ANVIL.exists():
        return ANVIL
    if (found := shutil.which("anvil")) is None:
        _cannot("package.json has anvil for Linux on amd64 alone, and there is none in PATH")
    return Path(found)


@cache
def codes() -> dict[str, str]:
    """Return the runtime code of each contract by its name, compiled once per source."""
    _install()
    stamp = hashlib.sha256(SOURCE.read_bytes() + LOCK.read_bytes()).hexdigest()
    kept = MODULES / f".polytrader-{stamp[:16]}.json"
    with _one_at_a_time():
        if not kept.exists():
            kept.write_text(json.dumps(_compile()))
    real = json.loads((MODULES / CONDITIONAL_TOKENS / "ConditionalTokens.json").read_text())
    return json.loads(kept.read_text()) | {"ConditionalTokens": real["deployedBytecode"]}


def _install() -> None:
    stamp = MODULES / ".polytrader-lock"
    with _one_at_a_time():
        if stamp.exists() and stamp.read_bytes() == LOCK.read_bytes():
            return
        if shutil.which("npm") is None:
            _cannot("npm is not installed")
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            subprocess.run(command, cwd=HERE, check=True, capture_output=True, timeout=100)
        except subprocess.CalledProcessError as error:
            _cannot(f"npm ci failed: {error.stderr.decode(errors='replace')[-500:]}")
        except subprocess.TimeoutExpired:
            _cannot("npm ci took longer than 100 s")
        stamp.write_bytes(LOCK.read_bytes())


def _compile() -> dict[str, str]:
    told = {
        "language": "Solidity",
        "sources": {SOURCE.name: {"content": SOURCE.read_text()}},
        "settings": {
            "evmVersion": "paris",
            "optimizer": {"enabled": True},
            "outputSelection": {"*": {"*": ["evm.deployedBytecode.object"]}},
        },
    }
    done = subprocess.run(
        ["node", str(MODULES / "solc" / "solc.js"), "--standard-json"],
        input=json.dumps(told), capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    found = json.loads(done.stdout[done.stdout.index("{") :])
    errors = [row for row in found.get("errors", ()) if row["severity"] == "error"]
    assert not errors, errors[0]["formattedMessage"]
    contracts = found["contracts"][SOURCE.name]
    return {
        name: "0x" + row["evm"]["deployedBytecode"]["object"] for name, row in contracts.items()
    }


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let one of pytest's processes install and compile while the others wait."""
    with (HERE / "package.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _cannot(why: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must test on a real chain: {why}")
    pytest.skip(f"no real chain here: {why}")
