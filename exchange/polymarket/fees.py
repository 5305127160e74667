"""What a transaction bids for its gas (EIP-1559), in wei per unit of gas; integers throughout."""

from dataclasses import dataclass

from exchange.errors import Unavailable
from exchange.polymarket.failures import Trouble
from exchange.polymarket.rpc import NodeError, Rpc, number, reading

GWEI = 10**9
LEAST_TIP = 30 * GWEI
"""What Polygon's nodes ask at least (docs.polygon.technology, gas; 25 gwei since 2025)."""
BLOCKS = 5
LATER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Fees:
    """A bid: `most` is maxFeePerGas, `tip` is maxPriorityFeePerGas."""

    most: int
    tip: int


@dataclass(frozen=True, slots=True)
class Market:
    """What the next block asks: `base` is burnt, `tip` is what others give on top."""

    base: int
    tip: int

    @property
    def lasting(self) -> int:
        """A bid that lasts six blocks of rising base fee (each by 1/8 at most)."""
        return 2 * self.base + self.tip

    def bid(self, cap: int) -> Fees:
        """Return what to bid; raises `Unavailable` while the market is above `cap`."""
        if self.base + self.tip > cap:
            raise Unavailable(
                f"gas costs {in_gwei(self.base + self.tip)} gwei now, "
                f"MINT_MAX_FEE_GWEI allows {in_gwei(cap)}",
                retry_after=LATER_SECONDS,
            )
        return Fees(min(self.lasting, cap), self.tip)

    def outbid(self, bid: Fees, cap: int) -> Fees | None:
        """Return a bid that replaces another one, `None` when that would exceed `cap`.

        Nodes want both numbers to be at least a tenth higher; an eighth is Polygon's own step.
        """
        least = _raised(bid.most)
        if least > cap:
            return None
        most = min(max(least, self.lasting), cap)
        return Fees(most, min(max(_raised(bid.tip), self.tip), most))


def market(rpc: Rpc) -> Market:
    """Ask what gas costs; by eth_gasPrice where the node tells no history. Raises `Unavailable`."""
    try:
        history = rpc.attempt("eth_feeHistory", hex(BLOCKS), "latest", [50])
        tips = sorted(number(reward[0]) for reward in history["reward"])
        base = number(history["baseFeePerGas"][-1])
        return Market(base, max(tips[len(tips) // 2], LEAST_TIP))
    except (NodeError, Trouble, LookupError, TypeError, ValueError):
        price = rpc.ask("eth_gasPrice")
        with reading("the price of gas"):
            tip = min(LEAST_TIP, number(price))
            return Market(number(price) - tip, tip)


def in_gwei(wei: int) -> str:
    """Return a fee for people, rounded up."""
    return str(-(-wei // GWEI))


def _raised(fee: int) -> int:
    return -(-fee * 9 // 8)
