"""Cancels, displacements, delays and disconnects through the official Python SDK, against an api and a worker."""

import asyncio
from typing import Any

import httpx
import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from api_setting import fetch
from sdk_stage import Stage

DOZE: dict[str, Any] = {"assistant_id": "dozing", "input": {"parts": ["in"]}}


async def test_cancelled_run_is_interrupted_and_its_thread_goes_on(stage: Stage) -> None:
    thread_id = await stage.thread()
    run_id = (await stage.client.runs.create(thread_id, **DOZE))["run_id"]
    async with stage.dozing(thread_id, run_id):
        await stage.client.runs.cancel(thread_id, run_id, wait=True)

        assert (await stage.client.runs.get(thread_id, run_id))["status"] == "interrupted"
        assert await stage.status(thread_id) == "interrupted"
    assert await stage.client.runs.join(thread_id, run_id) == {"parts": ["in", "first"]}
    state = await stage.client.threads.get_state(thread_id)
    assert state["next"] == ["doze"]
    with pytest.raises(NotFoundError):
        await stage.client.runs.cancel(thread_id, run_id)
    waiting = asyncio.create_task(stage.client.runs.wait(thread_id, "steps", input={"parts": ["again"]}))
    await stage.work()
    assert await waiting == {"parts": ["in", "first", "again", "first", "second"]}


async def test_cancel_without_waiting_is_answered_at_once(stage: Stage) -> None:
    thread_id = await stage.thread()
    run_id = (await stage.client.runs.create(thread_id, **DOZE))["run_id"]
    async with stage.dozing(thread_id, run_id):
        assert await stage.client.runs.cancel(thread_id, run_id) is None

    assert await stage.status(thread_id) == "interrupted"


async def test_join_of_a_run_under_way_tells_its_end(stage: Stage) -> None:
    thread_id = await stage.thread()
    run_id = (await stage.client.runs.create(thread_id, **DOZE))["run_id"]
    async with stage.dozing(thread_id, run_id):
        joined = asyncio.create_task(stage.client.runs.join(thread_id, run_id))
        await stage.client.runs.cancel(thread_id, run_id)

        assert await joined == {"parts": ["in", "first"]}


async def test_rollback_without_waiting_leaves_nothing_either(stage: Stage) -> None:
    thread_id = await stage.thread()
    run_id = (await stage.client.runs.create(thread_id, **DOZE))["run_id"]
    async with stage.dozing(thread_id, run_id):
        await stage.client.runs.cancel(thread_id, run_id, action="rollback")

    assert await stage.client.runs.list(thread_id) == []
    assert await stage.client.threads.get_history(thread_id) == []
    assert await stage.status(thread_id) == "idle"


async def test_rollback_leaves_no_run_and_no_checkpoint(stage: Stage) -> None:
    thread_id = await stage.thread()
    run_id = (await stage.client.runs.create(thread_id, **DOZE))["run_id"]
    async with stage.dozing(thread_id, run_id):
        await stage.client.runs.cancel(thread_id, run_id, wait=True, action="rollback")

        with pytest.raises(NotFoundError):
            await stage.client.runs.get(thread_id, run_id)
    assert await stage.client.threads.get_history(thread_id) == []
    assert await stage.status(thread_id) == "idle"


@pytest.mark.parametrize("whole_thread", [False, True])
async def test_deletion_stops_the_graph_at_once(stage: Stage, *, whole_thread: bool) -> None:
    thread_id = await stage.thread()
    run_id = (await stage.client.runs.create(thread_id, **DOZE))["run_id"]

    async with stage.dozing(thread_id, run_id):  # it would doze for a minute
        if whole_thread:
            await stage.client.threads.delete(thread_id)
        else:
            await stage.client.runs.delete(thread_id, run_id)

    assert stage.worker.runtime.under_way == {}


async def test_pending_runs_are_cancelled_one_by_one_and_by_the_dozen(stage: Stage) -> None:
    thread_id = await stage.thread()
    ids = [(await stage.client.runs.create(thread_id, "steps", input={"parts": []}))["run_id"] for _ in range(4)]

    await stage.client.runs.cancel(thread_id, ids[0], wait=True)
    await stage.client.runs.cancel_many(thread_id=thread_id, run_ids=ids[1:2])
    await stage.client.runs.cancel_many(status="pending", action="rollback")

    runs = await stage.client.runs.list(thread_id)
    assert [(run["run_id"], run["status"]) for run in runs] == [(ids[1], "interrupted"), (ids[0], "interrupted")]
    assert await stage.status(thread_id) == "idle"
    with pytest.raises(NotFoundError):
        await stage.client.runs.cancel_many(status="all")
    with pytest.raises(UnprocessableEntityError):
        await stage.client.runs.cancel_many(status="all", thread_id=thread_id, run_ids=ids)


