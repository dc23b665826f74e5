"""Threads: made, found, changed, removed."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from api_setting import execute, fetch

UNKNOWN = "01a2022d-0bdd-77a7-ad18-a20902c4cc9b"


async def make(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await api.post("/threads", json=fields)
    assert answer.status_code == 200, answer.text
    thread: dict[str, Any] = answer.json()
    return thread


def hide(database_uri: str, thread_id: str) -> None:
    execute(database_uri, "UPDATE thread SET deleted_at = now() WHERE thread_id = %s", thread_id)


async def test_new_thread_is_idle_and_has_no_values(api: httpx.AsyncClient) -> None:
    thread = await make(api, metadata={"team": "growth"})

    assert thread == await get(api, thread["thread_id"])
    assert thread == thread | {
        "metadata": {"team": "growth"}, "status": "idle", "config": {}, "values": None, "interrupts": {}, "error": None
    }  # fmt: skip
    assert thread["created_at"].endswith("+00:00")
    assert set(thread) >= {"thread_id", "created_at", "updated_at", "state_updated_at"}


async def get(api: httpx.AsyncClient, thread_id: str) -> Any:
    return (await api.get(f"/threads/{thread_id}")).json()


async def test_taken_id_is_a_conflict_unless_told_to_do_nothing(api: httpx.AsyncClient) -> None:
    thread_id = str(uuid4())
    made = await make(api, thread_id=thread_id, metadata={"a": 1})

    again = await api.post("/threads", json={"thread_id": thread_id})
    raised = await api.post("/threads", json={"thread_id": thread_id, "if_exists": "raise"})
    kept = await make(api, thread_id=thread_id, if_exists="do_nothing", metadata={"b": 2})

    assert again.status_code == raised.status_code == 409
    assert kept == made


async def test_id_of_a_hidden_thread_can_be_taken_again(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = (await make(api, metadata={"old": True}))["thread_id"]
    hide(database_uri, thread_id)

    thread = await make(api, thread_id=thread_id)

    assert thread["metadata"] == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"thread_id": "7"}, {"thread_id": 7}, {"metadata": []}, {"metadata": None}, {"if_exists": "replace"},
        {"ttl": 5},
        {"ttl": {"ttl": 5}}, {"ttl": {"ttl": -1}}, {"supersteps": {}}, {"supersteps": [{"updates": []}]},
        {"supersteps": [{}]}, {"metadata": {"a": "\0"}}, {"metadata": {"a": "x" * 70_000}}, [], 7, "x",
    ],
)  # fmt: skip
async def test_thread_that_does_not_fit_is_422_and_makes_nothing(
    api: httpx.AsyncClient, database_uri: str, fields: Any
) -> None:
    answer = await api.post("/threads", json=fields)

    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)
    assert fetch(database_uri, "SELECT 1 FROM thread") == []


async def test_patch_merges_metadata(api: httpx.AsyncClient) -> None:
    thread = await make(api, metadata={"a": 1, "b": {"c": 1}})
    path = f"/threads/{thread['thread_id']}"

    changed = await api.patch(path, json={"metadata": {"b": 2, "d": 3}})
    minimal = await api.patch(path, json={"metadata": {"e": 4}}, headers={"Prefer": "return=minimal"})
    empty = await api.patch(path, json={})

    assert changed.json()["metadata"] == {"a": 1, "b": 2, "d": 3}
    assert changed.json()["updated_at"] > thread["updated_at"]
    assert (minimal.status_code, minimal.content) == (204, b"")
    assert empty.json()["metadata"] == {"a": 1, "b": 2, "d": 3, "e": 4}
    assert (await api.patch(path, json={"ttl": {"ttl": 5}})).status_code == 422
    assert (await api.patch(path, json={"metadata": None})).status_code == 422


async def test_unknown_and_hidden_threads_are_404_everywhere(api: httpx.AsyncClient, database_uri: str) -> None:
    hidden = (await make(api))["thread_id"]
    hide(database_uri, hidden)
    run = f"{UNKNOWN}/runs/{UNKNOWN}"
    for thread_id in (UNKNOWN, hidden):
        place = f"/threads/{thread_id}"
        for method, path, body in [
            ("GET", place, None), ("PATCH", place, {"metadata": {}}), ("DELETE", place, None),
            ("GET", f"{place}/state", None), ("GET", f"{place}/state/{UNKNOWN}", None),
            ("POST", f"{place}/state", {"values": {}}), ("POST", f"{place}/state/checkpoint", {"checkpoint": {}}),
            ("GET", f"{place}/history", None), ("POST", f"{place}/history", {}), ("GET", f"{place}/runs", None),
            ("GET", f"{place}/runs/{UNKNOWN}", None), ("DELETE", f"{place}/runs/{UNKNOWN}", None),
            ("GET", f"{place}/runs/{UNKNOWN}/join", None), ("POST", f"{place}/runs", {"assistant_id": "agent"}),
            ("POST", f"{place}/runs/wait", {"assistant_id": "agent"}),
        ]:  # fmt: skip
            answer = await api.request(method, path, json=body)
            assert answer.status_code == 404, (method, path)
    assert (await api.get(f"/threads/{UNKNOWN}")).json() == {"detail": f"Thread with ID {UNKNOWN} not found"}
    assert (await api.get(f"/threads/{run}")).status_code == 404


async def test_id_in_a_path_must_be_a_uuid(api: httpx.AsyncClient) -> None:
    for method, path in [
        ("GET", "/threads/7"), ("DELETE", "/threads/7"), ("GET", "/threads/7/state"), ("GET", "/threads/7/runs"),
        ("GET", "/threads/7/history"), ("GET", f"/threads/7/runs/{UNKNOWN}/join"),
    ]:  # fmt: skip
        answer = await api.request(method, path)
        assert (answer.status_code, answer.json()) == (422, {"detail": "Invalid thread ID: must be a UUID"})
    thread = await make(api)
    for suffix in ("7", "7/join"):
        answer = await api.get(f"/threads/{thread['thread_id']}/runs/{suffix}")
        assert (answer.status_code, answer.json()) == (422, {"detail": "Invalid run ID: must be a UUID"})


async def test_delete_takes_runs_crons_and_checkpoints_along(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = (await make(api))["thread_id"]
    path = f"/threads/{thread_id}"
    await api.post(f"{path}/runs", json={"assistant_id": "agent"})
    cron = await api.post(f"{path}/runs/crons", json={"assistant_id": "agent", "schedule": "0 9 * * *"})
    assert cron.status_code == 200
    execute(
        database_uri,
        "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES (%s, '1', '{}')", thread_id,
    )  # fmt: skip

    answer = await api.delete(path)

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await api.delete(path)).status_code == 404
    for table in ("thread", "run", "cron", "checkpoints"):
        assert fetch(database_uri, f"SELECT 1 FROM {table}") == []  # noqa: S608 - names from above


async def test_search_filters_sorts_and_counts(api: httpx.AsyncClient, database_uri: str) -> None:
    made = [await make(api, metadata={"n": n, "even": n % 2 == 0}) for n in range(5)]
    ids = [thread["thread_id"] for thread in made]
    hide(database_uri, (await make(api, metadata={"even": True}))["thread_id"])
    values = '{"a": {"b": 1, "c": 2}}'
    execute(database_uri, "UPDATE thread SET values = %s, status = 'error' WHERE thread_id = %s", values, ids[3])

    async def search(**fields: Any) -> list[str]:
        answer = await api.post("/threads/search", json=fields)
        assert answer.status_code == 200, answer.text
        return [thread["thread_id"] for thread in answer.json()]

    assert await search() == ids[::-1]
    assert await search(sort_order="asc") == ids
    assert await search(sort_by="state_updated_at", sort_order="asc") == ids
    assert await search(metadata={"even": True}) == [ids[4], ids[2], ids[0]]
    assert await search(metadata={"n": "1"}) == []
    assert await search(values={"a": {"b": 1}}) == [ids[3]]
    assert await search(values={"a": {"b": 2}}) == []
    assert await search(status="error") == [ids[3]]
    assert await search(ids=[ids[1], UNKNOWN]) == [ids[1]]
    assert await search(ids=[]) == []
    assert await search(limit=2, offset=1) == [ids[3], ids[2]]
    page = await api.post("/threads/search", json={"limit": 2, "offset": 2})
    assert page.headers["x-pagination-total"] == "5"
    assert page.headers["x-pagination-next"] == "4"
    assert "x-pagination-next" not in (await api.post("/threads/search", json={"limit": 2, "offset": 3})).headers
    assert (await api.post("/threads/count", json={})).json() == 5
    assert (await api.post("/threads/count", json={"metadata": {"even": False}, "status": "error"})).json() == 1
    assert (await api.post("/threads/count", json={"values": {"a": {}}})).json() == 1


async def test_search_gives_selected_fields_and_extracted_parts(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = (await make(api, metadata={"a": {"b": [1, 2]}}))["thread_id"]
    execute(
        database_uri, 'UPDATE thread SET values = \'{"messages": [{"content": "x"}, {"content": "y"}]}\''
    )  # fmt: skip
    extract = {"last": "values.messages[-1].content", "b": "metadata.a.b[0]", "none": "values.messages[7].content"}

    selected = await api.post("/threads/search", json={"select": ["thread_id", "status"]})
    extracted = await api.post("/threads/search", json={"select": ["thread_id"], "extract": extract})

    assert selected.json() == [{"thread_id": thread_id, "status": "idle"}]
    assert extracted.json() == [{"thread_id": thread_id, "extracted": {"last": "y", "b": 1, "none": None}}]


@pytest.mark.parametrize(
    "fields",
    [
        {"limit": 0}, {"limit": 1001}, {"limit": "1"}, {"offset": -1}, {"offset": 2**63}, {"status": "asleep"},
        {"metadata": "x"}, {"values": []}, {"ids": ["7"]}, {"ids": "7"}, {"sort_by": "name"}, {"sort_order": "up"},
        {"select": ["secret"]}, {"select": "thread_id"}, {"extract": {"a": "kwargs.x"}},
        {"extract": {"a": "values..x"}},
        {"extract": {"a": "values.x[a]"}}, {"extract": {str(n): "values.x" for n in range(11)}}, {"extract": {"a": ""}},
        {"extract": {"a": 1}}, {"metadata": None},
    ],
)  # fmt: skip
async def test_search_that_does_not_fit_is_422(api: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    answer = await api.post("/threads/search", json=fields)

    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize(
    "fields", [{}, {"thread_ids": "x"}, {"thread_ids": ["7"]}, {"thread_ids": [], "strategy": "x"}]
)
async def test_prune_that_does_not_fit_is_422(api: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    assert (await api.post("/threads/prune", json=fields)).status_code == 422


async def test_prune_deletes_the_threads_that_are_there(api: httpx.AsyncClient, database_uri: str) -> None:
    ids = [(await make(api))["thread_id"] for _ in range(3)]
    hide(database_uri, ids[2])

    answer = await api.post("/threads/prune", json={"thread_ids": [*ids[1:], ids[1], UNKNOWN]})

    assert answer.json() == {"pruned_count": 1}
    assert (await api.get(f"/threads/{ids[0]}")).status_code == 200
    assert (await api.get(f"/threads/{ids[1]}")).status_code == 404


async def test_copy_of_an_unknown_thread_is_404(api: httpx.AsyncClient) -> None:
    assert (await api.post(f"/threads/{UNKNOWN}/copy")).status_code == 404
