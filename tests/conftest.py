"""Real servers for the tests: one Postgres cluster and one Valkey per pytest process, made when first asked for."""

import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
import redis
from psycopg import sql

from ostinato_cli.embedded import EmbeddedPostgres, EmbeddedValkey

if TYPE_CHECKING:
    from worker_setting import Database

MEMORY = Path("/dev/shm")  # noqa: S108 - a database from a template: 20 ms there, 350 ms on disk
ROOM = 512 * 2**20
LEFT_BEHIND_SECONDS = 2 * 3600  # the folder of a test run that was killed
FOLDER_PREFIX = "ostinato-tests-"
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
TEMPLATE = "migrated"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """CI has every tool: there a test that would be skipped fails, and says what it lacks."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("OSTINATO_TESTS_SKIP_NOTHING"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped here: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    home = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else Path(tempfile.gettempdir())
    for old in home.glob(f"{FOLDER_PREFIX}*"):
        if time.time() - old.stat().st_mtime > LEFT_BEHIND_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=home))
    folder.chmod(0o755)  # as root, Postgres runs as nobody
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(server_folder / "postgres", settings=FAST) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server(server_folder: Path) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(server_folder / "valkey", appendonly=False) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    from ostinato_shared import migrate  # noqa: PLC0415 - tests of the servers alone do without

    _create(postgres_server, TEMPLATE)
    migrate.upgrade(postgres_server.uri_of(TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="module")
def database_uri(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A migrated database for one test module."""
    name = f"test_{uuid4().hex[:12]}"
    _create(postgres_server, name, template=migrated_template)
    yield postgres_server.uri_of(name)
    _execute(postgres_server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def db(database_uri: str) -> Iterator["Database"]:
    """A hand in the test module's database."""
    from worker_setting import Database  # noqa: PLC0415 - tests of the servers alone do without

    with closing((database := Database(database_uri)).connection):
        yield database


@pytest.fixture
def redis_uri(valkey_server: EmbeddedValkey) -> str:
    """An empty Redis for one test."""
    with redis.Redis.from_url(valkey_server.uri) as client:
        client.flushall()
    return valkey_server.uri


def _create(server: EmbeddedPostgres, name: str, *, template: str = "template0") -> None:
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    _execute(server, statement.format(sql.Identifier(name), sql.Identifier(template)))


def _execute(server: EmbeddedPostgres, statement: sql.Composed) -> None:
    with psycopg.connect(server.uri_of("postgres"), autocommit=True) as connection:
        connection.execute(statement)
