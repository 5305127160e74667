"""Is it ready? One request to each process that answers requests."""

from __future__ import annotations

import http.client
from dataclasses import dataclass

from polytrader.configuration import Configuration

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask, not to bind


@dataclass(frozen=True)
class Probe:
    """A GET; ready is status 200, or any answer at all when `any_answer`."""

    name: str
    host: str
    port: int
    path: str
    host_header: str
    any_answer: bool = False

    def trouble(self) -> str | None:
        """Return what is not ready yet in a few words, or None. Blocks up to 3 s."""
        session = http.client.HTTPConnection(self.host, self.port, timeout=3)
        try:
            session.request("GET", self.path, headers={"Host": self.host_header})
            answer = session.getresponse()
            said = answer.read(300).decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as error:
            return f"{self.name} does not answer ({error or type(error).__name__})"
        finally:
            session.close()
        if self.any_answer or answer.status == 200:
            return None
        return f"{self.name} {self.path} says {answer.status} {said}"


def probes(configuration: Configuration, processes: set[str]) -> list[Probe]:
    """Return the probes for those of the processes that can be asked."""
    host = _EVERYWHERE.get(configuration.host, configuration.host)
    named = [name.lstrip(".") for name in configuration.allowed_hosts if name != "*"]
    header = f"{named[0] if named else host}:{configuration.port}"
    loopback = "127.0.0.1"
    known = [
        Probe("paper", loopback, configuration.paper_port, "/ok", loopback),
        Probe("flower", loopback, configuration.flower_port, "/", loopback, any_answer=True),
        Probe("web", host, configuration.port, "/readyz", header),
    ]
    return [probe for probe in known if probe.name in processes]
