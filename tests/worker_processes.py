"""Real worker and beat processes, which kill or freeze themselves at a chosen point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from redis import Redis

from beat_setting import wait_for
from ostinato_shared import broker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from uuid import UUID

    from worker_setting import Database

PROGRAM = "from ostinato_shared.settings import Settings; from ostinato_worker.main import run; run(Settings())"
SECONDS = 60
ROUNDS = range(int(os.environ.get("OSTINATO_ROUNDS", "1")))  # of each kill
# `strike(point)` does nothing unless the test has laid a token for that point; each token strikes once.
# True: it struck, and the process lives on.
STRIKE = """
import os, signal, threading, time
from pathlib import Path

HERE = Path(__file__).parent

def strike(point):
    survived = False
    for token in HERE.glob(f"strike-{point}-*"):
        struck = HERE / f"struck-{token.name}-{os.getpid()}"
        try:
            token.rename(struck)
        except FileNotFoundError:
            continue
        what = struck.read_text()
        if what == "BLOCK":
            time.sleep(600)
        # To this very thread: another one might take a while to stop the process, and the graph run on meanwhile.
        signal.pthread_kill(threading.get_ident(), getattr(signal, what))
        survived = True
    return survived
"""
# The graphs strike in their own code; what comes before and after them, strikes where the process's program says so.
STRIKING = (
    STRIKE
    + """
import asyncio, operator
from contextlib import asynccontextmanager
from typing import Annotated
from langgraph.graph import StateGraph, START, END
from typing_extensions import TypedDict

class State(TypedDict, total=False):
    seen: Annotated[list[str], operator.add]

def note(config, name):
    ids = config["metadata"]
    with open(HERE / "trace", "a") as trace:
        trace.write(f"{ids['run_id']} {ids['attempt']} {name}\\n")

def node(name):
    async def work(state: State, config) -> State:
        note(config, name)
        strike(name)
        return {"seen": [name]}
    work.__annotations__["config"] = __import__("langchain_core.runnables").runnables.RunnableConfig
    return work

def build():
    builder = StateGraph(State)
    for name in ("first", "second", "third"):
        builder.add_node(name, node(name))
    return builder.add_edge(START, "first").add_edge("first", "second").add_edge("second", "third").compile()

@asynccontextmanager
async def steps():
    strike("claim")
    yield build()
    strike("finish")

async def fail(state: State) -> State:
    raise ValueError("no luck")

@asynccontextmanager
async def failing():
    yield StateGraph(State).add_node("fail", fail).add_edge(START, "fail").compile()
    strike("finish")

async def wait(state: State, config) -> State:
    while (HERE / "wait").exists():
        await asyncio.sleep(0.02)
    return {"seen": ["waited"]}

waiting = StateGraph(State).add_node("wait", wait).add_edge(START, "wait").compile()

async def work_hard(state: State) -> State:
    until = time.monotonic() + 0.01
    while time.monotonic() < until:
        sum(range(100))
    return {"seen": ["worked"]}

def build_busy():
    builder = StateGraph(State)
    for name in "abcd":
        builder.add_node(name, work_hard)
    for one, other in zip([START, *"abc"], "abcd"):
        builder.add_edge(one, other)
    return builder.compile()

busy = build_busy()
"""
)
# Real processes, each function at a kill point wrapped: the product itself knows nothing of strikes.
WORKER_PROGRAM = (
    STRIKE
    + """
import asyncio
from ostinato_shared.settings import Settings
from ostinato_worker import finishing, firing, webhooks
from ostinato_worker.main import run

def strike_before(module, name, point):
    real = getattr(module, name)
    async def struck(*arguments, **options):
        survived = strike(point)
        while (HERE / f"hold-{point}").exists():
            await asyncio.sleep(0.01)
        result = await real(*arguments, **options)
        (HERE / f"{'woken' if survived else 'done'}-{point}-{os.getpid()}").touch()
        return result
    setattr(module, name, struck)

strike_before(firing, "fire", "popped")  # the message is gone from the queue, its firing not claimed
strike_before(finishing, "_tell", "ended")  # the run has ended in Postgres, and nobody knows
strike_before(webhooks, "_deliver", "owed")  # the call is on its way, not yet taken
strike_before(webhooks, "_record", "called")  # the far end has answered, and that is not on record
run(Settings())
"""
)
BEAT_PROGRAM = (
    STRIKE
    + """
from ostinato_beat import dispatch
from ostinato_beat.main import run
from ostinato_shared.settings import Settings

real_record, real_commit = dispatch.record, dispatch.commit

def record(*arguments, **options):
    batch = real_record(*arguments, **options)
    if batch.messages:
        strike("ledger")
    return batch

def commit(connection, store, token, batch):
    real_commit(connection, store, token, batch)
    if batch.messages:
        strike("sent")

