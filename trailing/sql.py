"""The statements of the tick, each set-based over arrays of observations.

A stop refers to the best bid or ask, their middle, or the last trade; sells fall from a highest
price, buys rise from a lowest one. What refers to a price that the observation does not have is
left alone: an empty side is no data. Stops of the reference `executable` are judged one by one
(`executable.py`).

`CLAIM` and `EVALUATE` go out together, in this order, in one round trip; the second does not wait
for the answer to the first.
"""

_PINS = """
set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)"""

PIN_THE_PLAN = f"SELECT {_PINS}"
"""With stale statistics the planner chose a hash join over all stops (measured: 780 ms, not 58)."""

_DURABLE = "set_config('synchronous_commit', 'on', true)"

DURABLE = f"SELECT {_DURABLE}"
"""What a tick does to any stop or watermark is kept, whatever happens next. One that only notes the
price does not wait for the disk: it may be forgotten when the machine loses its power within a second."""

_ARRAYS = """unnest(%(ids)s::bigint[], %(bids)s::numeric[], %(asks)s::numeric[],
                  %(lasts)s::numeric[], %(moments)s::timestamptz[])"""

CLAIM = f"""
WITH before AS MATERIALIZED (
    SELECT i.id, i.bid, i.ask, i.last, i.observed_at,
           o.bid AS new_bid, o.ask AS new_ask, o.last AS new_last, o.moment
      FROM (SELECT * FROM {_ARRAYS} AS o(id, bid, ask, last, moment) ORDER BY id) o
     CROSS JOIN LATERAL (
        SELECT id, bid, ask, last, observed_at FROM orders_instrument
         WHERE id = o.id FOR NO KEY UPDATE
     ) i
), claimed AS (
    UPDATE orders_instrument i
       SET bid = new_bid, ask = new_ask, last = coalesce(new_last, i.last), observed_at = moment
      FROM before
     WHERE i.id = before.id AND (i.observed_at IS NULL OR i.observed_at < moment
                                 OR i.observed_at > clock_timestamp() + interval '2 seconds')
       AND moment > clock_timestamp() - %(oldest)s::interval
    RETURNING i.id, before.bid, before.ask, before.last, before.observed_at
), noted AS MATERIALIZED (
    SELECT ARRAY[{_PINS}, set_config('synchronous_commit', 'off', true),
                 set_config('polytrader.claimed', coalesce(array_agg(id)::text, '{{}}'), true)] AS told
      FROM claimed
)
SELECT claimed.* FROM noted LEFT JOIN claimed ON noted.told IS NOT NULL
"""
"""Lock the instruments in id order, so that two ticks cannot deadlock, and claim them: an older
observation loses, and so does one of the same moment. Returns what was seen before of those claimed
(a row of nothing where nothing is), notes which they are for `EVALUATE`, which is on its way already,
and pins its plan. Its own plan needs no pin.

Age is judged after the wait for the lock. A last observation in the future is of a
clock that was wrong and counts for nothing."""


def _seen(row: str) -> str:
    """What a row refers to, of the observation `obs`."""
    return (
        f"CASE {row}.reference WHEN 'bid' THEN obs.bid WHEN 'ask' THEN obs.ask "
        f"WHEN 'mid' THEN obs.mid WHEN 'last' THEN obs.last END"
    )


_OBSERVED = f"""
obs(instrument_id, bid, ask, mid, last) AS MATERIALIZED (
    SELECT o.id, o.bid, o.ask, (o.bid + o.ask) / 2, o.last
      FROM {_ARRAYS} AS o(id, bid, ask, last, moment)
      JOIN orders_instrument i ON i.id = o.id AND i.observed_at = o.moment
     WHERE o.id = ANY((SELECT current_setting('polytrader.claimed')::bigint[])::bigint[])
)"""
"""The observations that have claimed their instrument."""

_ACTIVATED = f"""
due AS MATERIALIZED (
    SELECT s.id, s.instrument_id, s.side, s.reference, s.price
      FROM obs
      CROSS JOIN LATERAL (
        SELECT id, instrument_id, side, reference, {_seen("s")} AS price
          FROM trailing_trailingstop s
         WHERE s.instrument_id + 0 = obs.instrument_id AND s.side = 'sell'
           AND s.is_pending
           AND s.activation_price <= greatest(obs.bid, obs.ask, obs.last)
           AND s.activation_price <= {_seen("s")}
        UNION ALL
        SELECT id, instrument_id, side, reference, {_seen("s")}
          FROM trailing_trailingstop s
         WHERE s.instrument_id + 0 = obs.instrument_id AND s.side = 'buy'
           AND s.is_pending
           AND s.activation_price >= least(obs.bid, obs.ask, obs.last)
           AND s.activation_price >= {_seen("s")}
      ) s
), made AS (
    INSERT INTO trailing_watermark (instrument_id, side, reference, price, created_at)
    SELECT DISTINCT instrument_id, side, reference, price, now() FROM due
    RETURNING id, instrument_id, side, reference
), activated AS (
    UPDATE trailing_trailingstop s
       SET status = 'active', watermark_id = made.id, updated_at = now()
      FROM due JOIN made USING (instrument_id, side, reference)
     WHERE s.id = due.id AND s.status || '' = 'pending_activation'
    RETURNING s.id, due.price
)"""
"""A sell activates at or above its activation price, a buy at or below; that price is its best.

The index is probed with the furthest of all prices, the stop's own reference decides."""