@pytest.mark.parametrize(
    ("strategy", "values", "statuses"),
    [
        ("interrupt", ["in", "first", "new", "first", "second"], ["success", "interrupted"]),
        ("rollback", ["new", "first", "second"], ["success"]),
    ],
)
async def test_new_run_displaces_the_one_under_way(
    stage: Stage, strategy: Any, values: list[str], statuses: list[str]
) -> None:
    thread_id = await stage.thread()
    earlier = (await stage.client.runs.create(thread_id, **DOZE))["run_id"]
    async with stage.dozing(thread_id, earlier) as work:
        given = {"parts": ["new"]}
        waiting = asyncio.create_task(
            stage.client.runs.wait(thread_id, "steps", input=given, multitask_strategy=strategy)
        )
        await work

    await stage.work()

    assert await waiting == {"parts": values}
    assert [run["status"] for run in await stage.client.runs.list(thread_id)] == statuses
    assert await stage.status(thread_id) == "idle"
    assert stage.worker.waiting() == 0


async def test_busy_thread_rejects_or_enqueues_as_it_is_told(stage: Stage) -> None:
    thread_id = await stage.thread()
    earlier = (await stage.client.runs.create(thread_id, **DOZE))["run_id"]
    given = {"parts": ["new"]}
    async with stage.dozing(thread_id, earlier):
        with pytest.raises(ConflictError, match="already running a task"):
            await stage.client.runs.create(thread_id, "steps", input=given, multitask_strategy="reject")
        later = await stage.client.runs.create(thread_id, "steps", input=given, multitask_strategy="enqueue")
        assert [run["status"] for run in await stage.client.runs.list(thread_id)] == ["pending", "running"]
        assert stage.worker.waiting() == 0
        await stage.client.runs.cancel(thread_id, earlier)

    await stage.work()

    joined: Any = await stage.client.runs.join(thread_id, later["run_id"])
    assert joined["parts"] == ["in", "first", "new", "first", "second"]


@pytest.mark.parametrize("host", ["10.0.0.8", "192.168.7.7", "127.0.0.1", "169.254.169.254", "[::1]"])
async def test_webhook_to_a_private_address_is_refused(stage: Stage, host: str) -> None:
    with pytest.raises(UnprocessableEntityError, match="webhook"):
        await stage.client.runs.create(None, "steps", input={}, webhook=f"https://{host}/hook")
    with pytest.raises(UnprocessableEntityError, match="webhook"):
        await stage.client.crons.create("steps", schedule="* * * * *", input={}, webhook=f"https://{host}/hook")


async def test_delayed_run_is_pending_until_its_time(stage: Stage) -> None:
    thread_id = await stage.thread()

    delayed = await stage.client.runs.create(thread_id, "steps", input={"parts": []}, after_seconds=3600)

    assert delayed["status"] == "pending"
    assert stage.worker.waiting() == 0
    assert await stage.status(thread_id) == "busy"
    waiting = asyncio.create_task(stage.client.runs.wait(thread_id, "steps", input={"parts": ["now"]}))
    await stage.work()
    assert await waiting == {"parts": ["now", "first", "second"]}
    await stage.client.runs.cancel(thread_id, delayed["run_id"])
    assert await stage.status(thread_id) == "idle"


@pytest.mark.parametrize("path", ["/runs/wait", "/threads/{}/runs/wait"])
async def test_client_that_leaves_cancels_its_run_when_it_said_so(stage: Stage, path: str) -> None:
    thread_id = await stage.thread()
    body = {**DOZE, "on_disconnect": "cancel", "on_completion": "keep"}
    async with (
        httpx.AsyncClient(base_url=stage.url) as client,
        client.stream("POST", path.format(thread_id), json=body) as answer,
    ):
        _, _, thread_id, _, run_id = answer.headers["content-location"].split("/")
        async with stage.dozing(thread_id, run_id):
            await answer.aclose()

    assert (await stage.client.runs.get(thread_id, run_id))["status"] == "interrupted"
    (row,) = fetch(stage.settings.database_dsn, "SELECT cancel_reason FROM run WHERE run_id = %s", run_id)
    assert row["cancel_reason"] == "disconnected"
