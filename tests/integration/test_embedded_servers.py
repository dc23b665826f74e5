"""The launcher of the embedded servers, against the real ones."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ostinato_cli.console import Console
from ostinato_cli.embedded import EmbeddedPostgres, EmbeddedServer, EmbeddedServerError, EmbeddedValkey
from ostinato_cli.embedded.lock import is_alive
from ostinato_cli.programs import Program
from ostinato_cli.supervisor import Supervisor
from screens import Screen

FAST = {"fsync": "off"}
OWNER = """
import sys
from pathlib import Path
from ostinato_cli.embedded import EmbeddedPostgres, EmbeddedValkey
folder = Path(sys.argv[1])
postgres, valkey = EmbeddedPostgres(folder / "postgres", settings={"fsync": "off"}), EmbeddedValkey(folder / "valkey")
with postgres, valkey:
    print(postgres.uri, valkey.uri, postgres.pid, valkey.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(server_folder: Path, request: pytest.FixtureRequest) -> Path:
    place: Path = server_folder / request.node.name[:60]
    place.mkdir()
    return place


@pytest.fixture
def owner(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-P", "-c", OWNER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def started(owner: subprocess.Popen[str]) -> tuple[str, str, int, int]:
    assert owner.stdout is not None
    postgres_uri, redis_uri, *pids = owner.stdout.readline().split()
    return postgres_uri, redis_uri, int(pids[0]), int(pids[1])


def test_rows_and_keys_survive_a_restart(folder: Path) -> None:
    with EmbeddedPostgres(folder / "pg", settings=FAST) as postgres, EmbeddedValkey(folder / "valkey") as valkey:
        write_mark(postgres.uri, valkey.uri)

    with EmbeddedPostgres(folder / "pg", settings=FAST) as postgres, EmbeddedValkey(folder / "valkey") as valkey:
        assert read_mark(postgres.uri, valkey.uri) == ("kept", b"kept")


def test_database_sorts_by_code_point_and_speaks_utf8(postgres_server: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres_server.uri) as connection:
        row = connection.execute(
            "SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding) FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()

    assert row == ("b", "C.UTF-8", "UTF8")


def test_postgres_refuses_a_wrong_password(postgres_server: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://postgres:wrong@127.0.0.1:{postgres_server.port}/ostinato")


def test_valkey_refuses_a_client_without_password_and_never_evicts(valkey_server: EmbeddedValkey) -> None:
    once = Retry(NoBackoff(), retries=0)
    with redis.Redis(port=valkey_server.port or 0, retry=once) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()

    with redis.Redis.from_url(valkey_server.uri) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


@pytest.mark.parametrize("kind", ["postgres", "valkey"])
def test_no_secret_stands_on_the_command_line(kind: str, request: pytest.FixtureRequest) -> None:
    server: EmbeddedServer = request.getfixturevalue(f"{kind}_server")
    password = server.uri.split("@")[0].rpartition(":")[2]

    assert password not in Path(f"/proc/{server.pid}/cmdline").read_text()


def test_folder_may_have_a_pattern_for_its_name(folder: Path) -> None:
    with EmbeddedValkey(folder / "mine [1]*?") as valkey, redis.Redis.from_url(valkey.uri) as client:
        assert client.ping()


@pytest.mark.parametrize("kind", ["postgres", "valkey"])
def test_what_a_server_writes_is_for_its_owner_only(kind: str, folder: Path) -> None:
    server = EmbeddedPostgres(folder, settings=FAST) if kind == "postgres" else EmbeddedValkey(folder)
    (folder / "server.log").touch(0o644)  # as an older version left it

    with server:
        files = [server.log_file, *folder.glob("*/appendonly.aof*")]
        open_to_others = [file.name for file in files if file.stat().st_mode & 0o077]

    assert len(files) > (kind == "valkey")
    assert open_to_others == []


def test_second_owner_of_a_folder_is_told_who_holds_it(folder: Path) -> None:
    with EmbeddedValkey(folder), pytest.raises(EmbeddedServerError, match=rf"in use by process {os.getpid()}\b"):
        EmbeddedValkey(folder).start()


def test_servers_of_a_killed_owner_die_and_the_next_start_finds_their_data(
    folder: Path, owner: subprocess.Popen[str]
) -> None:
    postgres_uri, redis_uri, *pids = started(owner)
    write_mark(postgres_uri, redis_uri)

    owner.send_signal(signal.SIGKILL)  # and not reaped: a zombie owner must not count as alive

    postgres, valkey = EmbeddedPostgres(folder / "postgres", settings=FAST), EmbeddedValkey(folder / "valkey")
    with postgres, valkey:
        assert not any(is_alive(pid) for pid in pids)
        assert read_mark(postgres.uri, valkey.uri) == ("kept", b"kept")


def test_start_does_not_trust_a_stale_pid_that_now_belongs_to_another_process(folder: Path) -> None:
    with EmbeddedPostgres(folder, settings=FAST) as postgres:
        pid_file = postgres._cluster / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    # As root Postgres runs as nobody and would not even be fooled by a process of ours.
    with subprocess.Popen(["sleep", "60"], user=postgres.account.uid, group=postgres.account.gid) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")

        with EmbeddedPostgres(folder, settings=FAST) as again:
            assert again.is_alive()
        assert stranger.poll() is None
        stranger.kill()


def test_data_of_another_major_version_is_refused_with_a_way_out(folder: Path) -> None:
    with EmbeddedPostgres(folder, settings=FAST) as postgres:
        version_file = postgres._cluster / "PG_VERSION"
    version_file.write_text("17\n")

    with pytest.raises(EmbeddedServerError, match=r"made by Postgres 17, .*pg_dump"):
        EmbeddedPostgres(folder, settings=FAST).start()


def test_interrupted_first_start_is_begun_again(folder: Path) -> None:
    draft = folder / "cluster.new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("half written")

    with EmbeddedPostgres(folder, settings=FAST) as postgres:
        assert postgres.is_alive()


def test_restart_after_a_crash_keeps_the_address(folder: Path) -> None:
    with EmbeddedValkey(folder) as valkey:
        before, pid = valkey.uri, valkey.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert valkey._process is not None
        valkey._process.wait()

        valkey.start()

        assert valkey.uri == before


def test_port_taken_between_look_and_bind_leads_to_another_port(
    folder: Path, valkey_server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = iter([valkey_server.port, 0])
    from ostinato_cli.embedded import server  # noqa: PLC0415 - its look is replaced here

    look = server.free_port
    monkeypatch.setattr(server, "free_port", lambda: next(ports) or look())

    with EmbeddedValkey(folder) as valkey:
        assert valkey.port != valkey_server.port


def test_postgres_never_runs_as_root_and_a_closed_folder_stays_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, shared = folder / "closed", folder / "shared"
    closed.mkdir(mode=0o700)
    before = closed.stat()
    monkeypatch.setattr("ostinato_cli.embedded.accounts.SHARED_HOME", shared)

    with EmbeddedPostgres(closed / "data", settings=FAST) as postgres:
        status = Path(f"/proc/{postgres.pid}/status").read_text()

    after = closed.stat()
    assert "Uid:\t0\t" not in status
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
    if os.geteuid() == 0:  # only root hands Postgres over, and has to find it another place
        assert Path((closed / "data" / "moved-to").read_text().strip()).parent == shared


def test_binaries_in_a_closed_folder_are_copied_once_for_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ostinato_cli.embedded.accounts.SHARED_HOME", folder / "shared")
    monkeypatch.setattr("ostinato_cli.embedded.accounts.is_open", lambda place: "site-packages" not in str(place))

    for _start in range(2):
        with EmbeddedPostgres(folder / "data", settings=FAST) as postgres:
            binary = Path(f"/proc/{postgres.pid}/exe").readlink()

    assert binary.is_relative_to(folder / "shared") == (os.geteuid() == 0)


def test_watchdog_kills_the_child_of_a_killed_parent_where_the_kernel_does_not() -> None:
    parent_code = """
import signal, subprocess, sys
from ostinato_cli.embedded.leash import Watchdog
child = subprocess.Popen(["sleep", "60"], start_new_session=True)
Watchdog(child.pid, signal.SIGKILL)
print(child.pid, flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-P", "-c", parent_code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))

        parent.kill()

        assert select.select([child], [], [], 10) == ([child], [], [])
        os.close(child)


def test_children_are_refused_to_threads_because_they_would_die_with_them(folder: Path) -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="main thread"):
        pool.submit(EmbeddedValkey(folder).start).result()


async def test_supervisor_revives_a_killed_server_at_the_same_address(folder: Path) -> None:
    with EmbeddedValkey(folder) as valkey:
        before, pid = valkey.uri, valkey.pid
        assert pid is not None
        screen = Screen()
        supervisor = Supervisor(
            [Program("api", ["sleep", "60"], dict(os.environ))], console=Console(screen, ["api"]), servers=[valkey]
        )
        screen.when(b"Valkey is back", supervisor.stop)
        os.kill(pid, signal.SIGKILL)

        async with asyncio.timeout(20):
            code = await supervisor.run()

        assert code == 0
        assert valkey.pid != pid
        assert valkey.uri == before


def write_mark(postgres_uri: str, redis_uri: str) -> None:
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute("CREATE TABLE mark AS SELECT 'kept' AS word")
    with redis.Redis.from_url(redis_uri) as client:
        client.set("mark", "kept")


def read_mark(postgres_uri: str, redis_uri: str) -> tuple[str, object]:
    with psycopg.connect(postgres_uri) as connection, redis.Redis.from_url(redis_uri) as client:
        row = connection.execute("SELECT word FROM mark").fetchone()
        assert row is not None
        return row[0], client.get("mark")
