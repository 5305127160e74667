"""A venue behind its guards: what is held back, what never is, and what gets counted."""

import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from exchange.errors import ExchangeError, OutcomeUnknown, Rejected, Unavailable
from exchange.guarded import Guarded, breaker_of, forget, guarded, namespace
from exchange.port import Exchange
from exchange.types import Acknowledgement, OrderRequest, RejectionCode, SignedOrder
from tests.exchange.stub import Answer, Stub, serving

AWAY = "redis://127.0.0.1:1/0"
DOWN = Unavailable("Polymarket: no answer: ConnectError")
ORDER = SignedOrder("0x1", "{}")
EXIT = SignedOrder("0x2", "{}", is_urgent=True)
AFTER = datetime(2026, 1, 1, tzinfo=UTC)
REQUEST = OrderRequest("1", "sell", Decimal(10), Decimal("0.5"), Decimal("0.01"))

URGENT = {
    "post": lambda venue: venue.post(EXIT),
    "quotes": lambda venue: venue.quotes(["1"]),
    "find_order": lambda venue: venue.find_order("0x1"),
    "trades": lambda venue: venue.trades("0x1", ["a", "b"]),
}
CANCELS = {
    "cancel": lambda venue: venue.cancel("0x1"),
    "cancel_many": lambda venue: venue.cancel_many(["0x1"]),
}
PATIENT = {
    "post": lambda venue: venue.post(ORDER),
    "instrument": lambda venue: venue.instrument("1"),
    "balance": lambda venue: venue.balance("1"),
    "refresh_balance": lambda venue: venue.refresh_balance("1"),
    "open_orders": lambda venue: venue.open_orders(),
    "wallet_trades": lambda venue: venue.wallet_trades(AFTER),
    "server_time": lambda venue: venue.server_time(),
}


class Venue:
    """The outside world: notes what it was asked, and answers or raises what the test says."""

    largest_batch = 15

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.trouble: ExchangeError | None = None
        self.answers: list[Acknowledgement | ExchangeError] = []

    def _asked(self, name: str) -> None:
        self.asked.append(name)
        if self.trouble is not None:
            raise self.trouble

    def instrument(self, symbol):
        return self._asked("instrument")

    def quotes(self, symbols):
        self._asked("quotes")
        return {}

    def log_in(self):
        return self._asked("log_in")

    def sign(self, request):
        self._asked("sign")
        return ORDER

    def post(self, signed):
        self._asked("post")
        return Acknowledgement(signed.order_id, "open")

    def post_many(self, signed):
        self.asked.append("post_many")
        return self.answers or [Acknowledgement(order.order_id, "open") for order in signed]

    def cancel(self, order_id):
        self._asked("cancel")
        return True

    def cancel_many(self, order_ids):
        self._asked("cancel_many")
        return dict.fromkeys(order_ids, True)

    def open_orders(self):
        self._asked("open_orders")
        return []

    def wallet_trades(self, after):
        self._asked("wallet_trades")
        return []

    def server_time(self):
        self._asked("server_time")
        return AFTER

    def find_order(self, order_id):
        return self._asked("find_order")

    def trades(self, order_id, trade_ids):
        self._asked("trades")
        return []

    def balance(self, asset):
        self._asked("balance")
        return Decimal(0)

    def refresh_balance(self, asset):
        return self._asked("refresh_balance")


@pytest.fixture
def outside():
    return Venue()


@pytest.fixture(params=["redis", "away"])
def venue(request, outside):
    url = os.environ["REDIS_URL"] if request.param == "redis" else AWAY
    return guarded("polymarket", outside, url, f"test:{uuid.uuid4()}:")


def broken(venue: Guarded, outside: Venue) -> None:
    """Let the venue fail five times."""
    outside.trouble = DOWN
    for _ in range(5):
        with pytest.raises(Unavailable):
            venue.find_order("0x1")
    outside.asked.clear()


def first_refusal(ask: Callable[[], object]) -> Unavailable:
    """Ask until the limit says no."""
    for _ in range(1000):
        try:
            ask()
        except Unavailable as refusal:
            return refusal
    raise AssertionError("never refused")


def test_it_is_an_exchange_and_answers_what_the_venue_answers(venue, outside):
    exchange: Exchange = venue
    assert exchange.post(ORDER) == Acknowledgement("0x1", "open")
    assert exchange.cancel_many(["0x1", "0x2"]) == {"0x1": True, "0x2": True}
    assert exchange.server_time() == AFTER
    assert exchange.largest_batch == 15


@pytest.mark.parametrize("operation", [*URGENT, *CANCELS])
def test_what_protects_is_asked_while_the_breaker_is_open(venue, outside, operation):
    broken(venue, outside)
    with pytest.raises(Unavailable, match="ConnectError"):
        (URGENT | CANCELS)[operation](venue)
    assert outside.asked == [operation]


@pytest.mark.parametrize("operation", PATIENT)
def test_what_can_wait_is_refused_at_once_while_the_breaker_is_open(venue, outside, operation):
    broken(venue, outside)
    with pytest.raises(Unavailable, match="the breaker of Polymarket is open after 5 failures"):
        PATIENT[operation](venue)
    assert outside.asked == []


def test_signing_and_logging_in_ask_nobody(venue, outside):
    broken(venue, outside)
    outside.trouble = None
    assert venue.sign(REQUEST) == ORDER
    venue.log_in()


def test_an_exit_that_succeeds_opens_the_venue_to_all(venue, outside):
    broken(venue, outside)
    outside.trouble = None
    venue.post(EXIT)
    venue.server_time()


