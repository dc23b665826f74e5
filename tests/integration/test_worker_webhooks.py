"""Webhooks of runs that end in a worker: rows first, calls after, and nothing lost between them."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from beat_setting import owed_webhooks
from far_end import HANG, FarEnd, far_end
from ostinato_shared.ids import new_id
from ostinato_shared.queries import webhooks as queries
from ostinato_shared.webhook_policy import WebhookPolicy
from ostinato_shared.webhook_section import Webhooks
from ostinato_worker import firing, webhooks
from ostinato_worker.lease import Lease
from ostinato_worker.stopping import Stop
from ostinato_worker.tasks import RunTask, WebhookTask
from ostinato_worker.webhook_calls import Caller
from worker_setting import Database, running, settle, yesterday

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from psycopg.rows import DictRow

    from ostinato_worker.runtime import Runtime

OPEN = WebhookPolicy(allow_private_network=True, disable_loopback=False)
RUN_FIELDS = {
    "run_id", "thread_id", "assistant_id", "status", "metadata", "kwargs", "multitask_strategy", "created_at",
    "updated_at", "values", "run_started_at", "run_ended_at", "webhook_sent_at",
}  # fmt: skip


@pytest.fixture
def db(db: Database) -> Database:
    db.do("DELETE FROM webhook_delivery")
    return db


@contextmanager
def working(database_uri: str, redis_uri: str, **options: Any) -> Iterator[Runtime]:
    """A worker that may call this machine; its secret header goes along."""
    with running(database_uri, redis_uri) as runtime:
        runtime.courier.caller = Caller(Webhooks(OPEN, {"X-Key": "s3cret"}), **options)
        yield runtime


@pytest.fixture
def worker(database_uri: str, redis_uri: str) -> Iterator[Runtime]:
    with working(database_uri, redis_uri) as runtime:
        yield runtime


@pytest.fixture
def end() -> Iterator[FarEnd]:
    with far_end() as end:
        yield end


def row(db: Database, run_id: UUID) -> DictRow:
    return db.one("SELECT * FROM webhook_delivery WHERE run_id = %s", run_id)


def run_with_webhook(db: Database, runtime: Runtime, url: str, *, graph: str = "count", **options: Any) -> UUID:
    """A run on a thread that has ended, its call begun."""
    run_id = db.enqueue(db.thread(), db.assistant(graph), webhook=url, **options)
    runtime.run(firing.start(runtime, run_id))
    return run_id


def ended_without_call(db: Database, runtime: Runtime, url: str, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """What a worker leaves behind that died between the end of a run and its webhook."""
    with monkeypatch.context() as patch:
        patch.setattr(webhooks, "begin", lambda *_: None)
        return run_with_webhook(db, runtime, url)


def test_run_by_hand_sends_itself_with_its_values(db: Database, worker: Runtime, end: FarEnd) -> None:
    with capture_logs() as logs:
        run_id = run_with_webhook(db, worker, end.url("/hook?token=t0ken"), metadata={"a": 1})
        settle(worker)

    [call] = end.calls
    run = db.run_row(run_id)
    assert set(call.body) == RUN_FIELDS
    assert (call.body["run_id"], call.body["thread_id"]) == (str(run_id), str(run["thread_id"]))
    assert (call.body["status"], call.body["values"]) == ("success", {"seen": ["x"], "said": "seen 1"})
    assert call.body["kwargs"]["webhook"] == end.url("/hook?token=t0ken")
    assert call.body["kwargs"]["input"] == {"seen": ["x"]}
    assert call.body["metadata"]["a"] == 1
    names = ("created_at", "run_started_at", "run_ended_at", "webhook_sent_at")
    created, started, ended, sent_at = (datetime.fromisoformat(call.body[name]) for name in names)
    assert (created, started, ended) == (run["created_at"], run["started_at"], run["ended_at"])
    assert created < started < ended < sent_at
    assert call.headers["X-Key"] == "s3cret"
    assert "s3cret" not in json.dumps([call.body, run["kwargs"], logs], default=str)
    assert "t0ken" not in json.dumps(logs, default=str)
    [sent] = [entry for entry in logs if entry["event"] == "webhook_sent"]
    assert (sent["run_id"], sent["host"], sent["attempt"]) == (str(run_id), "127.0.0.1", 1)


def test_settled_delivery_keeps_no_values(db: Database, worker: Runtime, end: FarEnd) -> None:
    run_id = run_with_webhook(db, worker, end.url())
    settle(worker)

    found = row(db, run_id)
    assert (found["status"], found["attempts"], found["body"], found["last_error"]) == ("done", 1, None, None)
    assert found["ended_at"] is not None


def test_failed_run_sends_its_error(db: Database, worker: Runtime, end: FarEnd) -> None:
    run_with_webhook(db, worker, end.url(), graph="error")
    settle(worker)

    [call] = end.calls
    assert set(call.body) == RUN_FIELDS | {"error"}
    assert call.body["status"] == "error"
    assert call.body["error"] == {"error": "ValueError", "message": "boom \ufffd of the node"}


def test_firing_of_a_cron_sends_its_run_and_values_though_the_thread_goes(
    db: Database, worker: Runtime, end: FarEnd
) -> None:
    cron_id = db.cron(db.assistant("count"), keep=False, webhook=end.url())

    worker.run(firing.fire(worker, db.firing(cron_id)))
    settle(worker)

    [call] = end.calls
    assert call.body["values"] == {"seen": ["x"], "said": "seen 1"}
    assert call.body["metadata"]["cron_id"] == str(cron_id)
    assert db.thread_row(call.body["thread_id"])["deleted_at"] is not None


def test_run_without_a_webhook_owes_none(db: Database, worker: Runtime) -> None:
    worker.run(firing.start(worker, db.enqueue(db.thread(), db.assistant("count"))))

    assert db.all("SELECT * FROM webhook_delivery") == []
    assert worker.courier.under_way == {}


def test_calls_are_made_three_times_a_second_and_four_apart(db: Database, worker: Runtime, end: FarEnd) -> None:
    end.answers += [503, 429, 500]

    run_id = run_with_webhook(db, worker, end.url())
    settle(worker)

    first, second, third = (call.at for call in end.calls)
    assert 1.0 <= second - first < 3.0
    assert 4.0 <= third - second < 6.0
    found = row(db, run_id)
    assert (found["status"], found["attempts"], found["last_error"]) == ("failed", 3, "HTTP 500")
    assert len({call.body["webhook_sent_at"] for call in end.calls}) == 3


def test_second_call_may_succeed(db: Database, worker: Runtime, end: FarEnd) -> None:
    end.answers += [500, 201]

    run_id = run_with_webhook(db, worker, end.url())
    settle(worker)

    assert len(end.calls) == 2
    assert (row(db, run_id)["status"], row(db, run_id)["attempts"]) == ("done", 2)


def test_answer_that_says_no_is_not_asked_again(db: Database, worker: Runtime, end: FarEnd) -> None:
    end.answers += [404]

    run_id = run_with_webhook(db, worker, end.url())
    settle(worker)

    assert len(end.calls) == 1
    assert (row(db, run_id)["status"], row(db, run_id)["last_error"]) == ("failed", "HTTP 404")


def test_slow_far_end_holds_up_no_run(db: Database, worker: Runtime, end: FarEnd) -> None:
    end.answers.append(HANG)

    run_with_webhook(db, worker, end.url())
    end.wait()
    thread_id = db.thread()
    worker.run(firing.start(worker, db.enqueue(thread_id, db.assistant("count"))))

    assert db.thread_row(thread_id)["values"] == {"seen": ["x"], "said": "seen 1"}
    end.released.set()
    settle(worker)


def test_webhook_of_a_worker_that_died_after_its_run_is_found_and_sent_once(
    db: Database, worker: Runtime, end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = ended_without_call(db, worker, end.url(), monkeypatch)
    young = owed_webhooks(worker.settings)
    db.do("DELETE FROM thread WHERE thread_id = %s", db.run_row(run_id)["thread_id"])
    db.do("UPDATE webhook_delivery SET next_attempt_at = now() - '6 s'::interval")

    hints = owed_webhooks(worker.settings)
    for hint in [*hints, *hints]:
        WebhookTask(worker).run(hint)
        settle(worker)

    assert young == []
    assert hints == [{"v": 1, "run_id": str(run_id)}]
    [call] = end.calls
    assert (call.body["run_id"], call.body["values"]) == (str(run_id), {"seen": ["x"], "said": "seen 1"})
    assert owed_webhooks(worker.settings) == []


def test_two_workers_with_the_same_hint_make_one_call(
    db: Database, worker: Runtime, end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    end.answers.append(HANG)
    run_id = ended_without_call(db, worker, end.url(), monkeypatch)
    with working(worker.settings.database_dsn, worker.settings.redis_url) as other:
        worker.run(webhooks.send(worker, run_id))
        end.wait()
        other.run(webhooks.send(other, run_id))
        settle(other)
        worker.run(webhooks.send(worker, run_id))

        assert len(end.calls) == 1
        end.released.set()
        settle(worker)


@pytest.mark.parametrize("racers", [8])
def test_one_of_many_claims_gets_the_call(
    db: Database, worker: Runtime, monkeypatch: pytest.MonkeyPatch, racers: int
) -> None:
    run_ids = [ended_without_call(db, worker, "http://127.0.0.1:9", monkeypatch) for _ in range(20)]
    barrier = threading.Barrier(racers)
    won: list[Any] = []

    def race() -> None:
        for run_id in run_ids:
            barrier.wait()
            won.append(worker.run(queries.claim(worker.pool, run_id, seconds=30)))

    threads = [threading.Thread(target=race) for _ in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(str(delivery.run_id) for delivery in won if delivery) == sorted(map(str, run_ids))


def test_worker_that_lost_its_lease_on_a_call_records_nothing(
    db: Database, worker: Runtime, end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = ended_without_call(db, worker, end.url(), monkeypatch)
    late = worker.run(queries.claim(worker.pool, run_id, seconds=0))
    assert late is not None
    taker = worker.run(queries.claim(worker.pool, run_id, seconds=30))
    assert taker is not None

    assert not worker.run(queries.settle(worker.pool, late, status="failed", error="late"))
    assert not worker.run(queries.put_off(worker.pool, late, seconds=1, error="late"))
    assert row(db, run_id)["attempts"] == 0
    assert worker.run(queries.settle(worker.pool, taker, status="done", error=None))


def test_call_cut_off_by_a_crash_is_made_again_when_its_lease_is_over(
    db: Database, worker: Runtime, end: FarEnd
) -> None:
    end.answers.append(HANG)
    with working(worker.settings.database_dsn, worker.settings.redis_url) as dying:
        run_id = run_with_webhook(db, dying, end.url())
        end.wait()
    under_lease = owed_webhooks(worker.settings)
    db.do("UPDATE webhook_delivery SET next_attempt_at = now() - '6 s'::interval")

    for hint in owed_webhooks(worker.settings):
        WebhookTask(worker).run(hint)
    settle(worker)

    assert under_lease == []
    assert len(end.calls) == 2
    assert (row(db, run_id)["status"], row(db, run_id)["attempts"]) == ("done", 1)


def test_stopping_worker_sends_what_it_has_begun_and_leaves_the_rest_to_others(
    db: Database, worker: Runtime, end: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    end.answers.append(HANG)
    begun = run_with_webhook(db, worker, end.url())
    end.wait()
    later = ended_without_call(db, worker, end.url(), monkeypatch)
    stop = Stop(worker, Lease(worker))
    worker.stopping.set()
    worker.run(webhooks.send(worker, later))

    assert not stop._idle_within(0.1)
    end.released.set()
    assert stop._idle_within(20)
    assert [str(later) in message for message in worker.put_off] == [True]
    assert (row(db, begun)["status"], row(db, later)["status"]) == ("done", "pending")
    assert len(end.calls) == 1


def test_settled_rows_are_forgotten_after_a_week(db: Database, worker: Runtime, end: FarEnd) -> None:
    old, young = run_with_webhook(db, worker, end.url()), run_with_webhook(db, worker, end.url())
    settle(worker)
    db.do("UPDATE webhook_delivery SET ended_at = %s - '7 d'::interval WHERE run_id = %s", yesterday(), old)

    owed_webhooks(worker.settings)

    assert [found["run_id"] for found in db.all("SELECT run_id FROM webhook_delivery")] == [young]


def test_hint_without_a_row_does_nothing(worker: Runtime) -> None:
    WebhookTask(worker).run({"v": 1, "run_id": str(new_id())})
    settle(worker)

    assert worker.courier.under_way == {}


def test_run_whose_row_was_taken_over_owes_nothing(db: Database, worker: Runtime, end: FarEnd) -> None:
    run_id = db.enqueue(db.thread(), db.assistant("ask"), webhook=end.url())
    db.do("UPDATE run SET status = 'running', owner = %s, attempt = 1 WHERE run_id = %s", new_id(), run_id)
    RunTask(worker).run({"v": 1, "run_id": str(run_id)})

    finished = db.all(
        "SELECT * FROM ostinato_finish(%s, %s, 1, 'success', 'idle', '{}', '{}', NULL, NULL)", run_id, worker.worker_id
    )

    assert finished == []
    assert db.all("SELECT * FROM webhook_delivery") == []
