"""Ostinato's processes as an operator starts them, each by its command, on servers that are there already."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from beat_setting import wait_for
from whole_stack import OSTINATO, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 90.0
TRACING = """
import asyncio
from pathlib import Path
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, MessagesState, StateGraph

HERE = Path(__file__).parent

async def note(state: MessagesState, config: RunnableConfig) -> dict:
    ids = config["metadata"]
    with open(HERE / "trace", "a") as trace:
        trace.write(f"{ids['run_id']} {ids['attempt']}\\n")
    while (HERE / "hold").exists():
        await asyncio.sleep(0.05)
    return {"messages": [{"role": "ai", "content": "noted"}]}

graph = StateGraph(MessagesState).add_node("note", note).add_edge(START, "note").add_edge("note", END).compile()
"""


@dataclass
class Processes:
    """By names such as `beat-1`; each start has a log of its own."""

    folder: Path
    environment: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        """Start them at once; returns when all are ready."""
        for name in names:
            self._start(name)
        for name in names:
            self.wait_for(name, f"{kind(name)}_ready")

    def _start(self, name: str) -> None:
        self.starts[name] = self.starts.get(name, 0) + 1
        options = []
        if kind(name) == "api":
            options = ["--port", str(self.ports.setdefault(name, free_port()))]
        with self.log(name).open("wb") as out:
            self.running[name] = subprocess.Popen(
                [*OSTINATO, kind(name), *options], cwd=self.folder, env=self.environment, stdout=out,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    def stop(self, name: str, by: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and see it end well."""
        process = self.running.pop(name)
        process.send_signal(by)
        try:
            code = process.wait(SECONDS)
        finally:
            process.kill()
        assert code == 0, self.log(name).read_text()

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(name)

    def url(self, name: str = "api-1") -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def wait_for(self, name: str, event: str) -> None:
        """Until it says so; fails at once when it ends instead."""

        def said() -> bool:
            assert self.running[name].poll() is None, self.log(name).read_text()
            return bool(self.events(name, event))

        wait_for(said, seconds=SECONDS)

    def events(self, name: str, event: str) -> list[dict[str, Any]]:
        """What it has logged of this kind since its last start."""
        lines = self.log(name).read_text().splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
        return [line for line in found if line["event"] == event]

    def leader(self) -> str:
        """The beat that took the lead last, of those that run."""
        terms = [
            (term["timestamp"], name)
            for name in self.running
            if kind(name) == "beat"
            for term in self.events(name, "beat_leads")
        ]
        return max(terms, default=("", ""))[1]

    def trace(self) -> list[tuple[str, int]]:
        """Run and attempt of each node that ran, in order."""
        path = self.folder / "trace"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(run_id, int(attempt)) for run_id, attempt in (line.split() for line in lines)]

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.{self.starts[name]}.log"


@contextmanager
def operated(folder: Path, database_uri: str, redis_uri: str, **settings: object) -> Iterator[Processes]:
    """Nothing runs yet; all that does at the end is killed."""
    (folder / "graph.py").write_text(TRACING)
    (folder / "langgraph.json").write_text('{"graphs": {"trace": "./graph.py:graph"}}')
    environment = os.environ | {
        "DATABASE_URI": database_uri, "REDIS_URI": redis_uri, "OSTINATO_CONFIG": str(folder / "langgraph.json"),
        "OSTINATO_LOG_JSON": "true", **{f"OSTINATO_{name.upper()}": str(value) for name, value in settings.items()},
    }  # fmt: skip
    processes = Processes(folder, environment)
    try:
        yield processes
    finally:
        for name in list(processes.running):
            processes.kill(name)


def kind(name: str) -> str:
    return name.partition("-")[0]
