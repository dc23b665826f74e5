"""Bring a database to this version's schema, and tell whether it is there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import structlog
from psycopg.rows import dict_row
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from ostinato_shared.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.config import Config

log = structlog.get_logger()
LOCK_ID = 0x6F7374696E61746F  # "ostinato": one migrator at a time
POLL_SECONDS = 0.1
SCRIPTS = Path(__file__).parent / "migrations"
ADVICE = "Run `ostinato db upgrade` against this database."


def upgrade(dsn: str) -> None:
    """Create or migrate all tables, also LangGraph's checkpoints; waits for another migrator. Safe to run again."""
    from alembic import command  # noqa: PLC0415 - 0.6 s of imports, with the next, that only a migrator needs
    from langgraph.checkpoint.postgres import PostgresSaver  # noqa: PLC0415 - likewise

    engine = create_engine(_sqlalchemy_url(dsn), poolclass=NullPool)
    with engine.connect() as guard:
        # Polled: a session that blocks in pg_advisory_lock would deadlock the CREATE INDEX CONCURRENTLY below.
        guard = guard.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901 - the same connection, configured
        while not guard.scalar(text("SELECT pg_try_advisory_lock(:id)"), {"id": LOCK_ID}):
            time.sleep(POLL_SECONDS)
        with engine.connect() as connection:
            command.upgrade(_config(connection), "head")
            connection.commit()
        with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as connection:
            PostgresSaver(connection).setup()
        log.info("database_migrated", revision=head())


def head() -> str:
    """The newest revision that this version of Ostinato knows: files of `versions` begin with theirs."""
    return max(file.name.partition("_")[0] for file in (SCRIPTS / "versions").glob("[0-9]*.py"))


def current(dsn: str) -> str | None:
    """The revision that the database is at; None when it was never migrated."""
    with psycopg.connect(dsn, connect_timeout=5) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def wait_until_current(dsn: str, *, seconds: float = 30.0) -> None:
    """Return when the database has this version's schema; raises UnavailableError with advice after `seconds`."""
    problem = ""
    for _ in _attempts(seconds):
        try:
            found = current(dsn)
        except Exception as error:  # noqa: BLE001 - whatever the driver raises, the reason is told below
            problem = f"The database does not answer ({str(error).splitlines()[0]}). Check DATABASE_URI."
            continue
        if found == head():
            return
        problem = f"The database is at revision {found or 'none'}, this version needs {head()}. {ADVICE}"
    raise UnavailableError(problem)


def _attempts(seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    yield
    while time.monotonic() < until:
        time.sleep(0.25)
        yield


def _config(connection: Connection | None) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - only a migrator needs it, and it takes half a second

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["connection"] = connection
    return config


def _sqlalchemy_url(dsn: str) -> str:
    return "postgresql+psycopg://" + dsn.partition("://")[2]
