"""An installation of real processes on servers of its own, which may be stopped, emptied and cut off."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redis import Redis

from beat_setting import wait_for
from ostinato_beat.entries import LOCK_KEY, SCHEDULE_KEY, key_of
from ostinato_cli.embedded import EmbeddedPostgres, EmbeddedValkey
from ostinato_shared import migrate
from whole_stack import free_port
from worker_setting import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from uuid import UUID

BAR_SECONDS = 5.0  # by so much a firing may be late after a fault
SECONDS = 90  # what anything gets on a busy machine
LEASE_SECONDS = 6.0  # of a worker: shorter than an outage of Postgres
PROGRAM = "from ostinato_shared.settings import Settings; from ostinato_{0}.main import run; run(Settings())"
FAST = {"fsync": "off", "full_page_writes": "off"}
GRAPHS = """
import asyncio, operator, os, time
from pathlib import Path
from typing import Annotated
from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph, START
from typing_extensions import TypedDict

HERE = Path(__file__).parent

class State(TypedDict, total=False):
    seen: Annotated[list[str], operator.add]

def note(config, name):
    line = f"{config['metadata']['run_id']} {config['metadata']['attempt']} {name}\\n"
    descriptor = os.open(HERE / "trace", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)

async def work(state: State, config: RunnableConfig) -> State:
    note(config, "work")
    return {"seen": ["worked"]}

async def step(state: State, config: RunnableConfig) -> State:
    note(config, f"step{len(state['seen'])}")
    await asyncio.sleep(0.2)
    return {"seen": ["stepped"]}

async def block(state: State, config: RunnableConfig) -> State:
    note(config, "block")
    time.sleep(float((HERE / "block").read_text()))
    return {"seen": ["blocked"]}

def go_on(state: State):
    return "step" if (HERE / "step").exists() else "__end__"

