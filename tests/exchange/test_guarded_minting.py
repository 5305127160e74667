"""A minter behind its guards: what waits, what never does, and that trading hears nothing of it."""

import os
import uuid
from collections.abc import Iterator
from decimal import Decimal

import pytest

from exchange.errors import ExchangeError, OutcomeUnknown, Rejected, Unavailable
from exchange.guarded import breaker_of, forget
from exchange.guarded_minting import BREAKERS, GuardedMinter, guarded_minter
from exchange.types import Approval, Conversion, SignedTransaction

SPLIT = Conversion("split", "0x1", False, ("1", "2"), Decimal(5))
SIGNED = SignedTransaction("0xw", 7, "{}")
DOWN = Unavailable("no answer: ConnectError")

PATIENT_SENDING = {
    "next_nonce": lambda minter: minter.next_nonce(),
    "submit": lambda minter: minter.submit(SIGNED),
}
SIGNING = {
    "sign": lambda minter: minter.sign(SPLIT, 7),
    "sign_approval": lambda minter: minter.sign_approval(Approval("0x2", None), 7),
    "sign_replacement": lambda minter: minter.sign_replacement(SIGNED),
}
PATIENT_READING = {
    "check": lambda minter: minter.check(),
    "missing_approval": lambda minter: minter.missing_approval(SPLIT),
    "payouts": lambda minter: minter.payouts("0x1"),
}
LOOKING = {
    "find": lambda minter: minter.find([SIGNED], ""),
    "effects": lambda minter: minter.effects(SPLIT, 1),
    "held": lambda minter: minter.held(["1"]),
    "now": lambda minter: minter.now(),
}


class Outside:
    """The outside world: notes what it was asked, and answers or raises what the test says."""

    wallet = "0xw"

    def __init__(self, approves_apart: bool) -> None:
        self.approves_apart = approves_apart
        self.asked: list[str] = []
        self.trouble: ExchangeError | None = None

    def __getattr__(self, name: str):
        def answer(*_: object) -> str:
            self.asked.append(name)
            if self.trouble is not None:
                raise self.trouble
            return name

        return answer


@pytest.fixture
def prefix() -> Iterator[str]:
    prefix = f"test:{uuid.uuid4().hex}:"
    yield prefix
    forget(os.environ["REDIS_URL"], prefix)


def guarded(outside: Outside, prefix: str) -> GuardedMinter:
    return guarded_minter(outside, os.environ["REDIS_URL"], prefix)


def fail(minter: GuardedMinter, outside: Outside, ask, times: int = 5) -> None:
    outside.trouble = DOWN
    for _ in range(times):
        with pytest.raises(Unavailable):
            ask(minter)


def states(prefix: str) -> dict[str, bool]:
    names = (*BREAKERS, "polymarket")
    return {
        name: breaker_of(name, os.environ["REDIS_URL"], prefix).look().is_closed for name in names
    }


@pytest.mark.parametrize("ask", [*PATIENT_SENDING.values(), *SIGNING.values(), *LOOKING.values()])
def test_every_answer_is_handed_on(prefix, ask):
    outside = Outside(approves_apart=False)
    assert ask(guarded(outside, prefix)) == outside.asked[0]
    assert len(outside.asked) == 1


@pytest.mark.parametrize("name", PATIENT_SENDING)
def test_a_relayer_that_fails_is_left_alone_and_the_chain_is_not(prefix, name):
    outside = Outside(approves_apart=False)
    minter = guarded(outside, prefix)
    fail(minter, outside, PATIENT_SENDING[name])
    assert states(prefix) == {"relayer": False, "polygon": True, "polymarket": True}
    asked = len(outside.asked)
    outside.trouble = None
    for patient in PATIENT_SENDING.values():
        with pytest.raises(Unavailable, match="breaker of Relayer is open"):
            patient(minter)
    assert len(outside.asked) == asked
    for ask in (*PATIENT_READING.values(), *SIGNING.values(), *LOOKING.values()):
        ask(minter)
    assert len(outside.asked) == asked + 10


@pytest.mark.parametrize("name", PATIENT_READING)
def test_a_node_that_fails_is_left_alone_and_the_relayer_is_not(prefix, name):
    outside = Outside(approves_apart=False)
    minter = guarded(outside, prefix)
    fail(minter, outside, PATIENT_READING[name])
    assert states(prefix) == {"relayer": True, "polygon": False, "polymarket": True}
    outside.trouble = None
    for patient in PATIENT_READING.values():
        with pytest.raises(Unavailable, match="breaker of Polygon is open"):
            patient(minter)
    for ask in PATIENT_SENDING.values():
        ask(minter)


def test_an_eoa_sends_through_the_nodes_breaker(prefix):
    outside = Outside(approves_apart=True)
    minter = guarded(outside, prefix)
    fail(minter, outside, SIGNING["sign"])
    assert states(prefix) == {"relayer": True, "polygon": False, "polymarket": True}
    for patient in (*PATIENT_SENDING.values(), *SIGNING.values()):
        with pytest.raises(Unavailable, match="breaker"):
            patient(minter)


@pytest.mark.parametrize("name", LOOKING)
def test_a_look_up_passes_an_open_breaker_and_closes_it(prefix, name):
    outside = Outside(approves_apart=True)
    minter = guarded(outside, prefix)
    fail(minter, outside, LOOKING[name], times=7)
    assert len(outside.asked) == 7
    assert not states(prefix)["polygon"]
    outside.trouble = None
    LOOKING[name](minter)
    assert states(prefix)["polygon"]
    minter.next_nonce()


def test_the_relayer_takes_25_submissions_a_minute_and_an_eoas_node_what_comes(prefix):
    relayed, direct = (guarded(Outside(approves_apart=apart), prefix) for apart in (False, True))
    for _ in range(6):
        relayed.submit(SIGNED)
    with pytest.raises(Unavailable, match="rate limit") as raised:
        relayed.submit(SIGNED)
    assert raised.value.retry_after in (1, 2, 3)
    for _ in range(30):
        direct.submit(SIGNED)


def test_a_429_holds_back_submissions_alone_and_opens_no_breaker(prefix):
    outside = Outside(approves_apart=False)
    minter = guarded(outside, prefix)
    outside.trouble = Unavailable("Polymarket: status 429: slow down", retry_after=30)
    with pytest.raises(Unavailable, match="slow down"):
        minter.submit(SIGNED)
    outside.trouble = None
    with pytest.raises(Unavailable, match="used up") as raised:
        minter.submit(SIGNED)
    assert raised.value.retry_after is not None
    assert raised.value.retry_after >= 30
    minter.next_nonce()
    assert all(states(prefix).values())


@pytest.mark.parametrize(
    ("error", "is_closed"),
    [
        (Rejected("nonce", "nonce too low"), True),
        (Rejected("would_revert", "paused"), True),
        (Unavailable("wallet busy", retry_after=2), True),
        (OutcomeUnknown("no answer"), False),
    ],
)
def test_a_refusal_and_a_busy_wallet_are_no_failures(prefix, error, is_closed):
    outside = Outside(approves_apart=True)
    minter = guarded(outside, prefix)
    outside.trouble = error
    for _ in range(5):
        with pytest.raises(ExchangeError):
            minter.submit(SIGNED)
    assert states(prefix)["polygon"] is is_closed
