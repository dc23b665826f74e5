"""The stream that keeps open pages true: it tells of changes, and ends with the process."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import httpx
import pytest

from api_process import free_port, read_until, started
from api_setting import empty, execute

PATIENCE_SECONDS = 30


@pytest.fixture
def server(database_uri: str, redis_uri: str, tmp_path: Path) -> Iterator[tuple[Popen[str], str]]:
    empty(database_uri)
    port = free_port()
    with started(database_uri, redis_uri, tmp_path, port) as process:
        read_until(process, "api_ready")
        yield process, f"http://127.0.0.1:{port}"


@contextmanager
def listening(url: str) -> Iterator[Iterator[str]]:
    """The lines of an open stream, past its greeting."""
    with httpx.stream("GET", f"{url}/ui/events", timeout=PATIENCE_SECONDS) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith("retry:")
        yield lines


def until_changed(lines: Iterator[str]) -> None:
    for line in lines:
        if line == "event: changed":
            return
    raise AssertionError("the stream ended without a change")


def test_an_open_page_hears_of_crons_and_of_the_ledger(server: tuple[Popen[str], str], database_uri: str) -> None:
    _, url = server
    with listening(url) as lines:
        cron = httpx.post(f"{url}/runs/crons", json={"assistant_id": "agent", "schedule": "0 9 * * *"}).json()
        until_changed(lines)

        execute(
            database_uri,
            "INSERT INTO firing (firing_id, cron_id, fire_time, outcome, trigger, cron_revision, assistant_id) "
            "VALUES (gen_random_uuid(), %s, now(), 'due', 'schedule', 1, %s)",
            cron["cron_id"], cron["assistant_id"],
        )  # fmt: skip
        until_changed(lines)

        execute(database_uri, "UPDATE firing SET outcome = 'skipped'")
        until_changed(lines)


def test_the_process_stops_at_once_with_pages_open(server: tuple[Popen[str], str]) -> None:
    process, url = server
    ended = threading.Event()

    def watch() -> None:
        with listening(url) as lines:
            opened.set()
            for _ in lines:
                pass
        ended.set()

    opened = threading.Event()
    watcher = threading.Thread(target=watch)
    watcher.start()
    assert opened.wait(PATIENCE_SECONDS)

    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=PATIENCE_SECONDS)
    watcher.join(PATIENCE_SECONDS)

    assert ended.is_set()  # an orderly end of the stream, no cut connection
    assert process.returncode == 0
    assert "Cancel" not in rest  # uvicorn's word when it loses patience
    assert "Traceback" not in rest
