"""Crons over HTTP: what is stored, what comes back, what beat is told, and what a search finds."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import redis.asyncio

from api_setting import AGENT_ID, change_cron, contents, execute, fetch, make_cron, make_thread, open_api, settings
from ostinato_shared.task_names import WAKE_CHANNEL

CRON: dict[str, Any] = {"assistant_id": "agent", "schedule": "0 9 * * *"}


async def test_a_new_cron_comes_back_as_the_contract_shows_it(api: httpx.AsyncClient) -> None:
    body = {
        "assistant_id": "agent", "schedule": "0 9 * * *", "timezone": "America/New_York", "input": {"messages": []},
        "metadata": {"k": "v"}, "unknown": [1],
    }  # fmt: skip

    cron = await make_cron(api, **body)

    cron_id = cron["cron_id"]
    assert cron == {
        "cron_id": str(UUID(cron_id)), "assistant_id": AGENT_ID, "thread_id": None, "user_id": "",
        "schedule": "0 9 * * *", "timezone": "America/New_York", "end_time": None,
        "next_run_date": cron["next_run_date"], "enabled": True, "on_run_completed": "delete", "metadata": {"k": "v"},
        "payload": {**body, "assistant_id": AGENT_ID, "config": {"configurable": {"cron_id": cron_id}}},
        "created_at": cron["created_at"], "updated_at": cron["created_at"],
    }  # fmt: skip
    assert UUID(cron_id).version == 7
    assert (await api.get(f"/runs/crons/{cron_id.upper()}")).json() == cron
    at = datetime.fromisoformat(cron["next_run_date"])
    assert cron["next_run_date"].endswith("+00:00")
    assert at - datetime.now(UTC) < timedelta(days=1)
    assert datetime.fromisoformat(cron["created_at"]) <= datetime.now(UTC)


async def test_creation_writes_cron_event_and_outbox(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, metadata={"name": " daily\nnews ", "ostinato": {}})

    stored = contents(database_uri)

    assert [row["name"] for row in stored["cron"]] == ["daily news"]
    assert [(row["kind"], row["revision"], row["snapshot"]) for row in stored["cron_event"]] == [("created", 1, cron)]
    assert [str(row["cron_id"]) for row in stored["outbox"]] == [cron["cron_id"]]


async def test_every_option_is_taken_and_echoed(api: httpx.AsyncClient) -> None:
    options = {
        "input": [{"a": 1}, {"b": 2}],
        "config": {"tags": ["t"], "recursion_limit": 7, "configurable": {"model": "m"}, "run_name": "kept"},
        "interrupt_before": "*",
        "interrupt_after": ["answer"],
        "on_run_completed": "keep",
        "multitask_strategy": "reject",
        "enabled": False,
        "stream_mode": ["values", "messages-tuple"],
        "stream_subgraphs": True,
        "stream_resumable": True,
        "durability": "exit",
        "checkpoint_during": True,
        "if_not_exists": "create",
    }

    cron = await make_cron(api, **options)

    configurable = {"model": "m", "cron_id": cron["cron_id"]}
    assert cron["payload"] == {
        **CRON, **options, "assistant_id": AGENT_ID, "config": {**options["config"], "configurable": configurable},  # type: ignore[dict-item]  # an object
    }  # fmt: skip
    assert cron["enabled"] is False
    assert cron["on_run_completed"] == "keep"


async def test_a_cron_on_a_thread_keeps_no_completion_rule(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = make_thread(database_uri)

    answer = await api.post(f"/threads/{thread_id.upper()}/runs/crons", json={**CRON, "on_run_completed": "keep"})

    cron = answer.json()
    assert (cron["thread_id"], cron["on_run_completed"]) == (thread_id, None)
    assert (await change_cron(api, cron, on_run_completed="delete"))["on_run_completed"] is None


async def test_a_thread_in_the_body_of_the_stateless_route_is_ignored(api: httpx.AsyncClient) -> None:
    cron = await make_cron(api, thread_id=str(uuid4()))

    assert cron["thread_id"] is None


async def test_an_end_is_given_back_as_an_instant(api: httpx.AsyncClient) -> None:
    with_offset = await make_cron(api, end_time="2090-01-31T12:00:00.5+02:00")
    without = await make_cron(api, end_time="2090-01-31 12:00:00")

    assert with_offset["end_time"] == "2090-01-31T10:00:00.500000+00:00"
    assert without["end_time"] == "2090-01-31T12:00:00+00:00"


@pytest.mark.parametrize("end", ["2001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
async def test_a_cron_past_its_end_never_fires_and_can_be_revived(api: httpx.AsyncClient, end: str) -> None:
    cron = await make_cron(api, end_time=end)

    revived = await change_cron(api, cron, end_time=None)

    assert cron["next_run_date"] is None
    assert revived["end_time"] is None
    assert revived["next_run_date"] is not None
    assert "end_time" not in revived["payload"]
    assert (await change_cron(api, cron, end_time="9999-12-31T23:59:59Z"))["next_run_date"] == revived["next_run_date"]


async def test_beat_is_woken_after_the_commit_of_every_write(
    api: httpx.AsyncClient, redis_uri: str, database_uri: str
) -> None:
    async with redis.asyncio.Redis.from_url(redis_uri) as listener, listener.pubsub() as channel:
        await channel.subscribe(WAKE_CHANNEL)
        await channel.get_message(timeout=5)

        cron = await make_cron(api)
        assert await channel.get_message(timeout=5) is not None
        await change_cron(api, cron, enabled=False)
        assert await channel.get_message(timeout=5) is not None
        await api.delete(f"/runs/crons/{cron['cron_id']}")
        assert await channel.get_message(timeout=5) is not None
    assert len(fetch(database_uri, "SELECT FROM outbox")) == 3


async def test_a_redis_that_is_away_fails_no_request(database_uri: str, tmp_path: Path) -> None:
    async with open_api(settings(database_uri, "redis://127.0.0.1:1/0", tmp_path)) as api:
        cron = await make_cron(api)

        assert (await change_cron(api, cron, enabled=False))["enabled"] is False


async def fill(api: httpx.AsyncClient, database_uri: str) -> tuple[list[dict[str, Any]], str]:
    thread_id = make_thread(database_uri)
    on_thread = await api.post(
        f"/threads/{thread_id}/runs/crons", json={**CRON, "metadata": {"n": 0, "deep": {"a": 1, "b": 2}}}
    )
    return [
        on_thread.json(),
        await make_cron(api, assistant_id="other", enabled=False, metadata={"n": 1}),
        await make_cron(api, end_time="2001-01-01T00:00:00Z", metadata={"n": "1"}),
        await make_cron(api, end_time="2090-01-01T00:00:00Z"),
    ], thread_id


async def test_search_filters_and_counts(api: httpx.AsyncClient, database_uri: str) -> None:
    made, thread_id = await fill(api, database_uri)
    execute(database_uri, "UPDATE cron SET consecutive_failures = 2 WHERE cron_id = %s", made[2]["cron_id"])
    filters: list[tuple[dict[str, Any], set[int]]] = [
        ({}, {0, 1, 2, 3}), ({"assistant_id": "other"}, {1}), ({"assistant_id": AGENT_ID}, {0, 2, 3}),
        ({"assistant_id": AGENT_ID.upper()}, {0, 2, 3}), ({"assistant_id": str(uuid4())}, set()),
        ({"assistant_id": "nobody"}, set()), ({"thread_id": thread_id}, {0}), ({"thread_id": str(uuid4())}, set()),
        ({"enabled": False}, {1}), ({"enabled": True}, {0, 2, 3}), ({"metadata": {"n": 1}}, {1}),
        ({"metadata": {"n": "1"}}, {2}), ({"metadata": {"deep": {"a": 1}}}, {0}), ({"metadata": {}}, {0, 1, 2, 3}),
        ({"metadata": {"n": None}}, set()), ({"assistant_id": "agent", "enabled": True, "metadata": {"n": 0}}, {0}),
        ({"failing": True}, {2}), ({"failing": False, "enabled": True}, {0, 3}),
    ]  # fmt: skip

    for body, expected in filters:
        found = await api.post("/runs/crons/search", json=body)
        counted = await api.post("/runs/crons/count", json=body)

        assert {cron["cron_id"] for cron in found.json()} == {made[n]["cron_id"] for n in expected}, body
        assert counted.json() == len(expected), body
        assert found.headers["x-pagination-total"] == str(len(expected))


async def test_search_pages_with_true_totals(api: httpx.AsyncClient, database_uri: str) -> None:
    made, _ = await fill(api, database_uri)
    newest_first = [cron["cron_id"] for cron in reversed(made)]

    pages = [await api.post("/runs/crons/search", json={"limit": 3, "offset": offset}) for offset in (0, 3, 99)]

    assert [[cron["cron_id"] for cron in page.json()] for page in pages] == [newest_first[:3], newest_first[3:], []]
    assert [page.headers["x-pagination-total"] for page in pages] == ["4", "4", "4"]
    assert [page.headers.get("x-pagination-next") for page in pages] == ["3", None, None]


async def test_search_gives_ten_unless_told_otherwise(api: httpx.AsyncClient) -> None:
    for _ in range(11):
        await make_cron(api)

    page = await api.post("/runs/crons/search", json={})

    assert len(page.json()) == 10
    assert (page.headers["x-pagination-total"], page.headers["x-pagination-next"]) == ("11", "10")


@pytest.mark.parametrize(
    "field", ["cron_id", "assistant_id", "thread_id", "next_run_date", "end_time", "created_at", "updated_at"]
)
async def test_search_sorts_by_every_field(api: httpx.AsyncClient, database_uri: str, field: str) -> None:
    await fill(api, database_uri)

    ascending = (await api.post("/runs/crons/search", json={"sort_by": field, "sort_order": "asc"})).json()
    descending = (await api.post("/runs/crons/search", json={"sort_by": field})).json()

    values = [cron[field] for cron in ascending]
    given = [value for value in values if value is not None]
    assert values == sorted(given) + [None] * (len(values) - len(given))
    assert descending == ascending[::-1]


async def test_the_order_alone_is_by_creation(api: httpx.AsyncClient, database_uri: str) -> None:
    made, _ = await fill(api, database_uri)

    found = await api.post("/runs/crons/search", json={"sort_order": "asc"})

    assert [cron["cron_id"] for cron in found.json()] == [cron["cron_id"] for cron in made]


async def test_select_gives_only_the_fields_that_are_named(api: httpx.AsyncClient) -> None:
    cron = await make_cron(api, metadata={"k": "v"})
    every = [
        "cron_id", "assistant_id", "thread_id", "end_time", "schedule", "timezone", "created_at", "updated_at",
        "user_id", "payload", "next_run_date", "metadata", "on_run_completed", "enabled",
    ]  # fmt: skip

    two = await api.post("/runs/crons/search", json={"select": ["cron_id", "metadata"]})
    all_named = await api.post("/runs/crons/search", json={"select": every})
    none_named = await api.post("/runs/crons/search", json={"select": []})

    assert two.json() == [{"cron_id": cron["cron_id"], "metadata": {"k": "v"}}]
    assert all_named.json() == none_named.json() == [cron]
