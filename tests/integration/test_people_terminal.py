"""The commands for people at a real terminal: questions, the bar, tables, Ctrl-C."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from beat_setting import wait_for
from terminal import CTRL_C, Terminal, at_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from people_setting import People

MANY = 40
HOLD = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN new; END';
CREATE TRIGGER hold BEFORE INSERT ON cron FOR EACH ROW WHEN (new.name = 'c7') EXECUTE FUNCTION hold();
"""


def at(people: People, command: str, *, columns: int = 80) -> AbstractContextManager[Terminal]:
    return at_terminal(command, people.folder, columns=columns, OSTINATO_URL=people.url)


def write_many(people: People) -> None:
    people.write([{"name": f"c{n}", "assistant": "agent", "schedule": "@daily"} for n in range(MANY)])


@contextmanager
def held_back(database_uri: str) -> Iterator[None]:
    """One of the many crons cannot be made meanwhile."""
    with psycopg.connect(database_uri, autocommit=True) as connection:
        connection.execute(HOLD)
        connection.execute("SELECT pg_advisory_lock(1)")
        try:
            yield
        finally:
            connection.execute("SELECT pg_advisory_unlock(1)")
            connection.execute("DROP TRIGGER hold ON cron; DROP FUNCTION hold")


@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, 3), ("\n", 1, 3), ("y\n", 0, 0), (CTRL_C, 130, 3)])
def test_question_names_the_count_and_only_yes_does_it(people: People, answer: str, code: int, left: int) -> None:
    for name in ("one", "two", "three"):
        people.make(name, "--label", "team=growth")

    with at(people, "exec ostinato crons rm --label team=growth") as terminal:
        terminal.wait_for("Delete 3 crons? [y/N]:")
        terminal.type(answer)

        assert terminal.code() == code
    assert ("Aborted." in terminal.shown) == (code == 1)
    assert "Traceback" not in terminal.shown
    assert terminal.shown.count("deleted") == 3 - left
    assert len(people.crons()) == left


def test_long_apply_has_a_bar_on_a_terminal_only(people: People) -> None:
    write_many(people)

    with at(people, "ostinato apply -f crons.yaml") as terminal:
        assert terminal.code() == 0
    with at(people, "ostinato crons rm --yes $(ostinato crons ls -o name) 2>&1 | cat") as piped:
        assert piped.code() == 0

    assert "applying ━" in terminal.shown
    assert terminal.shown.endswith(f"done: {MANY}\n")
    assert b"\x1b" not in piped.raw
    assert sorted(piped.shown.splitlines()) == sorted(f"deleted c{n}" for n in range(MANY))


@pytest.mark.parametrize("columns", [80, 132])
def test_tables_fit_the_terminal(people: People, columns: int) -> None:
    made = people.make("a-name-" + "of-many-words" * 5, "--label", "team=growth", "--timezone", "America/New_York")
    people.done("crons", "trigger", made["cron_id"])

    with at(people, "ostinato crons ls; ostinato runs ls", columns=columns) as terminal:
        assert terminal.code() == 0

    lines = terminal.shown.splitlines()
    assert len(lines) == 4
    assert all(len(line) <= columns for line in lines), lines
    assert "…" in lines[1]
    assert {"0 9 * * *", "America/New_York", "on"} <= set(re.split(r"\s{2,}", lines[1]))
    assert ("team=growth" in lines[1]) == (columns > 80)


def test_apply_that_is_stopped_says_how_far_it_came_and_can_go_on(people: People, database_uri: str) -> None:
    write_many(people)

    with held_back(database_uri), at(people, "exec ostinato apply -f crons.yaml") as terminal:
        wait_for(lambda: len(people.crons()) == MANY - 1)
        terminal.wait_for("98%")
        terminal.type(CTRL_C)

        assert terminal.code() == 130
    wait_for(lambda: len(people.crons()) == MANY)  # the request was under way

    assert terminal.shown.splitlines()[-1] == f"stopped: {MANY - 1} of {MANY} done"
    assert "Traceback" not in terminal.shown
    again = people.done("apply", "-f", str(people.folder / "crons.yaml"))
    assert again.out == f"no change: {MANY} crons as described\n"
