"""How fast a venue may be asked: its own limits as leaky buckets, shared by all processes.

A bucket (GCRA) needs one number where a window of moments needs thousands. `limits` of PyPI is
well kept, but hits one limit at a time: an order needs several at once, or none, and an exit
must be counted even when it is over.
"""

import math
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from exchange.sharing import Script, Shared

LONGEST_HOLD: Final = 600.0
"""Seconds; whoever is still not welcome is told so again."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Holds `burst`, and `rate` leaks out of it each second."""

    name: str
    rate: float
    burst: float


def window(name: str, limit: int, seconds: float) -> Bucket:
    """Make a bucket that admits at most `limit` in any `seconds`: a quarter at once, the rest evenly."""
    return Bucket(name, 0.75 * limit / seconds, 0.25 * limit)


class Charge(NamedTuple):
    """What a call puts into a bucket: so much, and so much for each unit of its cost."""

    bucket: Bucket
    fixed: float
    each: float = 0


Operations = Mapping[str, Sequence[Charge]]


def polymarket(orders_per_second: int, orders_burst: int) -> Operations:
    """Name what each call costs at Polymarket, by IP address and by signer.

    Sources: docs.polymarket.com rate-limits and trading-rate-limits pages (September 2026).
    Cancels have twice the room of orders in every tier. Units of cost are orders, in
    `quotes` and `trades` requests, in `books` symbols, of which one request takes 500.
    """
    clob, books = window("clob", 9_000, 10), window("books", 500, 10)
    orders = Bucket("signer orders", orders_per_second, orders_burst)
    cancels = Bucket("signer cancels", 2 * orders_per_second, 2 * orders_burst)
    ledger = window("ledger", 900, 10)
    open_orders = window("data orders", 500, 10)
    trades = window("data trades", 500, 10)
    return {
        "post": (
            Charge(orders, 0, 1),
            Charge(window("order", 5_000, 10), 1),
            Charge(window("order long", 120_000, 600), 1),
            Charge(clob, 1),
        ),
        "post_many": (
            Charge(orders, 0, 1),
            Charge(window("orders", 2_000, 10), 1),
            Charge(window("orders long", 21_000, 600), 1),
            Charge(clob, 1),
        ),
        "cancel": (
            Charge(cancels, 0, 1),
            Charge(window("cancel", 5_000, 10), 1),
            Charge(clob, 1),
        ),
        "cancel_many": (
            Charge(cancels, 0, 1),
            Charge(window("cancels", 2_000, 10), 1),
            Charge(window("cancels long", 15_000, 600), 1),
            Charge(clob, 1),
        ),
        "quotes": (Charge(books, 0, 1), Charge(clob, 0, 1)),
        "books": (Charge(books, 1, 1 / 500), Charge(clob, 1, 1 / 500)),
        "instrument": (Charge(clob, 3),),
        "find_order": (Charge(ledger, 1), Charge(clob, 1)),
        "open_orders": (Charge(open_orders, 1), Charge(ledger, 1), Charge(clob, 1)),
        "trades": (Charge(trades, 0, 1), Charge(ledger, 0, 1), Charge(clob, 0, 1)),
        "wallet_trades": (Charge(trades, 0, 1), Charge(ledger, 0, 1), Charge(clob, 0, 1)),
        "balance": (Charge(window("balance", 200, 10), 1), Charge(clob, 1)),
        "refresh_balance": (Charge(window("balance update", 50, 10), 1), Charge(clob, 1)),
        "server_time": (Charge(clob, 1),),
    }


def relayer() -> Operations:
    """Name what the relayer takes: 25 submissions a minute (docs.polymarket.com, rate limits)."""
    return {"submit": (Charge(window("relayer", 25, 60), 1),)}


def binance() -> Operations:
    """Name what each call weighs at Binance.

    Source: developers.binance.com, spot REST API, limits (6,000 of weight a minute by IP
    address, 100 orders in 10 s by account) and the weight of each endpoint.
    """
    weight = window("weight", 6_000, 60)
    orders = window("orders", 100, 10)
    return {
        "post": (Charge(orders, 0, 1), Charge(weight, 1)),
        "post_many": (Charge(orders, 0, 1), Charge(weight, 0, 1)),
        "cancel": (Charge(weight, 1),),
        "cancel_many": (Charge(weight, 0, 1),),
        "quotes": (Charge(weight, 0, 4),),
        "books": (Charge(weight, 4, 5),),
        "instrument": (Charge(weight, 20),),
        "find_order": (Charge(weight, 4),),
        "open_orders": (Charge(weight, 80),),
        "trades": (Charge(weight, 24),),
        "wallet_trades": (Charge(weight, 20),),
        "balance": (Charge(weight, 20),),
        "refresh_balance": (),
        "server_time": (Charge(weight, 1),),
    }