dispatch.record, dispatch.commit = record, commit
run(Settings())
"""
)
PROGRAMS = {"worker": WORKER_PROGRAM, "beat": BEAT_PROGRAM}
STRIKING_PROJECT = """{
    "graphs": {
        "steps": "./g.py:steps", "waiting": "./g.py:waiting", "busy": "./g.py:busy", "failing": "./g.py:failing"
    },
    "webhooks": {"url": {"require_https": false, "disable_loopback": false}}
}"""


class Worker:
    """A process, worker or beat, and what it said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._said = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._said:
                self.lines.append(line)
                self._said.notify_all()
        self.process.stdout.close()

    def wait_for(self, words: str) -> None:
        with self._said:
            said = self._said.wait_for(lambda: any(words in line for line in self.lines), SECONDS)
        assert said, "".join(self.lines)

    def forget(self) -> None:
        """Wait for what it says from now on only."""
        with self._said:
            self.lines.clear()

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        code = self.process.wait(SECONDS)
        self._reader.join()
        return code

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()


class Striking:
    """A folder with the graphs that strike, and what they left there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "g.py").write_text(STRIKING)
        (folder / "langgraph.json").write_text(STRIKING_PROJECT)
        for name, program in PROGRAMS.items():
            (folder / f"{name}.py").write_text(program)

    def lay(self, point: str, what: str, *, times: int = 1) -> None:
        """Have the next `times` processes that come to the point do this: a signal's name, or BLOCK."""
        for number in range(times):
            (self.folder / f"strike-{point}-{number}").write_text(what)

    def struck(self) -> list[int]:
        """The processes that were struck."""
        return [int(token.name.rpartition("-")[2]) for token in self.folder.glob("struck-*")]

    def killed(self) -> list[int]:
        """Those of them that were killed."""
        return [pid for pid in self.struck() if next(self.folder.glob(f"struck-*-{pid}")).read_text() == "SIGKILL"]

    def wait_for_strike(self) -> int:
        return int(wait_for(self.struck, seconds=SECONDS)[0])

    def wait_for_mark(self, what: str, point: str, pid: int) -> None:
        """Wait until a worker has come to the end of what it does at that point: `done`, or `woken` after a strike."""
        wait_for((self.folder / f"{what}-{point}-{pid}").exists, seconds=SECONDS)

    def trace(self) -> list[tuple[int, str]]:
        """Attempt and name of each node that began, in order."""
        return [(attempt, name) for _, attempt, name in self._noted()]

    def traces(self) -> dict[str, list[tuple[int, str]]]:
        """The same of each run."""
        found: dict[str, list[tuple[int, str]]] = {}
        for run_id, attempt, name in self._noted():
            found.setdefault(run_id, []).append((attempt, name))
        return found

    def _noted(self) -> list[tuple[str, int, str]]:
        path = self.folder / "trace"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(run_id, int(attempt), name) for run_id, attempt, name in (line.split() for line in lines)]

    def clean(self) -> None:
        """Take away all tokens and marks."""
        for mark in ("strike", "struck", "hold", "woken", "done"):
            for path in self.folder.glob(f"{mark}-*"):
                path.unlink()

    @contextmanager
    def workers(
        self, database_uri: str, redis_uri: str, *, count: int = 2, **settings: object
    ) -> Iterator[list[Worker]]:
        """So many ready workers with short leases."""
        options = {"slots": 20, "lease_seconds": 1.0, "drain_seconds": 0.5} | settings
        started: list[Worker] = []
        try:
            started.extend(self.start("worker", database_uri, redis_uri, **options) for _ in range(count))
            for worker in started:
                worker.wait_for("worker_ready")
            yield started
        finally:
            for worker in started:
                worker.kill()

    def start(self, program: str, database_uri: str, redis_uri: str, **settings: object) -> Worker:
        """A process of this program, `worker` or `beat`, not ready yet."""
        environment = os.environ | {
            "DATABASE_URI": database_uri, "REDIS_URI": redis_uri,
            "OSTINATO_CONFIG": str(self.folder / "langgraph.json"), "ALLOW_PRIVATE_NETWORK": "true",
            **{f"OSTINATO_{name.upper()}": str(value) for name, value in settings.items()},
        }  # fmt: skip
        return Worker(subprocess.Popen(
            [sys.executable, "-P", self.folder / f"{program}.py"], cwd=self.folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ))  # fmt: skip


def fire(db: Database, redis_uri: str, graph: str, **payload: Any) -> UUID:
    cron = db.cron(db.assistant(graph), **payload)
    fired = db.firing(cron)
    message = broker.fire_message(cron_id=cron, fire_time=db.firing_row(fired)["fire_time"], firing_id=fired)
    send(redis_uri, message)
    return fired


def send(redis_uri: str, *messages: str) -> None:
    with Redis.from_url(redis_uri) as client:
        client.lpush("ostinato", *messages)


def wait_for_end(db: Database, fired: UUID) -> Any:
    """The run of a firing, once it has ended."""
    wait_for(lambda: db.firing_row(fired)["outcome"] not in ("due", "started"), seconds=SECONDS)
    [run] = db.all("SELECT * FROM run WHERE firing_id = %s", fired)
    return run
