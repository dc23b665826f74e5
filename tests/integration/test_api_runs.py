"""Runs: put on threads, sent, read, removed. What a worker would do is done in SQL, or by one that is told when."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from api_setting import AGENT_ID, execute, fetch, new_thread, open_api, put, sent, services_of, settings
from ostinato_api import waiting
from ostinato_shared.task_names import DONE_CHANNEL

UNKNOWN = "01a2022d-0bdd-77a7-ad18-a20902c4cc9b"
BUSY = "Thread is already running a task. Wait for it to finish or choose a different multitask strategy."


def finish(database_uri: str, run_id: str, *, status: str = "success", rest: str = "idle", **ending: Any) -> None:
    """Start the run and end it, as a worker would."""
    owner = str(uuid4())
    started = fetch(database_uri, "SELECT run_id FROM ostinato_start(%s, %s)", run_id, owner)
    assert [str(row["run_id"]) for row in started] == [run_id]
    texts = [json.dumps(ending.get(name)) if name in ending else None for name in ("values", "error")]
    ended = fetch(
        database_uri,
        "SELECT * FROM ostinato_finish(%s, %s, 1, %s, %s, %s, %s, %s, NULL)",
        *(run_id, owner, status, rest, texts[0], json.dumps(ending.get("interrupts", {})), texts[1]),
    )
    assert len(ended) == 1


async def test_new_run_is_pending_sent_and_named_in_the_headers(api: httpx.AsyncClient, redis_uri: str) -> None:
    thread_id = await new_thread(api, metadata={"team": "growth"})

    answer = await api.post(
        f"/threads/{thread_id}/runs",
        json={"assistant_id": "agent", "input": {"messages": []}, "metadata": {"n": 1}, "context": {"lang": "en"}},
    )

    run = answer.json()
    assert answer.headers["content-location"] == f"/threads/{thread_id}/runs/{run['run_id']}"
    assert run == run | {
        "thread_id": thread_id, "assistant_id": AGENT_ID, "status": "pending", "multitask_strategy": "enqueue",
        "metadata": {"created_by": "system", "assistant_id": AGENT_ID, "team": "growth", "n": 1},
    }  # fmt: skip
    kwargs = run["kwargs"]
    assert (kwargs["input"], kwargs["context"], kwargs["webhook"]) == ({"messages": []}, {"lang": "en"}, None)
    assert kwargs["config"]["configurable"] == {
        "run_id": run["run_id"], "thread_id": thread_id, "assistant_id": AGENT_ID, "graph_id": "agent", "user_id": "",
        "lang": "en",
    }  # fmt: skip
    assert run["created_at"].endswith("+00:00")
    assert sent(redis_uri) == [run["run_id"]]
    thread = (await api.get(f"/threads/{thread_id}")).json()
    assert thread["status"] == "busy"
    assert thread["metadata"] == {"team": "growth", "graph_id": "agent", "assistant_id": AGENT_ID}
    assert (await api.get(f"/threads/{thread_id}/runs/{run['run_id']}")).json() == run


async def test_run_leaves_tags_and_limit_on_its_thread_but_not_its_configurable(api: httpx.AsyncClient) -> None:
    thread_id = await new_thread(api)

    await put(api, thread_id, config={"tags": ["a"], "recursion_limit": 7, "configurable": {"secret": "x"}})

    config = (await api.get(f"/threads/{thread_id}")).json()["config"]
    assert (config["tags"], config["recursion_limit"]) == (["a"], 7)
    assert "secret" not in config.get("configurable", {})


async def test_run_that_another_displaces_at_once_was_made_all_the_same(api: httpx.AsyncClient) -> None:
    thread_id = await new_thread(api)
    body = {"assistant_id": "agent", "multitask_strategy": "rollback"}

    answers = await asyncio.gather(*(api.post(f"/threads/{thread_id}/runs", json=body) for _ in range(20)))

    assert [answer.status_code for answer in answers] == [200] * 20
    made = sorted((answer.json() for answer in answers), key=lambda run: run["created_at"])
    assert {run["status"] for run in made} == {"pending"}
    assert (await api.get(f"/threads/{thread_id}/runs")).json() == made[-1:]


async def test_second_run_waits_for_its_turn(api: httpx.AsyncClient, redis_uri: str) -> None:
    thread_id = await new_thread(api)

    first = await put(api, thread_id)
    second = await put(api, thread_id)

    assert sent(redis_uri) == [first["run_id"]]
    assert second["status"] == "pending"


async def test_busy_thread_rejects_when_told_so(api: httpx.AsyncClient) -> None:
    thread_id = await new_thread(api)
    await put(api, thread_id)

    answer = await api.post(
        f"/threads/{thread_id}/runs", json={"assistant_id": "agent", "multitask_strategy": "reject"}
    )

    assert (answer.status_code, answer.json()) == (409, {"detail": BUSY})


async def test_unknown_thread_is_made_when_told_so(api: httpx.AsyncClient, database_uri: str) -> None:
    refused = await api.post(f"/threads/{UNKNOWN}/runs", json={"assistant_id": "agent"})
    unmade = await api.post(f"/threads/{UNKNOWN}/runs", json={"assistant_id": str(uuid4()), "if_not_exists": "create"})
    assert refused.status_code == unmade.status_code == 404
    assert refused.json() == unmade.json() == {"detail": "Thread or assistant not found."}
    assert fetch(database_uri, "SELECT 1 FROM thread") == []

    run = await put(api, UNKNOWN, if_not_exists="create")
    execute(database_uri, "UPDATE thread SET deleted_at = now()")
    again = await put(api, UNKNOWN, if_not_exists="create")

    assert run["thread_id"] == again["thread_id"] == UNKNOWN
    assert [str(row["run_id"]) for row in fetch(database_uri, "SELECT run_id FROM run")] == [again["run_id"]]


async def test_thread_that_is_made_and_deleted_in_between_is_made_again(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    blocked = "SELECT 1 FROM pg_locks WHERE NOT granted"
    with psycopg.connect(database_uri) as somebody:
        somebody.execute("INSERT INTO thread (thread_id, deleted_at) VALUES (%s, now())", (UNKNOWN,))
        making = asyncio.create_task(put(api, UNKNOWN, if_not_exists="create"))
        while not fetch(database_uri, blocked):  # noqa: ASYNC110 - of the database, which tells nobody
            await asyncio.sleep(0.01)

    assert (await making)["thread_id"] == UNKNOWN


async def test_unknown_assistant_is_404_by_id_and_422_by_name(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = await new_thread(api)
    for path in (f"/threads/{thread_id}/runs", "/runs", "/runs/wait", f"/threads/{thread_id}/runs/wait"):
        by_id = await api.post(path, json={"assistant_id": UNKNOWN})
        by_name = await api.post(path, json={"assistant_id": "nobody"})

        assert (by_id.status_code, by_id.json()) == (404, {"detail": "Thread or assistant not found."})
        assert by_name.status_code == 422
        assert "agent" in by_name.json()["detail"]
    assert len(fetch(database_uri, "SELECT 1 FROM thread")) == 1


async def test_stateless_run_gets_a_thread_that_goes_unless_kept(api: httpx.AsyncClient, database_uri: str) -> None:
    for completion, stays in (("delete", False), ("keep", True)):
        answer = await api.post("/runs", json={"assistant_id": "agent", "on_completion": completion})
        run = answer.json()
        assert answer.headers["content-location"] == f"/runs/{run['run_id']}"
        assert "location" not in answer.headers
        path = f"/threads/{run['thread_id']}"
        assert (await api.get(path)).json()["metadata"] == {"graph_id": "agent", "assistant_id": AGENT_ID}

        finish(database_uri, run["run_id"], values={"messages": ["answer"]})

        assert (await api.get(path)).status_code == (200 if stays else 404)
        assert (await api.get(f"{path}/runs/{run['run_id']}")).status_code == (200 if stays else 404)
        joined = await api.get(f"{path}/runs/{run['run_id']}/join")
        assert (joined.status_code, joined.json()) == (200, {"messages": ["answer"]})


async def test_batch_makes_all_or_none(api: httpx.AsyncClient, database_uri: str, redis_uri: str) -> None:
    answer = await api.post("/runs/batch", json=[{"assistant_id": "agent", "input": {"n": n}} for n in range(3)])

    runs = answer.json()
    assert [run["kwargs"]["input"] for run in runs] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert len({run["thread_id"] for run in runs}) == 3
    assert sent(redis_uri) == [run["run_id"] for run in runs]
    for bodies, status in (
        ([], 422), ({}, 422), ([{"assistant_id": "agent"}, 7], 422), ([{"assistant_id": "agent"}, {}], 422),
        ([{"assistant_id": "agent"}, {"assistant_id": UNKNOWN}], 404),
        ([{"assistant_id": "agent"}, {"assistant_id": "agent", "webhook": "http://10.0.0.1"}], 422),
    ):  # fmt: skip
        assert (await api.post("/runs/batch", json=bodies)).status_code == status, bodies
    assert len(fetch(database_uri, "SELECT 1 FROM run")) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"assistant_id": 7}, {"assistant_id": ""}, {"assistant_id": None}, {"command": 7}, {"command": {"goto": 7}},
        {"command": {"goto": [{"input": 1}]}}, {"command": {"update": "x"}}, {"metadata": []}, {"config": []},
        {"config": {"recursion_limit": 0}}, {"config": {"configurable": 7}}, {"context": 7}, {"checkpoint": 7},
        {"checkpoint": {"checkpoint_map": 7}}, {"checkpoint_id": 7}, {"webhook": "x"}, {"webhook": 7},
        {"interrupt_before": 7}, {"interrupt_after": [7]}, {"stream_mode": "all"}, {"stream_subgraphs": 7},
        {"stream_resumable": "x"}, {"feedback_keys": "x"}, {"multitask_strategy": "queue"}, {"if_not_exists": "x"},
        {"after_seconds": -1}, {"after_seconds": "1"}, {"durability": "never"}, {"checkpoint_during": 1},
        {"on_disconnect": "x"}, {"on_completion": "x"}, {"multitask_strategy": None}, {"metadata": None},
    ],
)  # fmt: skip
async def test_run_that_does_not_fit_is_422_and_makes_nothing(
    api: httpx.AsyncClient, database_uri: str, fields: dict[str, Any]
) -> None:
    thread_id = await new_thread(api)
    for path in (f"/threads/{thread_id}/runs", "/runs", f"/threads/{thread_id}/runs/wait", "/runs/wait"):
        answer = await api.post(path, json={"assistant_id": "agent", **fields})

        assert answer.status_code == 422, (path, answer.text)
        assert isinstance(answer.json()["detail"], str)
    assert fetch(database_uri, "SELECT 1 FROM run") == []


async def test_what_is_not_built_yet_is_refused_by_name(api: httpx.AsyncClient) -> None:
    thread_id = await new_thread(api)
    on_thread = f"/threads/{thread_id}/runs"
    for method, path in [
        ("POST", f"{on_thread}/stream"), ("POST", "/runs/stream"),
        ("GET", f"{on_thread}/{UNKNOWN}/stream"), ("GET", f"/runs/{UNKNOWN}/stream"),
    ]:  # fmt: skip
        answer = await api.request(method, path, json={"assistant_id": "agent"})
        assert answer.status_code == 404
        assert "not supported yet" in answer.json()["detail"]


async def test_configurable_and_context_together_are_400(api: httpx.AsyncClient) -> None:
    both = {"config": {"configurable": {"a": 1}}, "context": {"b": 2}}

    answer = await api.post("/runs", json={"assistant_id": "agent", **both})

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("Cannot specify both configurable and context.")


async def test_any_input_is_taken(api: httpx.AsyncClient) -> None:
    thread_id = await new_thread(api)
    for given in (None, 7, "x", [], {}, [{"a": 1}], True):
        assert (await put(api, thread_id, input=given))["kwargs"]["input"] == given
    command = {"resume": {"a": 1}, "update": {"b": 2}, "goto": ["c", {"node": "d", "input": 1}]}
    assert (await put(api, thread_id, command=command))["kwargs"]["command"] == command
    assert (await put(api, thread_id, command=None))["kwargs"]["command"] is None


async def test_list_is_newest_first_and_filters(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = await new_thread(api)
    ids = [(await put(api, thread_id))["run_id"] for _ in range(3)]
    finish(database_uri, ids[0])
    path = f"/threads/{thread_id}/runs"

    async def listed(**query: Any) -> list[str]:
        answer = await api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return [run["run_id"] for run in answer.json()]

    assert await listed() == ids[::-1]
    assert await listed(limit=1, offset=1) == [ids[1]]
    assert await listed(status="success") == [ids[0]]
    repeated = await api.get(path, params=[("select", "run_id"), ("select", "status"), ("limit", 1)])
    as_text = await api.get(path, params={"select": '["run_id", "status"]', "limit": 1})
    assert repeated.json() == as_text.json() == [{"run_id": ids[2], "status": "pending"}]
    for query in ({"limit": 0}, {"limit": 1001}, {"offset": -1}, {"status": "x"}, {"select": "x"}, {"select": "[7]"}):
        answer = await api.get(path, params=query)
        assert answer.status_code == 422, query


async def test_deleting_a_run_frees_its_thread(api: httpx.AsyncClient, database_uri: str, redis_uri: str) -> None:
    thread_id = await new_thread(api)
    first, second = [(await put(api, thread_id))["run_id"] for _ in range(2)]
    path = f"/threads/{thread_id}/runs"
    fetch(database_uri, "SELECT * FROM ostinato_start(%s, %s)", first, str(uuid4()))

    answer = await api.delete(f"{path}/{first}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert sent(redis_uri) == [first, second]
    assert (await api.get(f"/threads/{thread_id}")).json()["status"] == "busy"
    assert (await api.delete(f"{path}/{second}")).status_code == 204
    assert (await api.get(f"/threads/{thread_id}")).json()["status"] == "idle"
    for run_id in (first, UNKNOWN):
        assert (await api.delete(f"{path}/{run_id}")).status_code == 404
        assert (await api.get(f"{path}/{run_id}")).status_code == 404


async def test_run_of_another_thread_is_404(api: httpx.AsyncClient) -> None:
    run_id = (await put(api, await new_thread(api)))["run_id"]
    other = f"/threads/{await new_thread(api)}/runs/{run_id}"

    assert (await api.get(other)).status_code == 404
    assert (await api.get(f"{other}/join")).status_code == 404
    assert (await api.delete(other)).status_code == 404


async def test_dead_redis_costs_no_request(api: httpx.AsyncClient) -> None:
    await services_of(api).redis.aclose()
    services_of(api).redis.connection_pool.connection_kwargs["port"] = 1

    run = await put(api, await new_thread(api))

    assert run["status"] == "pending"


async def test_outcomes_as_waiters_read_them(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = await new_thread(api)
    question = {"id": "i", "value": "go on?"}
    failure = {"error": "ValueError", "message": "boom: x"}
    for ending, expected in [
        ({"values": {"a": 1}}, {"a": 1}),
        ({"values": {"a": 2}, "rest": "interrupted", "interrupts": {"task": [question]}},
         {"a": 2, "__interrupt__": [question]}),
        ({"values": {"a": 3}, "rest": "interrupted"}, {"a": 3}),
        ({"values": {"a": 4}, "status": "error", "rest": "error", "error": failure}, {"__error__": failure}),
        ({"values": [1, 2]}, [1, 2]),
        ({"values": 7}, 7),
    ]:  # fmt: skip
        run_id = (await put(api, thread_id))["run_id"]
        waiter = asyncio.create_task(api.get(f"/threads/{thread_id}/runs/{run_id}/join"))
        finish(database_uri, run_id, **ending)
        await services_of(api).sender.tell_done(run_id)

        answer = await waiter

        assert (answer.status_code, answer.json()) == (200, expected)


async def test_waiter_comes_to_know_without_redis(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = await new_thread(api)
    run_id = (await put(api, thread_id))["run_id"]
    waiter = asyncio.create_task(api.get(f"/threads/{thread_id}/runs/{run_id}/join"))

    finish(database_uri, run_id, values={"a": 1})

    assert (await waiter).json() == {"a": 1}


async def test_waiter_is_woken_by_redis_also_after_its_connection_was_cut(
    database_uri: str, redis_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 1000.0)
    async with open_api(settings(database_uri, redis_uri, tmp_path)) as api:
        thread_id = await new_thread(api)
        for cut in (False, True):
            run_id = (await put(api, thread_id))["run_id"]
            waiter = asyncio.create_task(api.get(f"/threads/{thread_id}/runs/{run_id}/join"))
            await waits_for(api, 1)
            if cut:
                await services_of(api).redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await subscribed(api)
            finish(database_uri, run_id, values={"cut": cut})
            await services_of(api).sender.tell_done(run_id)

            assert (await waiter).json() == {"cut": cut}


async def subscribed(api: httpx.AsyncClient) -> None:
    while (await services_of(api).redis.pubsub_numsub(DONE_CHANNEL))[0][1] == 0:  # noqa: ASYNC110 - of the server, which tells nobody
        await asyncio.sleep(0.01)


async def test_waiter_of_a_deleted_run_or_thread_gets_an_error(api: httpx.AsyncClient) -> None:
    for remove_thread in (False, True):
        thread_id = await new_thread(api)
        run_id = (await put(api, thread_id))["run_id"]
        waiter = asyncio.create_task(api.get(f"/threads/{thread_id}/runs/{run_id}/join"))
        await waits_for(api, 1)
        await api.delete(f"/threads/{thread_id}" if remove_thread else f"/threads/{thread_id}/runs/{run_id}")

        assert "__error__" in (await waiter).json()


async def test_many_waiters_hold_no_connection(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = await new_thread(api)
    run_id = (await put(api, thread_id))["run_id"]
    waiters = [asyncio.create_task(api.get(f"/threads/{thread_id}/runs/{run_id}/join")) for _ in range(100)]
    await waits_for(api, 100)

    assert (await api.get(f"/threads/{thread_id}")).status_code == 200
    finish(database_uri, run_id, values={"a": 1})
    await services_of(api).sender.tell_done(run_id)

    assert [(await waiter).json() for waiter in waiters] == [{"a": 1}] * 100
    assert services_of(api).waiting._hints == {}


async def waits_for(api: httpx.AsyncClient, number: int) -> None:
    hints = services_of(api).waiting._hints
    while sum(map(len, hints.values())) < number:  # noqa: ASYNC110 - of the server, which tells nobody
        await asyncio.sleep(0.01)
