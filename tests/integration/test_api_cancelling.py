"""Cancels, displacements and delays as the api takes them; what a worker would do is done in SQL."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis.asyncio

from api_setting import execute, fetch, new_thread, put, sent, services_of
from ostinato_shared.task_names import CANCEL_CHANNEL

OWNER = str(uuid4())
END_AS_ASKED = "SELECT * FROM ostinato_finish(%s, %s, 1, 'interrupted', 'interrupted', %s, '{}', NULL, NULL)"
UNKNOWN = "01a2022d-0bdd-77a7-ad18-a20902c4cc9b"


def start(database_uri: str, run_id: str) -> None:
    assert len(fetch(database_uri, "SELECT run_id FROM ostinato_start(%s, %s)", run_id, OWNER)) == 1


def end_as_asked(database_uri: str, run_id: str) -> list[Any]:
    """What the owner of a run that is asked to end does; the thread's next run."""
    return [row["next_run_id"] for row in fetch(database_uri, END_AS_ASKED, run_id, OWNER, '{"got": "here"}')]


async def statuses(api: httpx.AsyncClient, thread_id: str) -> list[str]:
    """Of the thread's runs, oldest first, then the thread's own."""
    runs = (await api.get(f"/threads/{thread_id}/runs")).json()
    return [run["status"] for run in reversed(runs)] + [(await api.get(f"/threads/{thread_id}")).json()["status"]]


async def test_cancelling_a_pending_run_ends_it_and_sends_the_next(api: httpx.AsyncClient, redis_uri: str) -> None:
    thread_id = await new_thread(api)
    first, second = [(await put(api, thread_id))["run_id"] for _ in range(2)]

    answer = await api.post(f"/threads/{thread_id}/runs/{first}/cancel")

    assert (answer.status_code, answer.content) == (202, b"")
    assert sent(redis_uri) == [first, second]
    assert await statuses(api, thread_id) == ["interrupted", "pending", "busy"]
    assert (await api.post(f"/threads/{thread_id}/runs/{second}/cancel?action=rollback")).status_code == 202
    assert await statuses(api, thread_id) == ["interrupted", "idle"]


async def test_cancelling_a_running_run_asks_its_owner(
    api: httpx.AsyncClient, database_uri: str, redis_uri: str
) -> None:
    thread_id = await new_thread(api)
    run_id = (await put(api, thread_id))["run_id"]
    start(database_uri, run_id)
    async with redis.asyncio.Redis.from_url(redis_uri, decode_responses=True) as client, client.pubsub() as channel:
        await channel.subscribe(CANCEL_CHANNEL)
        waiter = asyncio.create_task(api.post(f"/threads/{thread_id}/runs/{run_id}/cancel?wait=1"))
        heard = [await anext(channel.listen()) for _ in range(2)]

    assert heard[1]["data"] == thread_id
    assert await statuses(api, thread_id) == ["running", "busy"]
    assert end_as_asked(database_uri, run_id) == [None]
    await services_of(api).sender.tell_done(run_id)  # type: ignore[arg-type]  # the text of one
    answer = await waiter
    assert (answer.status_code, answer.json()) == (200, {})
    assert await statuses(api, thread_id) == ["interrupted", "interrupted"]
    joined = await api.get(f"/threads/{thread_id}/runs/{run_id}/join")
    assert joined.json() == {"got": "here"}


async def test_cancel_of_what_is_over_or_unknown_is_404(api: httpx.AsyncClient) -> None:
    thread_id, other = await new_thread(api), await new_thread(api)
    run_id = (await put(api, thread_id))["run_id"]
    live = (await put(api, thread_id))["run_id"]
    await api.post(f"/threads/{thread_id}/runs/{run_id}/cancel")

    for path in (f"{thread_id}/runs/{run_id}", f"{thread_id}/runs/{UNKNOWN}", f"{other}/runs/{live}"):
        assert (await api.post(f"/threads/{path}/cancel")).status_code == 404
    for query in ("action=stop", "wait=x"):
        assert (await api.post(f"/threads/{thread_id}/runs/{live}/cancel?{query}")).status_code == 422
    assert await statuses(api, thread_id) == ["interrupted", "pending", "busy"]