UNSHARED: Final = frozenset({"clob", "weight"})
"""What a 429 to one call does not close to all others."""

# Each bucket is how much is in it, and since when. All of them take it, or none does.
# ARGV: the time or '', '1' if urgent, and for each bucket, packed as doubles, which is quicker:
# its rate and burst, the amount to put in and the most it may then hold.
_TAKE = Script("""
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1e6
end
local held = redis.call('MGET', unpack(KEYS))
local wait, after = 0, {}
for i = 1, #KEYS do
  local rate, burst, amount, most = struct.unpack('dddd', ARGV[3], 32 * i - 31)
  local level = 0
  if held[i] then
    local before, since = struct.unpack('dd', held[i])
    level = math.max(before - math.max(now - since, 0) * rate, 0)
  end
  wait = math.max(wait, (level + math.min(amount, burst) - burst) / rate)
  after[i] = {math.max(level, math.min(level + amount, most)), rate}
end
if wait > 1e-6 and ARGV[2] ~= '1' then
  return string.format('%.6f', wait)
end
for i = 1, #KEYS do
  local level, rate = after[i][1], after[i][2]
  redis.call('SET', KEYS[i], struct.pack('dd', level, now), 'PX', math.ceil(level / rate * 1000) + 1000)
end
return '0'
""")


class _Taking(NamedTuple):
    """One bucket of one call."""

    bucket: Bucket
    amount: float
    most: float


class Limiter:
    """The buckets of one venue; by this process's own count while Redis is away."""

    def __init__(self, shared: Shared, prefix: str, operations: Operations) -> None:
        self._shared = shared
        self._prefix = f"{prefix}{{limits}}:"
        self._operations = operations
        self._own = _Own()

    def take(
        self, operation: str, cost: int = 1, *, urgent: bool = False, now: float | None = None
    ) -> float:
        """Count a call and return 0, or return the seconds to wait and count nothing.

        An `urgent` call is always granted and still counted, so that the others make room for
        it, up to twice the burst. One that costs more than the burst passes when the
        bucket is empty. `now` is for tests.
        """
        takings = [
            _Taking(bucket, fixed + each * cost, 2 * bucket.burst)
            for bucket, fixed, each in self._operations[operation]
        ]
        return self._take(takings, urgent, now)

    def hold(self, operation: str, seconds: float, *, now: float | None = None) -> None:
        """Let everything that is not urgent wait so long: the venue has said 429 to this."""
        seconds = min(seconds, LONGEST_HOLD)
        takings = [
            _Taking(bucket, math.inf, bucket.burst - 1 + seconds * bucket.rate)
            for bucket, _, _ in self._operations[operation]
            if bucket.name not in UNSHARED
        ]
        self._take(takings, True, now)

    def _take(self, takings: Sequence[_Taking], urgent: bool, now: float | None) -> float:
        if not takings:
            return 0
        keys = [self._prefix + taking.bucket.name for taking in takings]
        packed = b"".join(
            struct.pack("4d", bucket.rate, bucket.burst, amount, most)
            for bucket, amount, most in takings
        )
        told = ["" if now is None else now, int(urgent), packed]
        answer = self._shared.run(_TAKE, keys, told, urgent=urgent)
        if answer is None:
            return self._own.take(takings, urgent, now)
        wait = float(answer)
        if not wait:  # so that it knows our part when Redis goes away
            self._own.take(takings, True, now)
        return wait


class _Own:
    """The same buckets in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[float, float]] = {}

    def take(self, takings: Sequence[_Taking], urgent: bool, now: float | None) -> float:
        """Do what the script does."""
        now = time.monotonic() if now is None else now
        wait, after = 0.0, {}
        with self._lock:
            for bucket, amount, most in takings:
                before, since = self._held.get(bucket.name, (0.0, now))
                level = max(before - max(now - since, 0) * bucket.rate, 0)
                over = level + min(amount, bucket.burst) - bucket.burst
                wait = max(wait, over / bucket.rate)
                after[bucket.name] = (max(level, min(level + amount, most)), now)
            if wait > 1e-6 and not urgent:
                return wait
            self._held |= after
        return 0
