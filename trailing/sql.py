"""The statements of the tick, each set-based over arrays of observations.

Sells refer to the best bid and fall from a highest price; buys refer to the best
ask and rise from a lowest one. `obs` unfolds an observation into both sides.
"""

PIN_THE_PLAN = """
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off;
SET LOCAL jit = off
"""
"""With stale statistics the planner chose a hash join over all stops (measured: 780 ms, not 58)."""

_SIDES = """
obs(instrument_id, side, price) AS (
    SELECT id, 'sell', bid FROM unnest(%(ids)s::bigint[], %(bids)s::numeric[]) AS o(id, bid)
     WHERE bid IS NOT NULL
    UNION ALL
    SELECT id, 'buy', ask FROM unnest(%(ids)s::bigint[], %(asks)s::numeric[]) AS o(id, ask)
     WHERE ask IS NOT NULL
)"""

CLAIM = """
WITH wanted AS (
    SELECT * FROM unnest(%(ids)s::bigint[], %(bids)s::numeric[], %(asks)s::numeric[],
                         %(moments)s::timestamptz[]) AS o(id, bid, ask, moment)
), locked AS MATERIALIZED (
    SELECT id FROM orders_instrument WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR NO KEY UPDATE
)
UPDATE orders_instrument i
   SET bid = w.bid, ask = w.ask, observed_at = w.moment
  FROM locked l JOIN wanted w ON w.id = l.id
 WHERE i.id = l.id AND (i.observed_at IS NULL OR i.observed_at < w.moment
                        OR i.observed_at > clock_timestamp() + interval '2 seconds')
   AND w.moment > clock_timestamp() - %(oldest)s::interval
RETURNING i.id
"""
"""Claim the instruments in id order, so that two ticks cannot deadlock and the older one loses.

Age is judged after the wait for the locks. A last observation in the future is of a
clock that was wrong and counts for nothing."""

ACTIVATE = (
    "WITH "
    + _SIDES
    + """, due AS MATERIALIZED (
    SELECT s.id, s.instrument_id, s.side, obs.price
      FROM obs
      CROSS JOIN LATERAL (
        SELECT id, instrument_id, side FROM trailing_trailingstop s
         WHERE s.instrument_id = obs.instrument_id AND s.side = obs.side
           AND s.status = 'pending_activation' AND obs.side = 'sell'
           AND s.activation_price <= obs.price
        UNION ALL
        SELECT id, instrument_id, side FROM trailing_trailingstop s
         WHERE s.instrument_id = obs.instrument_id AND s.side = obs.side
           AND s.status = 'pending_activation' AND obs.side = 'buy'
           AND s.activation_price >= obs.price
      ) s
), made AS (
    INSERT INTO trailing_watermark (instrument_id, side, price, created_at)
    SELECT DISTINCT instrument_id, side, price, now() FROM due
    RETURNING id, instrument_id, side
)
UPDATE trailing_trailingstop s
   SET status = 'active', watermark_id = made.id, updated_at = now()
  FROM due JOIN made ON made.instrument_id = due.instrument_id AND made.side = due.side
 WHERE s.id = due.id AND s.status = 'pending_activation'
RETURNING s.id, due.price
"""
)
"""A sell activates at or above its activation price, a buy at or below; that price is its best."""

FIND_TRIGGERED = (
    "WITH "
    + _SIDES
    + """
SELECT s.id, obs.price, w.price AS watermark, s.trigger
  FROM obs
  CROSS JOIN LATERAL (
    SELECT id, price FROM trailing_watermark w
     WHERE w.instrument_id = obs.instrument_id AND w.side = obs.side
  ) w
  CROSS JOIN LATERAL (
    SELECT id, w.price * (1 - trail_fraction) AS trigger FROM trailing_trailingstop
     WHERE watermark_id = w.id AND status = 'active' AND obs.side = 'sell'
       AND trail_fraction <= 1 - obs.price / w.price + 1e-9
       AND w.price * (1 - trail_fraction) >= obs.price
    UNION ALL
    SELECT id, w.price - trail_amount FROM trailing_trailingstop
     WHERE watermark_id = w.id AND status = 'active' AND obs.side = 'sell'
       AND trail_amount <= w.price - obs.price
    UNION ALL
    SELECT id, w.price * (1 + trail_fraction) FROM trailing_trailingstop
     WHERE watermark_id = w.id AND status = 'active' AND obs.side = 'buy'
       AND trail_fraction <= obs.price / w.price - 1 + 1e-9
       AND w.price * (1 + trail_fraction) <= obs.price
    UNION ALL
    SELECT id, w.price + trail_amount FROM trailing_trailingstop
     WHERE watermark_id = w.id AND status = 'active' AND obs.side = 'buy'
       AND trail_amount <= obs.price - w.price
  ) s
"""
)
"""Range probes on (watermark, trail). A quotient is rounded and a product is exact, so the
probe by quotient is a hair too wide and the product decides."""

END_TRIGGERED = """
UPDATE trailing_trailingstop s
   SET status = 'triggered', trade_id = v.trade, final_watermark_price = v.watermark,
       final_trigger_price = v.trigger, triggered_by_price = v.price,
       triggered_at = %(now)s, updated_at = %(now)s, watermark_id = NULL
  FROM unnest(%(ids)s::bigint[], %(trades)s::bigint[], %(watermarks)s::numeric[],
              %(triggers)s::numeric[], %(prices)s::numeric[])
       AS v(id, trade, watermark, trigger, price)
 WHERE s.id = v.id AND s.status = 'active'
"""

HOLD_INSTRUMENT = "SELECT id FROM orders_instrument WHERE id = %s FOR SHARE"
"""Keep ticks off one instrument until the commit; any number of holders at once."""

RATCHET = (
    "WITH "
    + _SIDES
    + """
UPDATE trailing_watermark w
   SET price = obs.price
  FROM obs
 WHERE w.instrument_id = obs.instrument_id AND w.side = obs.side
   AND ((w.side = 'sell' AND w.price < obs.price) OR (w.side = 'buy' AND w.price > obs.price))
"""
)
"""One row per watermark moves, however many stops share it; it never loosens."""
