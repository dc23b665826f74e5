"""Two that change one run or its thread at one instant: either order is a right one, and nothing is left behind."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from worker_setting import Database

OWNER = uuid4()
ROUNDS = int(os.environ.get("OSTINATO_RACE_ROUNDS", "300")) // 20
MOST = 20 * ROUNDS + 1000  # until both orders were seen
JITTER = 0.003  # seconds
TAKEN_MEANWHILE = "OS001"

Rows = list[dict[str, Any]]
Side = Callable[["Scene"], tuple[str, list[object]]]


@dataclass
class Scene:
    """A thread with a run under way, one that waits, and one that somebody is about to ask for."""

    db: Database
    thread: UUID
    run: UUID
    waiting: UUID
    new: UUID = field(default_factory=uuid4)

    def row(self, run_id: UUID) -> dict[str, Any] | None:
        return next(iter(self.db.all("SELECT * FROM run WHERE run_id = %s", run_id)), None)


def cancel(action: str, *, reason: str = "cancelled", waiting: bool = False) -> Side:
    call = "SELECT * FROM ostinato_cancel(%s, %s, %s, %s)"
    return lambda scene: (call, [scene.thread, scene.waiting if waiting else scene.run, action, reason])


def put(strategy: str) -> Side:
    call = (
        "SELECT verdict, CASE WHEN ready THEN %s END AS next_run_id"
        " FROM ostinato_enqueue(%s, %s, %s, '{}', %s, 'keep', '')"
    )
    return lambda scene: (call, [scene.new, scene.new, scene.thread, scene.db.assistant(), strategy])


def fire(strategy: str) -> Side:
    """A claim for a cron of the thread."""
    call = "SELECT c.outcome, c.reason, (c.claimed).status FROM ostinato_claim(%s, %s, %s, %s) AS c"

    def side(scene: Scene) -> tuple[str, list[object]]:
        cron = scene.db.cron(scene.db.assistant(), thread_id=scene.thread, multitask_strategy=strategy)
        return call, [scene.db.firing(cron), scene.new, uuid4(), OWNER]

    return side


def take_over(crashes: int) -> Side:
    return lambda scene: ("SELECT * FROM ostinato_take_over(%s, %s)", [scene.run, crashes])


def finish(scene: Scene) -> tuple[str, list[object]]:
    failed = "SELECT * FROM ostinato_finish(%s, %s, 1, 'error', 'error', '{}', '{}', '{\"error\": \"E\"}', NULL)"
    return failed, [scene.run, OWNER]


def delete_run(scene: Scene) -> tuple[str, list[object]]:
    return "SELECT * FROM ostinato_delete_run(%s, %s)", [scene.thread, scene.run]


def delete_thread(scene: Scene) -> tuple[str, list[object]]:
    return "SELECT ostinato_delete_thread(%s, false) AS deleted", [scene.thread]


ACTIONS = ("interrupt", "rollback")
STRATEGIES = ("enqueue", "reject", *ACTIONS)
EACH_TWO = (("interrupt", "interrupt"), ("interrupt", "rollback"), ("rollback", "rollback"))
PAIRS: dict[str, tuple[Side, Side]] = {
    **{f"cancel ({a}), finish": (cancel(a), finish) for a in ACTIONS},
    **{f"cancel ({a}), take-over": (cancel(a), take_over(3)) for a in ACTIONS},
    **{f"cancel ({a}), last take-over": (cancel(a), take_over(1)) for a in ACTIONS},
    **{f"cancel ({a}), run deleted": (cancel(a), delete_run) for a in ACTIONS},
    **{f"cancel ({a}), thread deleted": (cancel(a), delete_thread) for a in ACTIONS},
    **{f"cancels ({a}, {b})": (cancel(a), cancel(b, reason="disconnected")) for a, b in EACH_TWO},
    **{f"cancels ({a}, {b}), waiting": (cancel(a, waiting=True), cancel(b, waiting=True)) for a, b in EACH_TWO},
    **{f"cancel ({a}), put ({s})": (cancel(a), put(s)) for a in ACTIONS for s in ACTIONS},
    **{f"cancel ({a}), put ({s}), waiting": (cancel(a, waiting=True), put(s)) for a in ACTIONS for s in ACTIONS},
    **{f"put ({s}), finish of the last": (put(s), finish) for s in STRATEGIES},
    **{f"cron ({s}), finish of the last": (fire(s), finish) for s in STRATEGIES},
    **{f"put ({s}), take-over": (put(s), take_over(3)) for s in ACTIONS},
    **{f"put ({s}), thread deleted": (put(s), delete_thread) for s in STRATEGIES},
    **{f"cron ({s}), thread deleted": (fire(s), delete_thread) for s in STRATEGIES},
    "finish, take-over": (finish, take_over(3)),
    "finish, last take-over": (finish, take_over(1)),
    "finish, run deleted": (finish, delete_run),
    "finish, thread deleted": (finish, delete_thread),
    "take-over, run deleted": (take_over(3), delete_run),
    "take-over, thread deleted": (take_over(3), delete_thread),
}


@pytest.fixture
def race(database_uri: str) -> Iterator[Callable[[Scene, Side, Side], tuple[Rows, Rows]]]:
    """What two statements come to that begin within a few milliseconds."""
    hands = [Database(database_uri) for _ in range(2)]
    barrier = threading.Barrier(2)

    def act(hand: Database, statement: str, arguments: list[object], pause: float) -> Rows:
        barrier.wait(30)
        time.sleep(pause)  # a race's jitter: nothing is waited for
        try:
            return hand.all(statement, *arguments)
        except psycopg.Error as error:
            if error.sqlstate != TAKEN_MEANWHILE:
                raise
            return []

    with ThreadPoolExecutor(2) as pool, closing(hands[0].connection), closing(hands[1].connection):

        def run(scene: Scene, one: Side, other: Side) -> tuple[Rows, Rows]:
            pauses = [random.choice([0, random.uniform(0, JITTER)]) for _ in hands]  # noqa: S311 - a test's dice
            calls = [(hand, *side(scene), pause) for hand, side, pause in zip(hands, (one, other), pauses, strict=True)]
            first, second = [pool.submit(act, *call) for call in calls]
            return first.result(60), second.result(60)

        yield run


def play(db: Database, *, alone: bool) -> Scene:
    """A run of a cron that is under way on its thread, with one behind it unless it is alone."""
    thread, assistant = db.thread(), db.assistant()
    run, waiting = uuid4(), uuid4()
    fired = db.firing(db.cron(assistant, thread_id=thread))
    claim = "SELECT (claimed).status FROM ostinato_claim(%s, %s, %s, %s)"
    assert db.one(claim, fired, run, uuid4(), OWNER)["status"] == "running"
    if not alone:
        waiting = db.enqueue(thread, assistant)
    return Scene(db, thread, run, waiting)


def shape(scene: Scene, rows: Rows) -> Any:
    """A side's answer, with the names of the scene's runs for their ids."""
    names = {scene.run: "run", scene.waiting: "waiting", scene.new: "new"}
    return tuple(tuple((key, names.get(value, value)) for key, value in row.items()) for row in rows)


def drain(scene: Scene, *told: Rows) -> None:
    """What the workers do then, of what they were sent and nothing else; one run at a time."""
    sent = [row["next_run_id"] for rows in told for row in rows if row.get("next_run_id")]
    while True:
        live = scene.db.all("SELECT * FROM run WHERE thread_id = %s AND status = 'running'", scene.thread)
        assert len(live) <= 1
        for run in live:
            status = "interrupted" if run["cancel_requested"] else "success"
            end = "SELECT * FROM ostinato_finish(%s, %s, %s, %s, %s, '{}', '{}', NULL, NULL)"
            rest = "interrupted" if run["cancel_requested"] else "idle"
            ended = scene.db.all(end, run["run_id"], OWNER, run["attempt"], status, rest)
            sent += [row["next_run_id"] for row in ended if row["next_run_id"]]
        if not live and not sent:
            return
        if sent:
            scene.db.all("SELECT * FROM ostinato_start(%s, %s)", sent.pop(0), OWNER)


def check_the_end(scene: Scene) -> None:
    """No run was forgotten, the thread is at rest, and the ledger knows how each firing ended."""
    statuses = scene.db.all("SELECT status FROM run WHERE thread_id = %s", scene.thread)
    assert {row["status"] for row in statuses} <= {"success", "error", "interrupted"}
    for thread in scene.db.all("SELECT * FROM thread WHERE thread_id = %s", scene.thread):
        assert thread["status"] == thread["rest_status"] != "busy"
        assert thread["active_run_id"] is None
    ledger = "SELECT firing.* FROM firing WHERE thread_id = %s AND outcome IN ('due', 'started')"
    assert scene.db.all(ledger, scene.thread) == []


@pytest.mark.parametrize("pair", PAIRS)
def test_either_order_is_right_and_nothing_is_forgotten(db: Database, race: Any, pair: str) -> None:
    one, other = PAIRS[pair]
    seen: set[Any] = set()
    for number in range(MOST):
        scene = play(db, alone=pair.endswith("of the last"))
        rows, others = race(scene, one, other)
        run = scene.row(scene.run) or {}
        asked = run.get("status"), run.get("cancel_requested"), run.get("cancel_reason")
        seen.add((shape(scene, rows), shape(scene, others), asked))

        drain(scene, rows, others)

        check_the_end(scene)
        if asked[1] == "rollback":
            assert scene.row(scene.run) is None
        if number >= ROUNDS and len(seen) > 1:
            return
    pytest.fail(f"only one order was seen: {seen}")
