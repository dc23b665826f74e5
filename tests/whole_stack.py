"""A whole Ostinato, started as people start it."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[1]
EXAMPLES = REPOSITORY / "examples" / "langgraph.json"
OSTINATO = (sys.executable, "-P", "-c", "from ostinato_cli.main import app; app()")
START_SECONDS = 90


@dataclass
class Dev:
    """A running `ostinato dev` and what it printed so far."""

    url: str
    process: subprocess.Popen[str]
    output: list[str] = field(default_factory=list)
    _lines: queue.Queue[str | None] = field(default_factory=queue.Queue)

    def read(self) -> None:
        """Keep the pipe empty: a full one would stop the program."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, pattern: str, *, seconds: float = START_SECONDS) -> str:
        """The next line that matches; fails with the whole output when it does not come."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            if re.search(pattern, line):
                return line
        pytest.fail(f"`ostinato dev` did not say {pattern!r}:\n{''.join(self.output)[-6000:]}")


@contextmanager
def running_dev(
    data_dir: Path,
    *options: str,
    config: Path = EXAMPLES,
    program: tuple[str, ...] = OSTINATO,
    cwd: Path = REPOSITORY,
    env: dict[str, str] | None = None,
) -> Iterator[Dev]:
    """`ostinato dev` on a free port, ready; interrupted at the end, which must end it."""
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URI", "REDIS_URI"}}
    process = subprocess.Popen(
        [*program, "dev", "--config", str(config), "--port", str(port), "--data-dir", str(data_dir), "--no-browser",
         *options],
        cwd=cwd, env=environment | (env or {}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    dev = Dev(f"http://127.0.0.1:{port}", process)
    reader = threading.Thread(target=dev.read)
    reader.start()
    try:
        dev.wait_for("ready: api")
        yield dev
    finally:
        stop(process)
        reader.join()
        if process.stdout is not None:
            process.stdout.close()


def stop(process: subprocess.Popen[str]) -> None:
    """Ctrl-C, and an end by force if that does not do."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
