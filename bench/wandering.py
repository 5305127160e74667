"""A made-up recording: prices of many markets that wander by a cent, for the paper exchange to play."""

import random

START_MS = 1_780_000_000_000


def recording(pairs: int, changes: int, per_second: int, moving: float = 2 / 3) -> str:
    """Write so many changes of books, so many of them in a second of recorded time.

    `moving` is the share that moves a best price; the others change what is offered at it.
    """
    chance = random.Random(1)
    bids = [chance.randint(20, 80) for _ in range(pairs)]
    rows = ["timestamp_ms,event_type,asset_id,side,price,size,best_bid,best_ask"]
    for number in range(changes):
        at, pair = START_MS + number * 1000 // per_second, number % pairs
        step = chance.choice((-1, 1)) if chance.random() < moving else 0
        bid = bids[pair] = min(max(bids[pair] + step, 10), 90)
        first, second, size = 1_000_000 + pair, 2_000_000 + pair, chance.randint(1, 900)
        rows.append(f"{at},PRICE_CHANGE,{first},BID,0.{bid},{size},0.{bid},0.{bid + 2}")
        rows.append(
            f"{at},PRICE_CHANGE,{second},ASK,0.{100 - bid},{size},0.{98 - bid},0.{100 - bid}"
        )
    return "\n".join(rows) + "\n"
