"""Connections to a real server: whatever fails, the client gets its answer, and the connection goes on."""

from __future__ import annotations

from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from api_setting import execute, serve_api, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

CRON = b'{"assistant_id": "agent", "schedule": "@daily"}'


@pytest.fixture
def url(database_uri: str, redis_uri: str, tmp_path: Path) -> Iterator[str]:
    with serve_api(settings(database_uri, redis_uri, tmp_path)) as url:
        yield url


@pytest.fixture
def connection(url: str) -> Iterator[HTTPConnection]:
    """One connection: none is made in its place."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.connect()
    connection.auto_open = 0
    yield connection
    connection.close()


async def fail(*_: object, **__: object) -> None:
    raise RuntimeError("our own fault")


def ask(connection: HTTPConnection, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection.request(method, path, body=body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_connection_goes_on_after_a_failure_of_ours(
    connection: HTTPConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ostinato_api.crons.get", fail)

    for _ in range(3):
        assert ask(connection, "GET", f"/runs/crons/{uuid4()}") == (500, b'{"detail":"Internal Server Error"}')
    assert ask(connection, "GET", "/ok")[0] == 200


@pytest.mark.parametrize("size", [1, 2**20, 40 * 2**20])
def test_failure_before_the_body_is_read_is_answered(
    connection: HTTPConnection, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("ostinato_api.json_bodies.read", fail)

    assert ask(connection, "POST", "/runs/crons", b"x" * size) == (500, b'{"detail":"Internal Server Error"}')
    assert ask(connection, "GET", "/ok")[0] == 200


def test_failure_after_the_answer_ends_nothing(connection: HTTPConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ostinato_api.dependencies.Sender.wake_beat", fail)

    assert ask(connection, "POST", "/runs/crons", CRON)[0] == 200
    assert ask(connection, "GET", "/ok")[0] == 200


def test_answer_that_breaks_off_ends_the_connection(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def half(*_: object) -> AsyncIterator[str]:
        yield "event: a\n\n"
        raise RuntimeError("our own fault")

    monkeypatch.setattr("ostinato_api.dashboard.feed.Feed.events", half)

    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        httpx.get(f"{url}/ui/events", timeout=60)


def test_commit_that_fails_is_answered(connection: HTTPConnection, database_uri: str) -> None:
    execute(database_uri, "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$")
    execute(
        database_uri,
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON cron DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    try:
        assert ask(connection, "POST", "/runs/crons", CRON) == (500, b'{"detail":"Internal Server Error"}')
    finally:
        execute(database_uri, "DROP FUNCTION refuse CASCADE")
    assert ask(connection, "GET", "/ok")[0] == 200
