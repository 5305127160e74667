"""Observations that wait for the next tick, conflated when it takes them, bounded meanwhile."""

import threading
from collections.abc import Iterable, Mapping

from trailing.conflating import PLAIN, Needs, bounded, rounds, turning_points
from trailing.tick import Observation

MOST = 128
"""So many of one instrument wait at most."""


class Waiting:
    """A queue per instrument. Anybody puts, one thread takes."""

    def __init__(self) -> None:
        self._queues: dict[int, list[Observation]] = {}
        self._taken: dict[int, Observation] = {}
        self._needs: Mapping[int, Needs] = {}
        self._something = threading.Condition()
        self._is_over = False

    def expect(self, needs: Mapping[int, Needs]) -> None:
        """Say of each watched instrument what its stops tell apart."""
        with self._something:
            self._needs = needs
            self._taken = {key: seen for key, seen in self._taken.items() if key in needs}

    def put(self, seen: Iterable[Observation]) -> None:
        """Add observations, each younger than those of its instrument before."""
        with self._something:
            for each in seen:
                queue = self._queues.setdefault(each.instrument_id, [])
                queue.append(each)
                if len(queue) > MOST:
                    self._queues[each.instrument_id] = self._squeezed(queue)
            self._something.notify()

    def take(self, timeout: float) -> list[list[Observation]]:
        """Wait for something and take all of it, as rounds of one observation per instrument."""
        with self._something:
            self._something.wait_for(lambda: self._queues or self._is_over, timeout)
            queues, self._queues = self._queues, {}
            needs, before = self._needs, {key: self._taken.get(key) for key in queues}
            self._taken |= {key: queue[-1] for key, queue in queues.items()}
        points = [  # without the lock: whoever hears the market must not wait for this
            turning_points(queue, needs.get(key, PLAIN), before[key])
            for key, queue in queues.items()
        ]
        return list(rounds(points))

    def give_back(self, seen: Iterable[Observation]) -> None:
        """Put what could not be evaluated before what has come since."""
        with self._something:
            for each in reversed(list(seen)):
                self._queues.setdefault(each.instrument_id, []).insert(0, each)
                self._taken.pop(each.instrument_id, None)

    def end(self) -> None:
        """Wake up whoever takes; there is no more to come."""
        with self._something:
            self._is_over = True
            self._something.notify_all()

    def _squeezed(self, queue: list[Observation]) -> list[Observation]:
        key = queue[0].instrument_id
        points = turning_points(queue, self._needs.get(key, PLAIN), self._taken.get(key))
        return bounded(points, MOST // 2)
