"""The api as a process: ready when it says so, quiet when it ends, clear when it cannot start."""

import signal
import socket
from pathlib import Path

import httpx
import pytest

from api_process import free_port, read_until, started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_once_ready_and_returns_when_asked_to_stop(
    database_uri: str, redis_uri: str, tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    with started(database_uri, redis_uri, tmp_path, port) as process:
        read_until(process, "api_ready")

        well = httpx.get(f"http://127.0.0.1:{port}/ok?check_db=1")
        process.send_signal(number)
        rest, _ = process.communicate(timeout=20)

    assert well.json() == {"ok": True}
    assert process.returncode == 0, rest
    assert "Traceback" not in rest


def test_a_port_that_is_taken_is_told(database_uri: str, redis_uri: str, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        started(database_uri, redis_uri, tmp_path, taken.getsockname()[1]) as process,
    ):
        said, _ = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "cannot listen on 127.0.0.1" in said
    assert "--port" in said


def test_an_address_for_the_whole_network_is_warned_about(database_uri: str, redis_uri: str, tmp_path: Path) -> None:
    port = free_port()
    with started(database_uri, redis_uri, tmp_path, port, OSTINATO_HOST="0.0.0.0") as process:  # noqa: S104 - what is warned about
        said = read_until(process, "api_ready")

        foreign = httpx.get(f"http://127.0.0.1:{port}/ok", headers={"host": "192.0.2.1:2024"})

    assert "api_open_to_network" in said
    assert foreign.status_code == 403


@pytest.mark.parametrize("size", [10 * 2**20, 60 * 2**20])
def test_a_body_that_is_too_large_is_answered_over_the_wire(
    database_uri: str, redis_uri: str, tmp_path: Path, size: int
) -> None:
    port = free_port()
    with started(database_uri, redis_uri, tmp_path, port) as process:
        read_until(process, "api_ready")

        body = b'{"a": "' + b"x" * size + b'"}'
        announced = httpx.post(f"http://127.0.0.1:{port}/runs/crons", content=body, timeout=60)
        chunked = httpx.post(f"http://127.0.0.1:{port}/runs/crons", content=iter([body]), timeout=60)

    assert (announced.status_code, chunked.status_code) == (413, 413)
