"""Beats and workers that live from test to test; those that a test has killed are replaced before the next."""

from __future__ import annotations

import signal
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from worker_processes import SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker_processes import Striking, Worker

# A frozen beat is replaced after a second. Workers that nobody strikes keep their runs on a busy machine, too.
SETTINGS: Final = {"beat_lease_seconds": 1.0, "lease_seconds": 3.0, "slots": 20, "drain_seconds": 0.5}


@dataclass
class Crew:
    striking: Striking
    database_uri: str
    redis_uri: str
    counts: dict[str, int]
    settings: dict[str, object]
    processes: dict[str, list[Worker]] = field(default_factory=lambda: defaultdict(list))

    @property
    def beats(self) -> list[Worker]:
        return self.processes["beat"]

    def fill(self) -> None:
        """Replace the dead, wake the frozen, and wait until all are ready."""
        for pid in self.striking.killed():
            self.find(pid).process.wait(SECONDS)  # on a busy machine it takes a while to die
        self.striking.clean()
        for program, count in self.counts.items():
            kept = [one for one in self.processes[program] if one.process.poll() is None]
            for one in kept:
                one.forget()
                one.process.send_signal(signal.SIGCONT)
            new = [
                self.striking.start(program, self.database_uri, self.redis_uri, **self.settings)
                for _ in range(count - len(kept))
            ]
            self.processes[program] = kept + new
            for one in new:
                one.wait_for(f"{program}_ready")

    def find(self, pid: int) -> Worker:
        return next(one for some in self.processes.values() for one in some if one.process.pid == pid)

    def tell(self) -> None:
        """Print what each has said in this test: pytest shows it where one fails."""
        for program, some in self.processes.items():
            for one in some:
                print(f"--- {program} {one.process.pid}", *one.lines, sep="\n")  # noqa: T201 - for people

    def kill(self) -> None:
        for some in self.processes.values():
            for one in some:
                one.kill()


@contextmanager
def serving(
    striking: Striking, database_uri: str, redis_uri: str, *, beats: int = 0, workers: int = 2, **settings: object
) -> Iterator[Crew]:
    """A crew, to be filled before each test."""
    crew = Crew(striking, database_uri, redis_uri, {"beat": beats, "worker": workers}, SETTINGS | settings)
    try:
        yield crew
    finally:
        crew.kill()
