"""Guards taken out of a test's own database for a while."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker_setting import Database


@contextmanager
def functions_without(db: Database, checks: Mapping[str, str]) -> Iterator[None]:
    """SQL functions by name, each without what matches its pattern; whole again afterwards."""
    whole: dict[str, str] = {}
    try:
        for name, check in checks.items():
            text = db.one("SELECT pg_get_functiondef(%s::regproc) AS text", name)["text"]
            cut, found = re.subn(check, "", text)
            assert found, f"{name} has no such check"
            whole[name] = text
            db.connection.execute(sql.SQL(cut))
        yield
    finally:
        for text in whole.values():
            db.connection.execute(sql.SQL(text))


@contextmanager
def without_index(db: Database, name: str, *, table: str) -> Iterator[None]:
    """The table without its index; emptied and indexed again afterwards."""
    text = db.one("SELECT pg_get_indexdef(%s::regclass) AS text", name)["text"]
    db.connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    try:
        yield
    finally:
        db.connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        db.connection.execute(sql.SQL(text))
