"""The monitor: fetch the prices of every watched instrument, tick, send what that triggered.

Called by the beat every 2 s; where no message arrives (Redis away), the process
that consumes `trailing` calls it by itself. What the stream has evaluated within the last second
is left to it, and looked at again a second later: losing the stream costs 2 s.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import structlog
from django.db import OperationalError, close_old_connections, transaction
from django.utils import timezone

from exchange.errors import ExchangeError
from exchange.types import Book, Quote
from orders import reconciling, sending
from orders.models import Instrument
from orders.venues import venue
from polytrader import heartbeats
from trailing import ending, firing, lease, watching
from trailing.executable import Depth
from trailing.models import StopEvent, TrailingStop
from trailing.protecting import tell_blind
from trailing.tick import Observation, TickResult, tick_safely

log = structlog.get_logger()

ROLE = "monitor"
LATE_AFTER = 4.0
"""Seconds without a sweep after which the process sweeps by itself."""

ALONE_EVERY = 2.0
"""Seconds between such sweeps while nobody rings: as often as the beat would."""

LEFT_TO_THE_STREAM = timedelta(seconds=1)
"""An instrument observed so lately is not asked for while a stream acts."""

AT_ONCE = 100
"""Instruments of one tick: the stream, and whoever makes a stop, waits for it at most so long."""

PATIENCE = 1.5
"""Seconds that a sweep waits for the prices of a slow venue."""

Prices = Sequence[Quote | Book]

_asked: dict[tuple[str, bool], Future[Prices]] = {}
"""What a venue has not answered yet, by its name and whether whole books were asked for."""

_last_sweep = threading.Event()
_sweep_lock = threading.Lock()
_fetchers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="quotes")


@dataclass(slots=True)
class SweepResult:
    """What one sweep saw and did."""

    watched: int = 0
    left: int = 0
    """To the stream, which has just evaluated them."""
    evaluated: int = 0
    activated: int = 0
    triggered: int = 0


def sweep() -> SweepResult:
    """Evaluate every watched instrument once with fresh prices, and send the exits at once.

    A venue that does not answer leaves its stops armed: the next sweep tries again.
    """
    if not _sweep_lock.acquire(blocking=False):
        return SweepResult()
    try:
        result = _sweep()
    finally:
        _sweep_lock.release()
    _last_sweep.set()
    return result


def _sweep() -> SweepResult:
    result = _evaluate_due()
    if result.left:
        _look_again_soon()
    result.triggered += _judge_held()
    failed = mark_failed_exits() + end_closed()
    ending.end_expired(timezone.now())
    tell_blind()
    left = f", left {result.left} to the stream" if result.left else ""
    heartbeats.beat(
        ROLE, f"evaluated {result.evaluated} of {result.watched} instruments{left}; {failed} errors"
    )
    return result


def _evaluate_due() -> SweepResult:
    """Evaluate what the stream has not; a venue that does not answer is left for the next time."""
    watched, whole = watched_instruments(), watching.ids_by_whole_book()
    due = _not_streamed(watched, whole)
    result = SweepResult(watched=len(watched), left=len(watched) - len(due))
    by_symbol = {instrument.symbol: instrument for instrument in due}
    for quotes in _answers(due, whole):
        done = _evaluate_safely(by_symbol, quotes)
        result.evaluated += done.claimed
        result.activated += done.activated
        result.triggered += done.triggered
    return result


def _not_streamed(watched: list[Instrument], whole: set[int]) -> list[Instrument]:
    """What no stream has evaluated lately, and what refers to more than the best prices."""
    if not lease.is_held(lease.STREAM):
        return watched
    since = timezone.now() - LEFT_TO_THE_STREAM
    return [
        instrument
        for instrument in watched
        if instrument.pk in whole
        or instrument.observed_at is None
        or not since < instrument.observed_at <= timezone.now()
    ]


def _look_again_soon() -> None:
    """Look once more before the next sweep, in case the stream is lost right now."""
    timer = threading.Timer(LEFT_TO_THE_STREAM.total_seconds(), _guarded, (_look_again,))
    timer.daemon = True
    timer.start()


def _look_again() -> None:
    if _sweep_lock.acquire(blocking=False):
        try:
            _evaluate_due()
        finally:
            _sweep_lock.release()


def _judge_held() -> int:
    """Judge the stops that wait for a confirmation: a quiet book sends no message."""
    with transaction.atomic():
        fired = firing.judge_held(timezone.now())
    sending.send_at_once(fired.orders)
    return fired.count


def _answers(watched: Sequence[Instrument], whole: set[int]) -> Iterator[Prices]:
    """Ask every venue at once and give each answer as it comes.

    A venue slower than a moment is left to itself: its answer is taken by a later
    sweep, and the others' stops do not wait for it.
    """
    wanted: dict[tuple[str, bool], list[str]] = {}
    for instrument in watched:
        key = (instrument.venue, instrument.pk in whole)
        wanted.setdefault(key, []).append(instrument.symbol)
    for key in wanted.keys() - _asked.keys():
        ask = _books_of if key[1] else _quotes_of
        _asked[key] = _fetchers.submit(ask, key[0], wanted[key])
    keys = {future: key for key, future in _asked.items()}
    try:
        for future in as_completed(keys, timeout=PATIENCE):
            del _asked[keys[future]]
            try:
                yield future.result()
            except ExchangeError as error:
                log.warning("no_prices", venue=keys[future][0], error=str(error))
    except TimeoutError:
        log.warning("venue_is_slow", venues=sorted({name for name, _ in _asked}))


def _quotes_of(name: str, symbols: list[str]) -> Prices:
    return list(venue(name).quotes(symbols).values())


def _books_of(name: str, symbols: list[str]) -> Prices:
    """Whole books, where a stop refers to the depth or to the last trade.

    Best prices where books are not to be had: the other stops of these symbols need no more.
    """
    try:
        return list(venue(name).books(symbols).values())
    except ExchangeError as error:
        log.warning("no_books", venue=name, error=str(error))
        return _quotes_of(name, symbols)


def _evaluate_safely(
    instruments: dict[str, Instrument], quotes: Sequence[Quote | Book]
) -> TickResult:
    try:
        return evaluate(instruments, quotes)
    except OperationalError:
        log.exception("tick_failed")  # a deadlock's victim, say: the next sweep tries again
        return TickResult()


def watched_instruments() -> list[Instrument]:
    """Every instrument that has a stop waiting or active."""
    return list(Instrument.objects.filter(pk__in=watching.instrument_ids()).order_by("pk"))


def evaluate(instruments: dict[str, Instrument], quotes: Iterable[Quote | Book]) -> TickResult:
    """Tick with these prices and send what it triggered; refuse what no market can quote."""
    observations = [
        observation
        for quote in quotes
        if quote.symbol in instruments
        and (observation := observed(instruments[quote.symbol], quote)) is not None
    ]
    result = TickResult()
    for at in range(0, len(observations), AT_ONCE):
        part = tick_safely(observations[at : at + AT_ONCE])
        sending.send_at_once(part.orders)
        result.add(part)
    return result


def observed(instrument: Instrument, seen: Quote | Book) -> Observation | None:
    """What was seen of an instrument as the tick takes it; `None` for what no market can quote."""
    depth, last = None, None
    if isinstance(seen, Book):
        depth, last = Depth(seen.bids, seen.asks), seen.last
        bid, ask = best_of(seen.bids), best_of(seen.asks)
    else:
        bid, ask = seen.bid, seen.ask
    if not is_sound(instrument, bid, ask):
        return None
    return Observation(instrument.pk, bid, ask, seen.received_at, last, depth)


def best_of(levels: Sequence[tuple[Decimal, Decimal]]) -> Decimal | None:
    """The best price of levels; an empty side has none."""
    return levels[0][0] if levels else None


def is_sound(instrument: Instrument, bid: Decimal | None, ask: Decimal | None) -> bool:
    """Refuse an observation that is crossed or outside the venue's price range."""
    if bid is not None and ask is not None and bid > ask:
        log.warning("crossed_quote", symbol=instrument.symbol[:20])
        return False
    prices = [price for price in (bid, ask) if price is not None]
    top = 1 if instrument.venue == "polymarket" else None
    return all(price > 0 and (top is None or price < top) for price in prices)


