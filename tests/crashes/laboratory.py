"""The laboratory: fork a process, have it die at a point, let another recover, judge what is left.

The process that forks is warm (Django, the client, connections' code), so that a life begins in
milliseconds. It must not itself use what a fork does not copy: the threads of `orders.sending`
and `trailing.monitor`.
"""

import hashlib
import json
import math
import os
import signal
import ssl
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.db import connection, connections
from django.utils import timezone

from exchange import guarded
from exchange.polymarket import placing
from exchange.polymarket.relayed import RelayedMinter
from minting import draining, requesting, resolving
from orders import listing, reconciling, venues
from orders.models import Instrument, Order
from polytrader import bells, tokens
from polytrader.minting_rules import MintingRules
from strategy import inventory, managing
from tests.crashes.hurrying import hurry
from tests.crashes.points import EVERYWHERE, Death, Kill, named_points
from tests.crashes.scenario import HELD, MERGED_ABOVE, MOST_PER_SPLIT, Play, Scenario
from tests.crashes.verdict import Verdict, judge, unfinished
from tests.paper_process import PaperProcess
from tests.rows import Api
from trailing import monitor

RECOVERS_WITHIN = 60.0
"""Seconds; with the waits 25 times shorter, an idle machine needs two or three, a busy one far more."""

LIVES_AT_MOST = 60.0


@dataclass(slots=True)
class Outcome:
    """What came of one run."""

    scenario: Scenario
    kills: tuple[Kill, ...]
    died: list[Kill] = field(default_factory=list)
    """The kills that really happened: a point may not be passed so often."""
    recovered_in: float = math.nan
    """Seconds from the last death to the end of everything that was under way."""
    verdict: Verdict = field(default_factory=Verdict)
    log: str = ""

    @property
    def deaths(self) -> int:
        """How many processes were killed."""
        return len(self.died)

    def __str__(self) -> str:
        return f"{self.kills} in {self.scenario}\n{self.verdict}\n{self.log}"


@dataclass(frozen=True, slots=True)
class Life:
    """How the processes of a run live."""

    spoil: Callable[[], None] = lambda: None
    """Makes each of them wrong in some way, to see it noticed."""
    leaves: frozenset[str] = frozenset()
    """What they need not bring to its end (`verdict.unfinished`)."""
    acts: bool = True
    """Whether this one is where person and market act; the others only work."""