def test_refusals_are_no_failures(venue, outside):
    outside.trouble = Rejected(RejectionCode.UNMATCHED, "no orders found to match")
    for _ in range(6):
        with pytest.raises(Rejected):
            venue.post(ORDER)
    assert outside.asked == ["post"] * 6


def test_the_burst_of_orders_is_the_signers_and_an_exit_goes_beyond_it(venue, outside):
    for _ in range(4):
        assert len(venue.post_many([ORDER] * 15)) == 15
    refusal = first_refusal(lambda: venue.post(ORDER))
    assert "rate limit for post is used up" in str(refusal)
    assert refusal.retry_after == 1
    venue.post(EXIT)
    venue.find_order("0x1")


def test_a_batch_beyond_the_limit_is_unavailable_for_each_order_and_not_sent(venue, outside):
    answers = [venue.post_many([ORDER] * 15) for _ in range(100)]
    refused = [one for one in answers if isinstance(one[0], Unavailable)]
    assert [type(answer) for answer in refused[-1]] == [Unavailable] * 15
    assert outside.asked.count("post_many") == 100 - len(refused)
    assert isinstance(venue.post_many([ORDER, EXIT])[0], Acknowledgement)


def test_a_batch_refused_by_the_breaker_is_unavailable_for_each_order(venue, outside):
    broken(venue, outside)
    answers = venue.post_many([ORDER] * 3)
    assert [str(answer)[:33] for answer in answers] == ["the breaker of Polymarket is open"] * 3
    venue.post_many([ORDER, EXIT])
    assert outside.asked == ["post_many"]


def test_a_batch_is_one_failure_and_works_when_any_order_does(venue, outside):
    outside.answers = [OutcomeUnknown("no answer")] * 3
    for _ in range(4):
        venue.post_many([ORDER] * 3)
    venue.server_time()
    for _ in range(4):
        venue.post_many([ORDER] * 3)
    outside.answers = [OutcomeUnknown("no answer"), Acknowledgement("0x1", "open")]
    venue.post_many([EXIT] * 2)
    outside.answers = [OutcomeUnknown("no answer")] * 3
    venue.post_many([ORDER] * 3)
    venue.server_time()


@pytest.mark.parametrize("in_a_batch", [False, True])
def test_after_a_429_what_is_not_urgent_waits_as_long_as_the_venue_said(venue, outside, in_a_batch):
    slow_down = Unavailable("Polymarket: status 429: slow down", retry_after=30)
    if in_a_batch:
        outside.answers = [slow_down, Acknowledgement("0x1", "open")]
        venue.post_many([ORDER] * 2)
        outside.answers = []
    else:
        outside.trouble = slow_down
        with pytest.raises(Unavailable, match="slow down"):
            venue.post(ORDER)
        outside.trouble = None
    with pytest.raises(Unavailable, match="rate limit for post is used up") as caught:
        venue.post(ORDER)
    assert 25 <= caught.value.retry_after <= 30
    venue.post(EXIT)
    venue.balance("1")


def test_a_venue_that_restarts_is_not_broken(venue, outside):
    outside.trouble = Unavailable("Polymarket: status 425: service not ready")
    for _ in range(8):
        with pytest.raises(Unavailable, match="service not ready"):
            venue.post(ORDER)
    assert outside.asked == ["post"] * 8


def test_what_is_no_venue_error_goes_through_and_counts_for_nothing(venue, outside):
    outside.trouble = ValueError("more than a batch")  # type: ignore[assignment]
    for _ in range(6):
        with pytest.raises(ValueError, match="more than a batch"):
            venue.balance("1")
    outside.trouble = None
    assert venue.balance("1") == 0


def test_binance_counts_its_own_limits():
    outside = Venue()
    venue = guarded("binance", outside, AWAY, "test:")
    refusal = first_refusal(venue.open_orders)
    assert "Binance's rate limit for open_orders" in str(refusal)
    venue.quotes(["BTCUSDT"])
    venue.refresh_balance("BTC")


def test_a_real_adapter_that_nobody_answers_opens_its_breaker():
    from exchange.polymarket.settings import Endpoints
    from exchange.polymarket.trading import PolymarketExchange

    with serving() as stub:
        _answer_502(stub)
        venue = guarded(
            "polymarket",
            PolymarketExchange(Endpoints.paper(stub.url), None),
            AWAY,
            f"test:{uuid.uuid4()}:",
        )
        for _ in range(5):
            with pytest.raises(Unavailable, match="502"):
                venue.quotes(["1" * 30])
        asked = len(stub.asked)
        with pytest.raises(Unavailable, match="breaker"):
            venue.instrument("1" * 30)
        assert len(stub.asked) == asked


def _answer_502(stub: Stub) -> None:
    for path in ("/prices", "/books"):
        stub.on("POST", path, Answer("bad gateway", 502))


def test_one_breaker_per_process_and_venue_and_none_shared_with_paper():
    live, paper = namespace("live", 8016), namespace("paper", 8016)
    assert breaker_of("polymarket", AWAY, live) is breaker_of("polymarket", AWAY, live)
    assert breaker_of("polymarket", AWAY, live) is not breaker_of("polymarket", AWAY, paper)
    assert breaker_of("polymarket", AWAY, live) is not breaker_of("binance", AWAY, live)


@pytest.mark.parametrize("url", [os.environ.get("REDIS_URL", AWAY), AWAY], ids=["redis", "away"])
def test_what_is_forgotten_begins_anew(outside, url):
    prefix = f"test:{uuid.uuid4()}:"
    venue = guarded("polymarket", outside, url, prefix)
    broken(venue, outside)
    first_refusal(lambda: venue.balance("1"))
    forget(url, prefix)
    outside.trouble = None
    guarded("polymarket", outside, url, prefix).balance("1")