def mark_failed_exits() -> int:
    """Stops whose exit failed for good become `error`, with the reason; counted."""
    failed = TrailingStop.objects.filter(status="triggered", trade__legs__status="failed")
    count = 0
    for stop in failed.select_related("trade").distinct()[:100]:
        assert stop.trade is not None
        leg = stop.trade.legs.filter(status="failed").first()
        reason = leg.reason if leg is not None else "the exit failed"
        with transaction.atomic():
            if stop.move("error", error_message=reason):
                StopEvent.objects.create(stop=stop, kind="error", text=reason)
                log.error("stop_failed", stop=stop.state_key, reason=reason)
                count += 1
    return count


def end_closed() -> int:
    """Stops of a market that has closed for good become `error`, saying so; counted."""
    watched = Instrument.objects.filter(pk__in=watching.instrument_ids(), is_closed=True)
    closed = list(watched.values_list("pk", flat=True))
    if not closed:
        return 0
    reason = "the market has closed; nothing can be sold there any more"
    stops = TrailingStop.objects.live().filter(instrument__in=closed)
    rows = stops.select_related("instrument", "watermark")[:100]
    return sum(ending.end(stop, "error", "error", reason, error_message=reason) for stop in rows)


class Watchdog(threading.Thread):
    """Sweeps when nobody else has for some seconds: the broker may be away, the stops are not.

    It also does `work` (sends, reconciles, manages what is due), since nobody else can be rung.
    """

    def __init__(self, work: Callable[[], object] = reconciling.sweep) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._work = work
        self._reconciling: threading.Thread | None = None

    def run(self) -> None:
        """Sweep at once, then wait for the next sweep; when it is late, do it here."""
        self._sweep_here()
        patience = LATE_AFTER
        while True:
            if _last_sweep.wait(timeout=patience):
                patience = LATE_AFTER
            else:
                log.warning("sweeping_without_the_broker")
                self._sweep_here()
                patience = ALONE_EVERY
            _last_sweep.clear()  # its own sweep is nobody's who was rung

    def _sweep_here(self) -> None:
        _guarded(sweep)
        if self._reconciling is None or not self._reconciling.is_alive():
            # In a thread of its own: a slow venue must not keep prices from being evaluated.
            self._reconciling = threading.Thread(
                target=_guarded, args=(self._work,), name="reconciling", daemon=True
            )
            self._reconciling.start()


def _guarded(action: Callable[[], object]) -> None:
    try:
        close_old_connections()
        action()
    except Exception:
        log.exception("watchdog_failed", action=action.__name__)
    finally:
        close_old_connections()
