"""`manage.py check_system`: drive one stop, one exit and one mint through the running system."""

import time
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from operations.driving import DriveError, Paper, Web, wait_for


class Command(BaseCommand):
    """Each step is printed with its time; exit status 0 only if all of it happened."""

    help = "Drive one stop, one exit and one mint through the running system (paper only)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse live trading, then do the steps."""
        if settings.CONFIGURATION.exchange != "paper":
            raise CommandError("check_system trades; it refuses to run with EXCHANGE=live")
        token = settings.CONFIGURATION.token
        if not token:
            raise CommandError("no API token is configured; set POLYTRADER_TOKEN")
        self._started = self._step_started = time.monotonic()
        try:
            self._drive(Web(token), Paper())
        except (DriveError, httpx.HTTPError) as error:
            raise CommandError(f"FAILED after {self._total()}: {error}") from error
        self.stdout.write(self.style.SUCCESS(f"all of it happened, in {self._total()}"))

    def _drive(self, web: Web, paper: Paper) -> None:
        token_id = _a_quiet_token(web, paper)
        self._say("a market of the paper exchange was chosen")
        paper.put_book(token_id, "0.48", "0.50")
        body = {
            "symbol": token_id,
            "quantity": 10,
            "trailingTicks": 3,
            "entryPrice": "0.48",
            "mintAfterSell": True,
            "strategy": "check_system",
        }
        key = web.post("/api/trailing-stops", body)["stateKey"]
        self._say(f"a stop was created: {key}")
        paper.put_book(token_id, "0.52", "0.54")
        self._wait(web, key, "the stop follows the price up", _has_watermark("0.52"))
        paper.put_book(token_id, "0.49", "0.51")
        self._wait(web, key, "the stop triggers", lambda s: s["status"] == "triggered")
        self._wait(web, key, "its order is filled", lambda s: s["filledQuantity"] == "10")
        self._wait(web, key, "the sale is settled", lambda s: s["settledQuantity"] == "10")
        minted = _splits(paper)
        wait_for("the mint", lambda: _splits_more_than(paper, minted, web), 30)
        self._say("what was sold has been minted again")

    def _wait(self, web: Web, key: str, what: str, holds: Any) -> None:
        def look() -> Any:
            stop = web.get(f"/api/trailing-stops/{key}")
            if stop["status"] in ("error", "cancelled"):
                raise DriveError(f"the stop is {stop['status']}: {stop['errorMessage']}")
            return stop if holds(stop) else None

        wait_for(what, look, 30)
        self._say(what)

    def _say(self, what: str) -> None:
        now = time.monotonic()
        self.stdout.write(f"  {now - self._step_started:6.2f} s  {what}")
        self._step_started = now

    def _total(self) -> str:
        return f"{time.monotonic() - self._started:.1f} s"


def _a_quiet_token(web: Web, paper: Paper) -> str:
    """A token that no live stop watches, so that the check disturbs nobody."""
    for market in paper.get("/paper/markets"):
        for token_id in market["tokenIds"]:
            busy = any(
                web.get("/api/trailing-stops", symbol=other, status=status)["count"]
                for other in market["tokenIds"]
                for status in ("active", "pending_activation")
            )
            if not busy and market["tickSize"] == "0.01" and not market["negRisk"]:
                return str(token_id)
    raise DriveError("every market has live stops; cancel some, or POST /paper/reset")


def _has_watermark(price: str) -> Any:
    return lambda stop: stop["watermarkPrice"] == price


def _splits(paper: Paper) -> int:
    return len(paper.get("/paper/ledger")["splits"])


def _splits_more_than(paper: Paper, before: int, web: Web) -> bool | None:
    done = _splits(paper) > before and web.get("/strategy/mint-queue/stats")["active"] == 0
    return True if done else None
