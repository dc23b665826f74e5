"""A whole Ostinato for a benchmark: embedded servers of its own, `ostinato dev` as people start it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato_cli.embedded.postgres import EmbeddedPostgres
from ostinato_cli.embedded.valkey import EmbeddedValkey

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parent / "project" / "langgraph.json"
START_SECONDS = 60


@dataclass(frozen=True)
class Stack:
    url: str
    database_uri: str
    stamps: Path

    def read_stamps(self) -> list[tuple[str, float, int]]:
        """(cron id, node start as a Unix time, worker's process id) of every node run so far."""
        if not self.stamps.exists():
            return []
        rows = (line.split() for line in self.stamps.read_text().splitlines())
        return [(cron_id, float(at), int(pid)) for cron_id, at, pid in rows]

    def wait_for_stamps(self, count: int, *, seconds: float) -> list[tuple[str, float, int]]:
        """The stamps as soon as there are `count`, or whatever is there after `seconds`."""
        until = time.monotonic() + seconds
        while len(rows := self.read_stamps()) < count and time.monotonic() < until:
            time.sleep(0.2)
        return rows


@contextmanager
def running_stack(*, workers: int) -> Iterator[Stack]:
    """Start everything on free ports in a temporary folder; stop it and remove the folder at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ostinato-bench-", dir=roomy())))
        folder.chmod(0o755)
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        valkey = stack.enter_context(EmbeddedValkey(folder / "valkey"))
        port = free_port()
        stamps = folder / "stamps.txt"
        log = stack.enter_context((folder / "dev.log").open("w"))
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from ostinato_cli.main import app; app()", "dev", "--config", str(PROJECT),
             "--port", str(port), "--workers", str(workers), "--no-flower", "--no-browser", "--data-dir", str(folder)],
            env={**os.environ, "DATABASE_URI": postgres.uri, "REDIS_URI": valkey.uri, "STAMPS": str(stamps)},
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        stack.callback(stop, process)
        url = f"http://127.0.0.1:{port}"
        _wait_ready(process, folder / "dev.log")
        yield Stack(url, postgres.uri, stamps)


def _wait_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if "ready: api" in log.read_text():
            return
        time.sleep(0.2)
    sys.exit(f"ostinato dev did not get ready:\n{log.read_text()[-4000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def roomy() -> str | None:
    shm = Path("/dev/shm")  # noqa: S108 - memory, so that another tenant's disk is not what is measured
    return str(shm) if shm.is_dir() else None
