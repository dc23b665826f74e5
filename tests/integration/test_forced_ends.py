"""Runs that were ended in their worker's place: what readers see of their threads, and the webhooks that they owe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
import redis

from api_setting import execute, fetch, new_thread, open_api
from api_worker import Worker, open_worker, write_graphs
from beat_setting import TOKEN, owed_webhooks
from far_end import far_end
from ostinato_beat import runs as beat_runs
from ostinato_beat.entries import LOCK_KEY
from ostinato_beat.store import EntryStore
from ostinato_beat.takeover import take_over
from ostinato_shared.ids import new_id
from ostinato_shared.settings import Settings
from ostinato_shared.task_names import LATE_QUEUE, QUEUE
from ostinato_shared.webhook_policy import WebhookPolicy
from ostinato_shared.webhook_section import Webhooks
from ostinato_worker.tasks import WebhookTask
from ostinato_worker.webhook_calls import Caller
from worker_setting import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import httpx

OPEN = WebhookPolicy(allow_private_network=True, disable_loopback=False)
ENDS = ["unanswered", "worker_lost"]


@dataclass
class Stage:
    api: httpx.AsyncClient
    worker: Worker
    settings: Settings

    async def stopped_at_question(self, **fields: Any) -> tuple[str, str]:
        """A thread with a run whose checkpoints moved on to a question, and whose worker then fell silent."""
        thread_id = await new_thread(self.api)
        given = {"assistant_id": "asker", "input": {"parts": ["in"]}, **fields}
        run_id = (await self.api.post(f"/threads/{thread_id}/runs", json=given)).json()["run_id"]
        self.worker.work()  # the graph's part is done; the end of the run is taken back
        dsn = self.settings.database_dsn
        execute(
            dsn, "UPDATE run SET status = 'running', owner = %s, ended_at = NULL WHERE run_id = %s", new_id(), run_id
        )
        execute(
            dsn,
            "UPDATE thread SET values = NULL, interrupts = '{}', status = 'busy', rest_status = 'idle',"
            " active_run_id = %s WHERE thread_id = %s",
            *(run_id, thread_id),
        )
        execute(dsn, "DELETE FROM webhook_delivery")
        return thread_id, run_id

    def force(self, end: str, run_id: str) -> None:
        """What the leader's sweep does of it."""
        dsn = self.settings.database_dsn
        with (
            psycopg.connect(dsn, autocommit=True) as connection,
            redis.Redis.from_url(self.settings.redis_url, decode_responses=True) as client,
        ):
            client.set(LOCK_KEY, TOKEN)
            store = EntryStore(client)
            if end == "unanswered":
                execute(
                    dsn,
                    "UPDATE run SET cancel_requested = 'interrupt', cancel_reason = 'cancelled',"
                    " cancel_asked_at = now() - interval '1 h' WHERE run_id = %s",
                    run_id,
                )
                patience = beat_runs.patience(self.settings.lease_seconds)
                beat_runs.end_unanswered(connection, client, store, TOKEN, patience=patience)
            else:
                execute(
                    dsn, "UPDATE run SET crash_count = 2, updated_at = now() - interval '1 h' WHERE run_id = %s", run_id
                )
                assert take_over(connection, client, store, TOKEN, lease_seconds=self.settings.lease_seconds) == 1

    def deliver(self, hint: Any) -> None:
        WebhookTask(self.worker.runtime).run(hint)
        settle(self.worker.runtime)


@pytest.fixture
def settings(database_uri: str, redis_uri: str, tmp_path: Path) -> Settings:
    config = write_graphs(tmp_path)
    return Settings(database_uri=database_uri, redis_uri=redis_uri, config=config, slots=20, drain_seconds=0.2)


@pytest.fixture
def worker(settings: Settings) -> Iterator[Worker]:
    with open_worker(settings) as worker:
        worker.broker.delete(QUEUE, LATE_QUEUE)
        yield worker


@pytest.fixture
async def stage(settings: Settings, worker: Worker) -> AsyncIterator[Stage]:
    async with open_api(settings) as api:
        yield Stage(api, worker, settings)


def questions(thread: Any) -> list[Any]:
    return [question["value"] for asked in thread["interrupts"].values() for question in asked]