class Laboratory:
    """Runs one scenario after another on a paper exchange and a database of its own."""

    def __init__(self, paper: PaperProcess, home: Path) -> None:
        self.paper = paper
        self._configuration = settings.CONFIGURATION
        self.points = [*named_points(), *EVERYWHERE]
        self._death = Death()
        self._log = home / "log"
        self._posts = home / "posts"
        self._tables = _tables()
        self.markets = paper.markets()
        self._unused_tls = ssl.create_default_context()
        self._api = Api("trade")
        self._warm_up()

    def _warm_up(self) -> None:
        """Load now what every life would load for itself."""
        venues.venue("polymarket").log_in()
        venues.minter().next_nonce()
        self._api.get("/strategy/signals")

    def run(
        self,
        scenario: Scenario,
        *kills: Kill,
        life: Life = Life(),
        within: float = RECOVERS_WITHIN,
    ) -> Outcome:
        """Let a process die at each of the kills, whichever comes first; then let one live on."""
        play = self._prepare(scenario)
        outcome = Outcome(scenario, kills)
        left = list(kills)
        while left:
            company = (
                self._start(play, [], replace(life, acts=False)) if scenario.has_company else 0
            )
            ended = self._ends(self._start(play, left, life), LIVES_AT_MOST)
            if company:
                _end(company)
            if ended != "killed":
                break
            outcome.died.append(left.pop(self._death.last()))
        died_at = time.monotonic()
        self._ends(self._start(play, [], life), within)
        outcome.recovered_in = time.monotonic() - died_at
        log = self._log.read_text()
        outcome.verdict = judge(play, self._posts, log)
        if not outcome.verdict.is_good:
            outcome.log = log[-200_000:]
        return outcome

    def _prepare(self, scenario: Scenario) -> Play:
        if settings.CONFIGURATION.paper_port != self._configuration.paper_port:
            venues.forget()
        settings.CONFIGURATION = replace(self._configuration, minting=_rules_of(scenario))
        guarded.forget(
            settings.CONFIGURATION.redis_url,
            guarded.namespace("paper", settings.CONFIGURATION.paper_port),
        )
        self.paper.call("POST", "/paper/reset")
        with connection.cursor() as cursor:
            # Rows go without regard to who refers to whom; far quicker than TRUNCATE.
            deletes = "; ".join(f'DELETE FROM "{table}"' for table in self._tables)
            cursor.execute(
                f"SET session_replication_role = replica; {deletes};"
                " SET session_replication_role = DEFAULT"
            )
        Instrument.objects.update(
            bid=None,
            ask=None,
            observed_at=None,
            updated_at=timezone.now(),
            accepting_orders=True,
            is_closed=False,
        )
        for path in (self._log, self._posts):
            path.write_text("")
        tokens.create("of the test", "trade", self._api.token)
        play = Play(scenario, self.paper, self.markets, self._api)
        play.lay_out()
        return play

    def _start(self, play: Play, kills: Sequence[Kill], life: Life) -> int:
        """Fork a process that does the work of all roles; its id."""
        connections.close_all()
        pid = os.fork()
        if pid:
            return pid
        try:
            self._be_born(play, kills)
            life.spoil()
            live(play, life)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    def _be_born(self, play: Play, kills: Sequence[Kill]) -> None:
        """Forget what the parent had that does not survive a fork; hurry; arm."""
        log = os.open(self._log, os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout = sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        print(f"process {os.getpid()} to die at {list(kills)}")
        self.paper.__dict__.pop("http", None)
        play.paper = self.paper
        # Nothing here speaks TLS, and its settings take longer to load than a recovery lasts.
        httpx._transports.default.create_ssl_context = lambda *_, **__: self._unused_tls
        monitor._fetchers = ThreadPoolExecutor(max_workers=4)
        bells._silent_until = math.inf  # every bell is lost: the sweeps must find everything
        _record_posts(self._posts)
        hurry()
        self._death.arm(kills)

    def _ends(self, pid: int, seconds: float) -> str:
        """Wait for a process: `killed`, `done`, `failed`, or `stuck` after so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                if os.WIFSIGNALED(status):
                    return "killed" if os.WTERMSIG(status) == signal.SIGKILL else "failed"
                return "failed" if os.WEXITSTATUS(status) else "done"
            time.sleep(0.004)
        _end(pid)
        return "stuck"


def _rules_of(scenario: Scenario) -> MintingRules:
    """How much goes out at once, and from where on pairs are merged unasked."""
    usual: MintingRules = settings.CONFIGURATION.minting
    return replace(
        usual,
        most=MOST_PER_SPLIT,
        keep_pairs=HELD,
        approve_tokens=True,
        confirmations=1,
        merge_above=MERGED_ABOVE if scenario.merges_surplus else None,
    )


def live(play: Play, life: Life) -> None:
    """Do the work of every role in turn until nothing is left to do."""
    if not life.acts:
        time.sleep(play.scenario.seed % 6 / 10)
    rounds = 0
    while True:
        if life.acts:
            play.act()
        monitor.sweep()
        managing.work()
        requesting.request_for_settled_trades()
        if play.scenario.merges_surplus:
            inventory.merge_surplus()
        if play.scenario.resolves:
            resolving.request_redemptions()
        draining.drain()
        if rounds % 3 == play.scenario.seed % 3:  # as the user's stream would tell of them
            flying = Order.objects.filter(status__in=["sent", "open"])
            reconciling.look_now(list(flying.values_list("order_id", flat=True)))
        if rounds % 10 == play.scenario.seed % 10:
            listing.sweep()
        rounds += 1
        is_acted = play.has_acted() or not life.acts
        if is_acted and unfinished().keys() <= life.leaves:
            return
        time.sleep(0.02)


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return


def _record_posts(path: Path) -> None:
    """Write down the bytes of every order and conversion before they go out."""
    post, post_many, submit = placing.post, placing.post_many, RelayedMinter.submit

    def record(name: str, payload: str) -> None:
        line = json.dumps([name, hashlib.sha256(payload.encode()).hexdigest()])
        with path.open("a") as file:
            file.write(line + "\n")

    def recorded_post(session: Any, signed: Any) -> Any:
        record(signed.order_id, signed.payload)
        return post(session, signed)

    def recorded_post_many(session: Any, signed: Any) -> Any:
        for one in signed:
            record(one.order_id, one.payload)
        return post_many(session, signed)

    def recorded_submit(minter: Any, signed: Any) -> Any:
        record(f"conversion {json.loads(signed.payload)['signature']}", signed.payload)
        return submit(minter, signed)

    placing.post, placing.post_many = recorded_post, recorded_post_many
    RelayedMinter.submit = recorded_submit


def _tables() -> list[str]:
    """Every table of ours but the instruments, which the venue describes but once."""
    ours = ("polytrader_", "orders_", "trailing_", "minting_", "strategy_", "operations_")
    return [
        name
        for name in connection.introspection.table_names()
        if name.startswith(ours) and name != Instrument._meta.db_table
    ]