_LEVEL = """
    SELECT id, {price} AS seen, watermark_id, {level} AS trigger, '{cause}' AS cause
      FROM trailing_trailingstop
     WHERE instrument_id + 0 = obs.instrument_id AND side = '{side}'
       AND is_live AND {level} {reaches} {price}"""

_LEVELS = "\n    UNION ALL".join(
    _LEVEL.format(side=side, price=price, level=level, cause=cause, reaches=reaches)
    for side, price, level, cause, reaches in (
        ("sell", "obs.bid", "stop_price", "floor", ">="),
        ("buy", "obs.ask", "stop_price", "floor", "<="),
        ("sell", "obs.bid", "take_profit_price", "take_profit", "<="),
        ("buy", "obs.ask", "take_profit_price", "take_profit", ">="),
    )
)

_REACHED_LEVELS = f"""
SELECT 'reached', s.id, s.seen, w.price, s.trigger, s.cause
  FROM obs CROSS JOIN LATERAL ({_LEVELS}
  ) s LEFT JOIN trailing_watermark w ON w.id = s.watermark_id
"""
"""Hard floors and take-profits, active from the start, by the price that an exit would get."""

_REACHED_TRAILS = f"""
SELECT 'reached', s.id, w.seen, w.price, s.trigger, 'trail'
  FROM obs
  CROSS JOIN LATERAL (
    SELECT id, price, seen, sign, sign * (seen - price) AS worse FROM (
        SELECT id, price, {_seen("w")} AS seen, CASE side WHEN 'sell' THEN -1 ELSE 1 END AS sign
          FROM trailing_watermark w WHERE w.instrument_id = obs.instrument_id
        OFFSET 0
    ) w
  ) w
  CROSS JOIN LATERAL (
    SELECT id, w.price * (1 + w.sign * trail_fraction) AS trigger FROM trailing_trailingstop
     WHERE watermark_id + 0 = w.id
       AND trail_fraction <= w.worse / w.price + 1e-9
       AND w.price * trail_fraction <= w.worse
    UNION ALL
    SELECT id, w.price + w.sign * trail_amount FROM trailing_trailingstop
     WHERE watermark_id + 0 = w.id AND trail_amount <= w.worse
  ) s
 WHERE w.worse > 0
"""
"""Range probes on (watermark, trail), only where the price is worse than the watermark: lower for a sell.

A quotient is rounded and a product is exact, so the probe by quotient is a hair too wide and
the product decides. Only an active stop has a watermark. `+ 0` is in the expression of the index
that must serve it, and of no other."""

_IN_BREACH = f"""
SELECT 'in_breach', s.id, {_seen("s")}, NULL, NULL, ''
  FROM obs JOIN trailing_trailingstop s ON s.instrument_id + 0 = obs.instrument_id
 WHERE s.breached_since IS NOT NULL AND s.is_live AND {_seen("s")} IS NOT NULL
"""

_RATCHETED = f"""
ratcheted AS (
    UPDATE trailing_watermark w
       SET price = {_seen("w")}
      FROM obs
     WHERE w.instrument_id = obs.instrument_id
       AND ((w.side = 'sell' AND w.price < {_seen("w")})
            OR (w.side = 'buy' AND w.price > {_seen("w")}))
    RETURNING w.id
)"""
"""One row per watermark moves, however many stops share it; it never loosens."""

EVALUATE = f"""
WITH {_OBSERVED}, {_ACTIVATED}, {_RATCHETED}
SELECT 'activated' AS what, id, price AS seen, NULL::numeric AS watermark, NULL::numeric AS trigger,
       '' AS cause
  FROM activated
UNION ALL {_REACHED_LEVELS}
UNION ALL {_REACHED_TRAILS}
UNION ALL {_IN_BREACH}
UNION ALL SELECT 'ratcheted', count(*), NULL, NULL, NULL, {_DURABLE} FROM ratcheted HAVING count(*) > 0
"""
"""Activate, ratchet, and say what is reached and what was in breach before: all of one snapshot, so
that the trigger is tested against the watermark as it stood before this observation."""

END_TRIGGERED = """
UPDATE trailing_trailingstop s
   SET status = 'triggered', trade_id = v.trade, final_watermark_price = v.watermark,
       final_trigger_price = v.trigger, triggered_by_price = v.price, triggered_by = v.cause,
       triggered_at = %(now)s, updated_at = %(now)s, watermark_id = NULL, asking_since = NULL
  FROM unnest(%(ids)s::bigint[], %(trades)s::bigint[], %(watermarks)s::numeric[],
              %(triggers)s::numeric[], %(prices)s::numeric[], %(causes)s::text[])
       AS v(id, trade, watermark, trigger, price, cause)
 WHERE s.id = v.id AND s.is_live
RETURNING s.id
"""

HOLD_BREACHES = """
UPDATE trailing_trailingstop s
   SET breached_since = v.since, breach_updates = v.updates, updated_at = now()
  FROM unnest(%(ids)s::bigint[], %(since)s::timestamptz[], %(updates)s::int[])
       AS v(id, since, updates)
 WHERE s.id = v.id
"""

RESET_BREACHES = """
UPDATE trailing_trailingstop
   SET breached_since = NULL, breach_updates = 0, updated_at = now()
 WHERE id = ANY(%(ids)s::bigint[]) AND breached_since IS NOT NULL AND is_live
RETURNING id
"""
"""The price has recovered: what was in breach and is not any more begins anew."""

HOLD_INSTRUMENT = "SELECT id FROM orders_instrument WHERE id = %s FOR SHARE"
"""Keep ticks off one instrument until the commit; any number of holders at once."""
