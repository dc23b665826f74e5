"""Connections to Postgres: each notices a server that vanished without a word, also while it waits for an answer."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ostinato_beat.connections import Postgres
from ostinato_shared.database import make_engine, make_pool
from ostinato_worker.connections import Connections

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

SILENCE = [1, 4, 2, 3, 10_000]  # seconds and counts of TCP; the last in milliseconds


def silence(connection: PGconn) -> list[int]:
    """What the connection's socket bears of a far end that says nothing."""
    options = (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    )
    with socket.socket(fileno=socket.dup(connection.socket)) as found:
        return [found.getsockopt(*option) for option in options]


def test_beat_does_not_wait_for_a_server_that_vanished(database_uri: str) -> None:
    postgres = Postgres(database_uri)

    assert silence(postgres.connection().pgconn) == SILENCE
    postgres.close()


async def test_worker_does_not_wait_for_a_server_that_vanished(database_uri: str) -> None:
    connections = Connections(database_uri, size=1)
    async with connections.connection() as connection:
        found = silence(connection.pgconn)
    await connections.close()

    assert found == SILENCE


async def test_api_does_not_wait_for_a_server_that_vanished(database_uri: str) -> None:
    engine = make_engine(database_uri)
    async with engine.connect() as connection:
        of_engine = silence((await connection.get_raw_connection()).driver_connection.pgconn)
    await engine.dispose()
    async with make_pool(database_uri) as pool, pool.connection() as connection:
        of_pool = silence(connection.pgconn)

    assert of_engine == of_pool == SILENCE
