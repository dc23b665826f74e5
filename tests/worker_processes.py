"""Real worker processes, and graphs that kill or freeze their own process at a chosen point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from beat_setting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = "from ostinato_shared.settings import Settings; from ostinato_worker.main import run; run(Settings())"
SECONDS = 60
# `strike(point)` does nothing unless the test has laid a token for that point; each token strikes once.
STRIKING = """
import asyncio, operator, os, signal, threading, time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated
from langgraph.graph import StateGraph, START, END
from typing_extensions import TypedDict

HERE = Path(__file__).parent

class State(TypedDict, total=False):
    seen: Annotated[list[str], operator.add]

def strike(point):
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
STRIKING_PROJECT = '{"graphs": {"steps": "./g.py:steps", "waiting": "./g.py:waiting", "busy": "./g.py:busy"}}'


class Worker:
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

    def lay(self, point: str, what: str, *, times: int = 1) -> None:
        """Have the next `times` processes that come to the point do this: a signal's name, or BLOCK."""
        for number in range(times):
            (self.folder / f"strike-{point}-{number}").write_text(what)

    def struck(self) -> list[int]:
        """The processes that were struck."""
        return [int(token.name.rpartition("-")[2]) for token in self.folder.glob("struck-*")]

    def wait_for_strike(self) -> int:
        return int(wait_for(self.struck, seconds=SECONDS)[0])

    def trace(self) -> list[tuple[int, str]]:
        """Attempt and name of each node that began, in order."""
        path = self.folder / "trace"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(attempt), name) for _, attempt, name in (line.split() for line in lines)]

    @contextmanager
    def workers(
        self, database_uri: str, redis_uri: str, *, count: int = 2, **settings: object
    ) -> Iterator[list[Worker]]:
        """So many ready workers with short leases."""
        options = {"slots": 20, "lease_seconds": 1.0, "drain_seconds": 0.5} | settings
        environment = os.environ | {
            "DATABASE_URI": database_uri, "REDIS_URI": redis_uri,
            "OSTINATO_CONFIG": str(self.folder / "langgraph.json"),
            **{f"OSTINATO_{name.upper()}": str(value) for name, value in options.items()},
        }  # fmt: skip
        started: list[Worker] = []
        try:
            for _ in range(count):
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", PROGRAM], cwd=self.folder, env=environment,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                )  # fmt: skip
                started.append(Worker(process))
            for worker in started:
                worker.wait_for("worker_ready")
            yield started
        finally:
            for worker in started:
                worker.kill()