@pytest.mark.parametrize(("status", "left"), [("pending", 1), ("running", 1), ("all", 0)])
async def test_bulk_by_status(api: httpx.AsyncClient, database_uri: str, status: str, left: int) -> None:
    thread_id = await new_thread(api)
    running, _ = [(await put(api, thread_id))["run_id"] for _ in range(2)]
    start(database_uri, running)

    answer = await api.post("/runs/cancel?action=rollback", json={"status": status})

    assert (answer.status_code, answer.content) == (204, b"")
    live = "SELECT 1 FROM run WHERE cancel_requested IS NULL"
    assert len(fetch(database_uri, live)) == left


async def test_bulk_by_ids_takes_those_that_are_there(api: httpx.AsyncClient) -> None:
    thread_id, other = await new_thread(api), await new_thread(api)
    ids = [(await put(api, thread_id))["run_id"] for _ in range(3)]
    foreign = (await put(api, other))["run_id"]

    answer = await api.post("/runs/cancel", json={"thread_id": thread_id, "run_ids": [*ids[:2], foreign, UNKNOWN]})

    assert answer.status_code == 204
    assert await statuses(api, thread_id) == ["interrupted", "interrupted", "pending", "busy"]
    assert await statuses(api, other) == ["pending", "busy"]
    again = await api.post("/runs/cancel", json={"thread_id": thread_id, "run_ids": ids[:2]})
    assert again.status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {}, {"status": "success"}, {"thread_id": UNKNOWN}, {"run_ids": [UNKNOWN]}, {"status": None},
        {"status": "all", "thread_id": UNKNOWN, "run_ids": [UNKNOWN]}, {"status": "all", "run_ids": [UNKNOWN]},
        {"thread_id": UNKNOWN, "run_ids": []}, {"thread_id": "x", "run_ids": [UNKNOWN]},
        {"thread_id": UNKNOWN, "run_ids": ["x"]}, [],
    ],
)  # fmt: skip
async def test_bulk_takes_exactly_one_form(api: httpx.AsyncClient, body: Any) -> None:
    answer = await api.post("/runs/cancel", json=body)

    assert answer.status_code == 422, answer.text
    assert isinstance(answer.json()["detail"], str)


async def test_bulk_that_finds_nothing_is_404(api: httpx.AsyncClient) -> None:
    assert (await api.post("/runs/cancel", json={"status": "all"})).status_code == 404
    unknown = {"thread_id": UNKNOWN, "run_ids": [UNKNOWN]}
    assert (await api.post("/runs/cancel", json=unknown)).status_code == 404


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_new_run_displaces_what_waits_at_once(
    api: httpx.AsyncClient, database_uri: str, redis_uri: str, strategy: str
) -> None:
    thread_id = await new_thread(api)
    earlier = (await put(api, thread_id))["run_id"]

    run = await put(api, thread_id, multitask_strategy=strategy)

    assert run["multitask_strategy"] == strategy
    assert sent(redis_uri) == [earlier, run["run_id"]]
    expected = ["interrupted", "pending", "busy"] if strategy == "interrupt" else ["pending", "busy"]
    assert await statuses(api, thread_id) == expected
    start(database_uri, run["run_id"])


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_new_run_waits_until_the_displaced_one_has_ended(
    api: httpx.AsyncClient, database_uri: str, redis_uri: str, strategy: str
) -> None:
    thread_id = await new_thread(api)
    earlier = (await put(api, thread_id))["run_id"]
    start(database_uri, earlier)

    run = await put(api, thread_id, multitask_strategy=strategy)

    assert sent(redis_uri) == [earlier]
    assert await statuses(api, thread_id) == ["running", "pending", "busy"]
    assert fetch(database_uri, "SELECT * FROM ostinato_start(%s, %s)", run["run_id"], OWNER) == []
    (following,) = end_as_asked(database_uri, earlier)
    assert str(following) == run["run_id"]
    start(database_uri, run["run_id"])


