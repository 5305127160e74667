"""Races of new stops, arranged."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from trailing import creating

Arrange = Callable[[Callable[[], Any]], None]


def beside(act: Callable[[], Any]) -> Any:
    """Let somebody else do it now, with a connection of his own; he must not have to wait for us."""

    def run() -> Any:
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as somebody:
        return somebody.submit(run).result(20)


@pytest.fixture
def before_the_lock(monkeypatch: pytest.MonkeyPatch) -> Arrange:
    """Between taking watermarks and locking, let this happen once."""

    def arrange(act: Callable[[], Any]) -> None:
        acts, store = [act], creating._store

        def late_store(*told: Any) -> Any:
            while acts:
                beside(acts.pop())
            return store(*told)

        monkeypatch.setattr(creating, "_store", late_store)

    return arrange
