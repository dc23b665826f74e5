"""What a task makes of its hint, and how long it tries the database."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pytest
from structlog.testing import capture_logs

from ostinato_shared.ids import new_id
from ostinato_worker.outages import ride_out
from ostinato_worker.tasks import FireTask, RunTask, RuntimeTask, WebhookTask

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ostinato_worker.runtime import Runtime

FIRE = {"v": 1, "cron_id": str(new_id()), "fire_time": "2026-11-24T12:00:00+00:00", "firing_id": str(new_id())}
RUN = {"v": 1, "run_id": str(new_id())}


class Loop:
    """Stands in for a runtime: counts what it is given to run."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.ran = 0
        self.put_off: list[str] = []
        self.at_work: set[int] = set()
        self.stopping = threading.Event()

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        coroutine.close()
        self.ran += 1
        if self.error:
            raise self.error


def task(kind: type[RuntimeTask], loop: Loop) -> RuntimeTask:
    return kind(cast("Runtime", loop))


@pytest.mark.parametrize(("kind", "hint"), [(FireTask, FIRE), (RunTask, RUN), (WebhookTask, RUN)])
def test_hint_is_taken_with_fields_of_later_versions(kind: type[RuntimeTask], hint: dict[str, Any]) -> None:
    loop = Loop()

    task(kind, loop).run({**hint, "later": 1})

    assert loop.ran == 1


@pytest.mark.parametrize(
    ("hint", "event"),
    [
        ({**FIRE, "v": 2}, "hint_too_new"),
        ({**FIRE, "v": "1"}, "hint_malformed"),
        ({**FIRE, "v": 0}, "hint_malformed"),
        ({**FIRE, "firing_id": "no id"}, "hint_malformed"),
        ({**FIRE, "firing_id": 7}, "hint_malformed"),
        ({"v": 1}, "hint_malformed"),
        ([], "hint_malformed"),
        (None, "hint_malformed"),
        ("text", "hint_malformed"),
    ],
)
def test_hint_that_cannot_be_read_is_logged_and_left(hint: Any, event: str) -> None:
    loop = Loop()

    with capture_logs() as logs:
        task(FireTask, loop).run(hint)

    assert loop.ran == 0
    assert [entry["event"] for entry in logs] == [event]


def test_error_of_the_work_ends_in_the_log() -> None:
    loop = Loop(RuntimeError("bug"))

    with capture_logs() as logs:
        task(RunTask, loop).run(RUN)

    assert [(entry["event"], entry["run_id"]) for entry in logs] == [("task_failed", RUN["run_id"])]


@pytest.mark.parametrize(("kind", "hint"), [(FireTask, FIRE), (RunTask, RUN), (WebhookTask, RUN)])
def test_stopping_worker_keeps_the_message_for_another(kind: type[RuntimeTask], hint: dict[str, Any]) -> None:
    loop = Loop()
    loop.stopping.set()

    task(kind, loop).run(hint)

    assert loop.ran == 0
    assert all(str(value) in loop.put_off[0] for key, value in hint.items() if key != "v")


class Flaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def test_statement_is_tried_again_when_the_database_comes_back() -> None:
    attempt = Flaky(psycopg.OperationalError("server closed"), psycopg.InterfaceError("connection is closed"))

    assert await ride_out(attempt, what="test") == "done"
    assert attempt.tries == 3


@pytest.mark.parametrize(
    "error", [psycopg.DataError("bad"), psycopg.errors.StatementTooComplex("deep"), psycopg.ProgrammingError("typo")]
)
async def test_statement_that_can_never_succeed_is_not_tried_again(error: Exception) -> None:
    attempt = Flaky(error)

    with pytest.raises(type(error)):
        await ride_out(attempt, what="test")
    assert attempt.tries == 1


async def test_outage_longer_than_the_given_time_is_an_error() -> None:
    attempt = Flaky(*[psycopg.OperationalError("away")] * 100)

    with pytest.raises(psycopg.OperationalError):
        await ride_out(attempt, what="test", seconds=0.2)
    assert 1 < attempt.tries < 10