@pytest.mark.parametrize(("end", "status"), list(zip(ENDS, ["interrupted", "error"], strict=True)))
@pytest.mark.parametrize("reader", ["get", "search", "search_values", "count_values", "copy"])
async def test_thread_shows_what_its_head_holds(stage: Stage, end: str, status: str, reader: str) -> None:
    thread_id, run_id = await stage.stopped_at_question()

    stage.force(end, run_id)

    sought = {"values": {"parts": ["first"]}}
    if reader == "count_values":
        assert (await stage.api.post("/threads/count", json=sought)).json() == 1
    path = f"/threads/{thread_id}"
    if reader == "copy":
        path = f"/threads/{(await stage.api.post(f'{path}/copy')).json()['thread_id']}"
    if reader.startswith("search"):
        [thread] = (await stage.api.post("/threads/search", json=sought if "values" in reader else {})).json()
    else:
        thread = (await stage.api.get(path)).json()
    assert thread["values"] == {"parts": ["in", "first"]}
    assert questions(thread) == [{"question": "go on?"}]
    assert thread["status"] == status
    stale = fetch(stage.settings.database_dsn, "SELECT 1 FROM thread WHERE state_stale_at IS NOT NULL")
    assert len(stale) == (reader == "copy")  # of the original, which nobody has read


async def test_waiter_for_a_run_that_was_ended_gets_what_it_left(stage: Stage) -> None:
    thread_id, run_id = await stage.stopped_at_question()

    stage.force("unanswered", run_id)

    joined = await stage.api.get(f"/threads/{thread_id}/runs/{run_id}/join")
    assert joined.json() == {"parts": ["in", "first"]}


async def test_deleted_run_leaves_its_checkpoints_and_its_thread_shows_them(stage: Stage) -> None:
    thread_id, run_id = await stage.stopped_at_question()

    assert (await stage.api.delete(f"/threads/{thread_id}/runs/{run_id}")).status_code == 204

    thread = (await stage.api.get(f"/threads/{thread_id}")).json()
    assert (thread["values"], thread["status"]) == ({"parts": ["in", "first"]}, "idle")


async def test_thread_whose_graph_is_gone_shows_what_it_has_and_is_read_no_more(stage: Stage) -> None:
    thread_id, run_id = await stage.stopped_at_question()
    stage.force("unanswered", run_id)
    gone = 'UPDATE thread SET metadata = metadata || \'{"graph_id": "gone"}\', values = \'{"old": 1}\''
    execute(stage.settings.database_dsn, gone)

    answer = await stage.api.get(f"/threads/{thread_id}")

    assert (answer.status_code, answer.json()["values"]) == (200, {"old": 1})
    assert fetch(stage.settings.database_dsn, "SELECT state_stale_at FROM thread") == [{"state_stale_at": None}]


async def test_run_that_ended_since_is_not_overwritten_by_an_older_head(stage: Stage) -> None:
    thread_id, run_id = await stage.stopped_at_question()
    stage.force("unanswered", run_id)
    given = {"assistant_id": "steps", "input": {"parts": ["new"]}}
    await stage.api.post(f"/threads/{thread_id}/runs", json=given)

    stage.worker.work()

    assert fetch(stage.settings.database_dsn, "SELECT state_stale_at FROM thread") == [{"state_stale_at": None}]
    thread = (await stage.api.get(f"/threads/{thread_id}")).json()
    assert thread["values"] == {"parts": ["in", "first", "new", "first", "second"]}


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [("unanswered", "interrupted", "RunCancelledError"), ("worker_lost", "error", "WorkerLostError")],
)
async def test_webhook_of_a_run_that_was_ended_is_found_and_sent_once(
    stage: Stage, end: str, status: str, error: str
) -> None:
    with far_end() as there:
        stage.worker.runtime.courier.caller = Caller(Webhooks(OPEN, {}))
        _, run_id = await stage.stopped_at_question()
        url = json.dumps(there.url())
        execute(stage.settings.database_dsn, "UPDATE run SET kwargs = kwargs || %s", f'{{"webhook": {url}}}')
        stage.force(end, run_id)
        execute(stage.settings.database_dsn, "UPDATE webhook_delivery SET next_attempt_at = now() - interval '6 s'")

        hints = owed_webhooks(stage.settings)
        for hint in [*hints, *hints]:
            stage.deliver(hint)

        assert [UUID(hint["run_id"]) for hint in hints] == [UUID(run_id)]
        [call] = there.calls
        assert (call.body["run_id"], call.body["status"], call.body["error"]["error"]) == (run_id, status, error)
        assert owed_webhooks(stage.settings) == []