async def test_delayed_run_lies_ahead_and_is_not_sent(
    api: httpx.AsyncClient, redis_uri: str, database_uri: str
) -> None:
    thread_id = await new_thread(api)

    delayed = await put(api, thread_id, after_seconds=60)
    run = await put(api, thread_id)

    ahead = datetime.fromisoformat(delayed["created_at"]) - datetime.fromisoformat(run["created_at"])
    assert timedelta(seconds=55) < ahead <= timedelta(seconds=60)
    assert delayed["status"] == "pending"
    assert sent(redis_uri) == [run["run_id"]]  # in nobody's way
    rejected = await api.post(
        f"/threads/{thread_id}/runs", json={"assistant_id": "agent", "multitask_strategy": "reject"}
    )
    assert rejected.status_code == 409
    start(database_uri, run["run_id"])
    assert end_as_asked(database_uri, run["run_id"]) == [None]
    assert (await api.get(f"/threads/{thread_id}")).json()["status"] == "busy"
    await api.post(f"/threads/{thread_id}/runs/{delayed['run_id']}/cancel")
    assert (await api.get(f"/threads/{thread_id}")).json()["status"] == "interrupted"


async def test_delayed_stateless_run_is_not_sent(api: httpx.AsyncClient, redis_uri: str) -> None:
    bodies = [{"assistant_id": "agent", "after_seconds": 60}, {"assistant_id": "agent"}]

    delayed, run = (await api.post("/runs/batch", json=bodies)).json()

    assert sent(redis_uri) == [run["run_id"]]
    assert delayed["status"] == "pending"


async def test_cancelled_stateless_run_takes_its_thread_along(api: httpx.AsyncClient) -> None:
    run = (await api.post("/runs", json={"assistant_id": "agent"})).json()

    assert (await api.post(f"/threads/{run['thread_id']}/runs/{run['run_id']}/cancel")).status_code == 202

    assert (await api.get(f"/threads/{run['thread_id']}")).status_code == 404


async def test_waiter_of_a_rolled_back_run_gets_an_error(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = await new_thread(api)
    run_id = (await put(api, thread_id))["run_id"]
    waiter = asyncio.create_task(api.get(f"/threads/{thread_id}/runs/{run_id}/join"))
    while not services_of(api).waiting._hints:  # noqa: ASYNC110 - of the server, which tells nobody
        await asyncio.sleep(0.01)

    await api.post(f"/threads/{thread_id}/runs/{run_id}/cancel?action=rollback")

    assert "rolled back" in (await waiter).json()["__error__"]["message"]
    execute(database_uri, "DELETE FROM run")


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_waiting_and_bulk_cancels_and_a_finish_at_one_instant_all_come_to_an_end(
    api: httpx.AsyncClient, database_uri: str, action: str
) -> None:
    seen = set()

    async def end(run_id: str) -> None:
        await asyncio.sleep(random.choice([0, random.uniform(0, 0.02)]))  # noqa: S311 - a race's jitter
        async with services_of(api).pool.connection() as connection:
            await connection.execute(END_AS_ASKED, (run_id, OWNER, "{}"))
        await services_of(api).sender.tell_done(run_id)  # type: ignore[arg-type]  # the text of one

    for number in range(400):
        thread_id = await new_thread(api)
        running, waiting = [(await put(api, thread_id))["run_id"] for _ in range(2)]
        start(database_uri, running)

        one, all_of_them, _ = await asyncio.gather(
            api.post(f"/threads/{thread_id}/runs/{running}/cancel?wait=1&action={action}"),
            api.post(f"/runs/cancel?action={action}", json={"thread_id": thread_id, "run_ids": [running, waiting]}),
            end(running),
        )

        assert one.status_code in {200, 404}
        assert all_of_them.status_code == 204  # of the one that waits
        kept = {"interrupt": ["interrupted", "interrupted"], "rollback": []}[action]
        left = (await statuses(api, thread_id))[:-1]
        assert left in (kept, ["interrupted", *kept[1:]])
        assert (await api.get(f"/threads/{thread_id}")).json()["status"] in {"interrupted", "idle"}
        seen.add(one.status_code)
        if number >= 15 and len(seen) > 1:
            return
    pytest.fail(f"only one order was seen: {seen}")