quick = StateGraph(State).add_node("work", work).add_edge(START, "work").compile()
stubborn = StateGraph(State).add_node("block", block).add_edge(START, "block").compile()
stepping = (
    StateGraph(State).add_node("step", step).add_edge(START, "step")
    .add_conditional_edges("step", go_on, ["step", "__end__"]).compile()
)
"""
PROJECT = '{"graphs": {"quick": "./g.py:quick", "stubborn": "./g.py:stubborn", "stepping": "./g.py:stepping"}}'


@dataclass
class Part:
    """One process of ours; what it says is in `log`."""

    role: str
    process: subprocess.Popen[bytes]
    log: Path

    def says(self, words: str) -> bool:
        return words in self.log.read_text()

    def wait_for(self, words: str) -> None:
        wait_for(lambda: self.says(words) or self.process.poll() is not None, seconds=SECONDS)
        assert self.says(words), self.log.read_text()[-4000:]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Installation:
    """Postgres, Redis, and whatever processes a test has started."""

    folder: Path
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey
    parts: list[Part] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    _database: Database | None = None

    @property
    def db(self) -> Database:
        if self._database is None or self._database.connection.closed:
            self._database = Database(self.postgres.uri)
        return self._database

    @property
    def redis(self) -> Redis:
        return Redis.from_url(self.valkey.uri, decode_responses=True)

    def start(self, role: str, *, count: int = 1, **settings: object) -> list[Part]:
        """So many ready processes of this kind."""
        options = {"slots": 20, "lease_seconds": LEASE_SECONDS, "drain_seconds": 0.5, "port": self.port} | settings
        environment = os.environ | {
            "DATABASE_URI": self.postgres.uri, "REDIS_URI": self.valkey.uri,
            "OSTINATO_CONFIG": str(self.folder / "langgraph.json"),
            **{f"OSTINATO_{name.upper()}": str(value) for name, value in options.items()},
        }  # fmt: skip
        started = []
        for _ in range(count):
            path = self.folder / f"{role}-{len(self.parts)}.log"
            with path.open("w") as log:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", PROGRAM.format(role)], cwd=self.folder, env=environment,
                    stdout=log, stderr=subprocess.STDOUT,
                )  # fmt: skip
            started.append(Part(role, process, path))
            self.parts.append(started[-1])
        for part in started:
            part.wait_for(f"{role}_ready")
        return started

    def stop(self, *parts: Part) -> None:
        """End them in order, and have nothing to do with them any more."""
        for part in parts:
            part.process.send_signal(signal.SIGTERM)
        for part in parts:
            assert part.process.wait(SECONDS) == 0, part.log.read_text()[-4000:]
            self.parts.remove(part)

    def of(self, role: str) -> list[Part]:
        return [part for part in self.parts if part.role == role]

    def leader(self) -> tuple[Part, Part]:
        """The beat that leads by what both have said, and the standby."""
        one, other = self.of("beat")
        led = [part.log.read_text().count("beat_leads") for part in (one, other)]
        lost = [part.log.read_text().count("lease_lost") for part in (one, other)]
        return (one, other) if led[0] > lost[0] else (other, one)

    def assert_all_alive(self) -> None:
        for part in self.parts:
            assert part.process.poll() is None, part.log.read_text()[-4000:]

    # Servers

    def empty_redis(self) -> None:
        """FLUSHALL: schedules, queues and the lease are gone, connections stay."""
        with self.redis as redis:
            redis.flushall()

    def restart_redis(self, *, keep_data: bool, away: float = 0) -> float:
        """Kill Redis and start it again on the same port, after a while; the seconds that it was away."""
        began = time.monotonic()
        assert self.valkey.pid is not None
        os.kill(self.valkey.pid, signal.SIGKILL)
        wait_for(lambda: not self.valkey.is_alive())
        if not keep_data:
            shutil.rmtree(self.valkey.data_dir / "appendonlydir")
        time.sleep(away)  # the fault's own length
        self.valkey.start()
        return time.monotonic() - began

    @contextmanager
    def postgres_away(self) -> Iterator[None]:
        """Postgres stopped meanwhile, and on the same port again afterwards."""
        self.db.connection.close()
        self.postgres.stop()
        try:
            yield
        finally:
            self.postgres.start()

    def cut_clients(self) -> int:
        """Cut everybody's connections to Redis; how many there were."""
        with self.redis as redis:
            return sum(int(redis.execute_command("CLIENT", "KILL", "TYPE", kind)) for kind in ("normal", "pubsub"))

    # Crons, and what became of them

    def make_cron(self, *, schedule: str = "* * * * * *", graph: str = "quick", at: int | None = None,
                  assistant: UUID | None = None, **payload: object) -> UUID:  # fmt: skip
        """A cron as the api makes it, whose first fire time is the next second."""
        cron_id = self.db.cron(assistant or self.db.assistant(graph), **payload)
        first = int(time.time()) + 2 if at is None else at
        self.change(cron_id, schedule=schedule, at=first)
        return cron_id

    def change(self, cron_id: UUID, *, at: int | None, **columns: object) -> None:
        names = "".join(f", {name} = %({name})s" for name in columns)
        with self.db.connection.transaction():
            self.db.connection.execute(
                f"UPDATE cron SET revision = revision + 1, next_run_date = to_timestamp(%(at)s){names}"  # noqa: S608 - our own names
                " WHERE cron_id = %(cron_id)s",
                {"at": at, "cron_id": cron_id, **columns},
            )
            self.db.connection.execute("INSERT INTO outbox (cron_id) VALUES (%s)", (cron_id,))

    def entries(self, *cron_ids: UUID) -> int:
        """How many of these crons are in Redis, to be fired."""
        with self.redis as redis:
            scores: Any = redis.zmscore(SCHEDULE_KEY, [key_of(str(cron_id)) for cron_id in cron_ids])
            return sum(score is not None for score in scores)

    def lock(self) -> Any:
        with self.redis as redis:
            return redis.get(LOCK_KEY)

    def ledger(self, cron_id: UUID) -> list[dict[str, Any]]:
        return self.db.all(
            "SELECT *, extract(epoch FROM fire_time)::bigint AS at,"
            " extract(epoch FROM started_at - fire_time)::float8 AS late FROM firing WHERE cron_id = %s"
            " ORDER BY fire_time",
            cron_id,
        )

    def started(self, cron_id: UUID) -> int:
        return sum(row["late"] is not None for row in self.ledger(cron_id))

    def go_on(self, *cron_ids: UUID, firings: int = 3) -> None:
        """Wait for so many firings of each cron whose times are still to come."""
        now = time.time()
        for cron_id in cron_ids:
            wait_for(
                lambda cron_id=cron_id: sum(row["at"] > now for row in self.ledger(cron_id) if row["late"]) >= firings,
                seconds=SECONDS,
            )

    def end(self, *cron_ids: UUID) -> None:
        """Fire these no more; returns when all that they started has ended."""
        for cron_id in cron_ids:
            self.change(cron_id, at=None, enabled=False)
        wait_for(lambda: not self._open(*cron_ids), seconds=SECONDS)

    def _open(self, *cron_ids: UUID) -> list[Any]:
        return self.db.all(
            "SELECT FROM firing WHERE cron_id = ANY(%s) AND outcome IN ('due', 'started')", list(cron_ids)
        )

    def trace(self) -> list[str]:
        """The runs of each node that began, in order."""
        path = self.folder / "trace"
        return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []

    def account(self, cron_id: UUID) -> float:
        """All fire times of an every-second cron stand in the ledger and ran once; the longest lateness in seconds."""
        assert self.gaps(cron_id) == []
        return self.account_with_gaps(cron_id)

    def account_with_gaps(self, cron_id: UUID) -> float:
        """The same where rows may stand for gaps."""
        rows = self.ledger(cron_id)
        if rows[-1]["reason"] == "disabled":  # the one that `end` caught
            rows.pop()
        times = [row["at"] + later for row in rows for later in range(row["missed_count"] or 1)]
        assert times == list(range(times[0], times[0] + len(times)))
        runs = [row for row in rows if row["reason"] != "missed"]
        assert {row["outcome"] for row in runs} == {"success"}, runs
        ran = Counter(self.trace())
        assert {ran[str(row["run_id"])] for row in runs} == {1}
        return float(max(row["late"] for row in runs))

    def gaps(self, cron_id: UUID) -> list[int]:
        """How many fire times each row of a gap stands for."""
        return [row["missed_count"] for row in self.ledger(cron_id) if row["reason"] == "missed"]


@contextmanager
def installation(folder: Path) -> Iterator[Installation]:
    """Servers of its own with a migrated database; all that was started ends with it."""
    (folder / "g.py").write_text(GRAPHS)
    (folder / "langgraph.json").write_text(PROJECT)
    with (
        EmbeddedPostgres(folder / "postgres", settings=FAST) as postgres,
        EmbeddedValkey(folder / "valkey") as valkey,
    ):
        migrate.upgrade(postgres.uri)
        made = Installation(folder, postgres, valkey)
        try:
            yield made
        finally:
            for part in made.parts:
                part.kill()
            if not made.db.connection.closed:
                made.db.connection.close()
