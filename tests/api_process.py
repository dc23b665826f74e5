"""The api as a process of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api_setting import write_project

START = "from ostinato_api.main import run; from ostinato_shared.settings import Settings; run(Settings())"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def started(database_uri: str, redis_uri: str, folder: Path, port: int, **more: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **os.environ, "DATABASE_URI": database_uri, "REDIS_URI": redis_uri, "OSTINATO_PORT": str(port),
        "OSTINATO_CONFIG": str(write_project(folder)), "OSTINATO_LOG_JSON": "true", **more,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", START], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], event: str) -> str:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if f'"{event}"' in line:
            return seen
    raise AssertionError(f"no {event} in:\n{seen}")
