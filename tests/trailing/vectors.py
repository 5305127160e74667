"""Published worked examples of trailing stops, as facts to agree with.

binance: binance-spot-api-docs faqs/trailing-stop-faq.md, scenarios A to E (A and B start at the
activating price here); freqtrade: docs/stoploss.md; project: the sample of the contract.
"""

from dataclasses import dataclass
from decimal import Decimal

from trailing.maths import Side, Trail


@dataclass(frozen=True)
class Vector:
    name: str
    side: Side
    trail: Trail
    path: tuple[str, ...]
    trigger: str
    watermark: str
    fires_at: str | None = None
    activation: str | None = None
    status: str = "triggered"

    @property
    def prices(self) -> list[Decimal]:
        return [Decimal(price) for price in self.path]


def percent(text: str) -> Trail:
    return Trail.of_percent(Decimal(text))


VECTORS = [
    Vector(
        "binance A, from activation",
        "buy",
        percent("5"),
        ("44000", "45000", "46000", "42000", "44099.99", "44100"),
        fires_at="44100",
        trigger="44100",
        watermark="42000",
    ),
    Vector(
        "binance B, from activation",
        "sell",
        percent("10"),
        ("39000", "37000", "41000", "36900.01", "36900"),
        fires_at="36900",
        trigger="36900",
        watermark="41000",
    ),
    Vector(
        "binance C",
        "buy",
        percent("8.5"),
        ("40000", "42000", "38000", "37000", "39000", "38000", "40144.99", "40145"),
        activation="38000",
        fires_at="40145",
        trigger="40145",
        watermark="37000",
    ),
    Vector(
        "binance D",
        "sell",
        percent("7.5"),
        ("40000", "41500", "39000", "42000", "45000", "44000", "46500", "43012.51", "43012.5"),
        activation="42000",
        fires_at="43012.5",
        trigger="43012.5",
        watermark="46500",
    ),
    Vector(
        "binance E",
        "sell",
        percent("7"),
        ("40000", "42000", "39500", "45500", "42315.01", "42315"),
        fires_at="42315",
        trigger="42315",
        watermark="45500",
    ),
    Vector(
        "freqtrade trailing",
        "sell",
        percent("10"),
        ("100", "102", "101", "91.81", "91.8"),
        fires_at="91.8",
        trigger="91.8",
        watermark="102",
    ),
    Vector(
        "project sample: trigger before activation",
        "sell",
        percent("2"),
        ("50000", "49500", "48000"),
        activation="51000",
        trigger="49000",
        watermark="50000",
        status="pending_activation",
    ),
    Vector(
        "project sample: trigger is set at activation",
        "sell",
        percent("2"),
        ("50000", "51000", "49980.01", "49980"),
        activation="51000",
        fires_at="49980",
        trigger="49980",
        watermark="51000",
    ),
    Vector(
        "outcome token, amount",
        "sell",
        Trail(amount=Decimal("0.05")),
        ("0.50", "0.61", "0.57", "0.561", "0.56"),
        fires_at="0.56",
        trigger="0.56",
        watermark="0.61",
    ),
    Vector(
        "outcome token, three ticks of 0.01",
        "sell",
        Trail.of_ticks(3, Decimal("0.01")),
        ("0.40", "0.42", "0.40", "0.39"),
        fires_at="0.39",
        trigger="0.39",
        watermark="0.42",
    ),
    Vector(
        "T is not rounded to a tick",
        "sell",
        percent("7"),
        ("0.53", "0.50", "0.49"),
        fires_at="0.49",
        trigger="0.4929",
        watermark="0.53",
    ),
]
