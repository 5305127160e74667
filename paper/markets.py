"""The markets on offer: six that are always there, and those a replay brought along."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from eth_hash.auto import keccak

from paper import money
from paper.encoding import to_hex
from paper.positions import token_ids

OUTCOMES = ("Yes", "No")


@dataclass(frozen=True)
class Market:
    """One binary market; tick in millionths of a dollar, min_size in millionths of a share.

    `payouts` are the chain's payout numerators once the condition is resolved.
    """

    number: int
    question: str
    condition_id: str
    tokens: tuple[str, str]
    tick: int = 10_000
    min_size: int = 5_000_000
    neg_risk: bool = False
    fee_rate: Decimal = Decimal(0)
    fee_exponent: int = 1
    start_price: int = 500_000
    recorded: tuple[str, str] | None = None
    accepting: bool = True
    closed: bool = False
    payouts: tuple[int, ...] | None = None
    version: str = "v1"
    neg_risk_group: str | None = None

    @cached_property
    def slug(self) -> str:
        """Give the question as Gamma would have it in an address."""
        return re.sub(r"[^a-z0-9]+", "-", self.question.lower()).strip("-")

    @property
    def id(self) -> str:
        """Give Gamma's number for the market."""
        return str(900_000 + self.number)

    @property
    def question_id(self) -> str:
        """Give the oracle's id of the question; that of a neg-risk market is its group's, numbered."""
        question = keccak(("question " + self.condition_id).encode())
        return to_hex(question[:31] + b"\x01" if self.neg_risk else question)

    @property
    def neg_risk_market_id(self) -> str:
        """Give the id of the neg-risk group that the market belongs to, or what hides it; else ""."""
        if not self.neg_risk:
            return ""
        own = self.question_id[:-2] + "00"
        return own if self.neg_risk_group is None else self.neg_risk_group

    def fee(self, shares: int, price: int) -> int:
        """Give the taker's fee for a fill, in collateral base units."""
        return money.taker_fee(shares, price, self.fee_rate, self.fee_exponent)

    def index_of(self, token: str) -> int:
        """Say which outcome a token stands for: 0 the first, 1 the second."""
        return self.tokens.index(token)


_CATALOGUE: tuple[tuple[str, dict[str, object]], ...] = (
    ("Will the Fed cut interest rates at its next meeting?", {"start_price": 620_000}),
    ("Will Bitcoin close above $100,000 this year?", {"start_price": 450_000}),
    ("Will it rain in London tomorrow?", {"start_price": 500_000}),
    (
        "Will the incumbent win the election?",
        {"start_price": 380_000, "neg_risk": True},
    ),
    (
        "Will inflation come in above 3 % this month?",
        {"start_price": 270_000, "tick": 1_000},
    ),
    (
        "Will the home team win the final?",
        {"start_price": 550_000, "fee_rate": Decimal("0.04")},
    ),
)


def catalogue() -> list[Market]:
    """Build the six markets that are always there, with ids that never change."""
    return [
        build_market(number, question, f"polytrader paper market {number}", **settings)
        for number, (question, settings) in enumerate(_CATALOGUE, start=1)
    ]


def build_market(number: int, question: str, seed: str, **settings: object) -> Market:
    """Make a market whose condition and token ids follow from `seed` alone."""
    condition_id = to_hex(keccak(seed.encode()))
    tokens = token_ids(condition_id, bool(settings.get("neg_risk", False)))
    return Market(number, question, condition_id, tokens, **settings)  # type: ignore[arg-type]


def replay_market(number: int, recorded: tuple[str, str], tick: int) -> Market:
    """Make the paper market that plays a recorded pair of tokens; its ids follow from theirs."""
    question = f"Replay of tokens {recorded[0][:6]} and {recorded[1][:6]}?"
    seed = "polytrader replay " + " ".join(recorded)
    return build_market(number, question, seed, tick=tick, recorded=recorded)
