"""Crons over HTTP: what is stored, what comes back, what beat is told, and what a change owes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
import redis.asyncio

from api_setting import AGENT_ID, contents, execute, fetch, open_api, services_of, settings
from ostinato_api import crons
from ostinato_api.dependencies import Services
from ostinato_api.schemas.crons import CronCreate
from ostinato_shared.task_names import WAKE_CHANNEL

CRON: dict[str, Any] = {"assistant_id": "agent", "schedule": "0 9 * * *"}


@pytest.fixture
async def api(database_uri: str, redis_uri: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with open_api(settings(database_uri, redis_uri, tmp_path)) as client:
        yield client


async def make(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await api.post("/runs/crons", json={**CRON, **fields})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def change(api: httpx.AsyncClient, cron: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = await api.patch(f"/runs/crons/{cron['cron_id']}", json=fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def make_thread(database_uri: str, **metadata: str) -> str:
    thread_id = str(uuid4())
    execute(
        database_uri,
        "INSERT INTO thread (thread_id, metadata) VALUES (%s, %s)",
        thread_id,
        psycopg.types.json.Jsonb(metadata),
    )
    return thread_id


async def test_a_new_cron_comes_back_as_the_contract_shows_it(api: httpx.AsyncClient) -> None:
    body = {
        "assistant_id": "agent", "schedule": "0 9 * * *", "timezone": "America/New_York", "input": {"messages": []},
        "metadata": {"k": "v"}, "unknown": [1],
    }  # fmt: skip

    cron = await make(api, **body)

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
    cron = await make(api, metadata={"name": " daily\nnews ", "ostinato": {}})

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

    cron = await make(api, **options)

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
    assert (await change(api, cron, on_run_completed="delete"))["on_run_completed"] is None


async def test_a_thread_in_the_body_of_the_stateless_route_is_ignored(api: httpx.AsyncClient) -> None:
    cron = await make(api, thread_id=str(uuid4()))

    assert cron["thread_id"] is None


async def test_an_end_is_given_back_as_an_instant(api: httpx.AsyncClient) -> None:
    with_offset = await make(api, end_time="2090-01-31T12:00:00.5+02:00")
    without = await make(api, end_time="2090-01-31 12:00:00")

    assert with_offset["end_time"] == "2090-01-31T10:00:00.500000+00:00"
    assert without["end_time"] == "2090-01-31T12:00:00+00:00"


@pytest.mark.parametrize("end", ["2001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
async def test_a_cron_past_its_end_never_fires_and_can_be_revived(api: httpx.AsyncClient, end: str) -> None:
    cron = await make(api, end_time=end)

    revived = await change(api, cron, end_time=None)

    assert cron["next_run_date"] is None
    assert revived["end_time"] is None
    assert revived["next_run_date"] is not None
    assert "end_time" not in revived["payload"]
    assert (await change(api, cron, end_time="9999-12-31T23:59:59Z"))["next_run_date"] == revived["next_run_date"]


async def test_beat_is_woken_after_the_commit_of_every_write(
    api: httpx.AsyncClient, redis_uri: str, database_uri: str
) -> None:
    async with redis.asyncio.Redis.from_url(redis_uri) as listener, listener.pubsub() as channel:
        await channel.subscribe(WAKE_CHANNEL)
        await channel.get_message(timeout=5)

        cron = await make(api)
        assert await channel.get_message(timeout=5) is not None
        await change(api, cron, enabled=False)
        assert await channel.get_message(timeout=5) is not None
        await api.delete(f"/runs/crons/{cron['cron_id']}")
        assert await channel.get_message(timeout=5) is not None
    assert len(fetch(database_uri, "SELECT FROM outbox")) == 3


async def test_a_redis_that_is_away_fails_no_request(database_uri: str, tmp_path: Path) -> None:
    async with open_api(settings(database_uri, "redis://127.0.0.1:1/0", tmp_path)) as api:
        cron = await make(api)

        assert (await change(api, cron, enabled=False))["enabled"] is False


async def test_schedule_and_zone_move_the_next_run(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api, metadata={"k": "v"})

    every_second = await change(api, cron, schedule="* * * * * *")
    zoned = await change(api, cron, schedule="0 9 * * *", timezone="Asia/Tokyo")

    assert datetime.fromisoformat(every_second["next_run_date"]) - datetime.now(UTC) < timedelta(seconds=2)
    assert datetime.fromisoformat(zoned["next_run_date"]).hour == 0
    assert (zoned["payload"]["schedule"], zoned["payload"]["timezone"]) == ("0 9 * * *", "Asia/Tokyo")
    assert zoned["updated_at"] > every_second["updated_at"] > cron["updated_at"]
    assert zoned["created_at"] == cron["created_at"]
    assert [row["revision"] for row in fetch(database_uri, "SELECT revision FROM cron")] == [3]


async def test_a_change_of_the_payload_moves_nothing(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api)

    changed = await change(api, cron, input={"n": 1}, stream_mode="updates", durability="sync", enabled=True)

    assert changed["next_run_date"] == cron["next_run_date"]
    assert changed["payload"]["input"] == {"n": 1}
    assert changed["payload"]["stream_mode"] == "updates"
    assert [row["revision"] for row in fetch(database_uri, "SELECT revision FROM cron")] == [1]
    assert len(fetch(database_uri, "SELECT FROM outbox")) == 2


async def test_metadata_is_merged_everywhere(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api, metadata={"k": "v", "name": "old", "ostinato": {}})

    changed = await change(api, cron, metadata={"name": "new", "more": {"a": 1}, "ostinato": None})

    assert changed["metadata"] == {"k": "v", "name": "new", "more": {"a": 1}}
    assert changed["payload"]["metadata"] == changed["metadata"]
    assert fetch(database_uri, "SELECT name FROM cron") == [{"name": "new"}]


async def test_input_config_and_context_replace(api: httpx.AsyncClient) -> None:
    cron = await make(api, input={"a": 1}, config={"tags": ["x"], "configurable": {"m": 1}})

    configured = await change(api, cron, input={"b": 2}, config={"recursion_limit": 5})
    with_context = await change(api, cron, context={"c": 3})

    assert configured["payload"]["input"] == {"b": 2}
    assert configured["payload"]["config"] == {"recursion_limit": 5, "configurable": {"cron_id": cron["cron_id"]}}
    assert with_context["payload"]["context"] == {"c": 3}
    assert with_context["payload"]["config"] == configured["payload"]["config"]


async def test_a_cron_never_changes_owner(api: httpx.AsyncClient) -> None:
    cron = await make(api)

    changed = await change(api, cron, assistant_id="other", cron_id=str(uuid4()), thread_id=str(uuid4()), user_id="me")

    assert {**changed, "updated_at": None} == {**cron, "updated_at": None}


async def test_switching_off_keeps_the_date_and_switching_on_counts_from_now(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    cron = await make(api, schedule="* * * * *")

    off = await change(api, cron, enabled=False)
    execute(database_uri, "UPDATE cron SET next_run_date = '2020-01-01T00:00:00Z'")
    on = await change(api, cron, enabled=True)

    assert off["next_run_date"] == cron["next_run_date"]
    assert datetime.fromisoformat(on["next_run_date"]) > datetime.now(UTC)
    assert fetch(database_uri, "SELECT FROM firing") == []


@pytest.mark.parametrize(
    "fields",
    [{"schedule": "0 0 1 1 *"}, {"timezone": "Asia/Tokyo"}, {"end_time": "2090-01-01T00:00:00Z"}, {"enabled": False}],
)
async def test_a_fire_time_that_had_come_stays_owed(
    api: httpx.AsyncClient, database_uri: str, fields: dict[str, Any]
) -> None:
    cron = await make(api, schedule="* * * * *", metadata={"name": "owed"})
    execute(
        database_uri, "UPDATE cron SET next_run_date = date_trunc('second', clock_timestamp() - interval '1 second')"
    )
    owed = fetch(database_uri, "SELECT next_run_date FROM cron")[0]["next_run_date"]

    changed = await change(api, cron, **fields)

    rows = fetch(
        database_uri, "SELECT fire_time, outcome, trigger, cron_revision, name, assistant_id::text FROM firing"
    )
    assert rows == [
        {"fire_time": owed, "outcome": "due", "trigger": "schedule", "cron_revision": 1, "name": "owed",
         "assistant_id": AGENT_ID}
    ]  # fmt: skip
    assert changed["enabled"] is False or datetime.fromisoformat(changed["next_run_date"]) > datetime.now(UTC)


async def test_a_change_of_the_input_leaves_dispatch_to_beat(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api)
    execute(database_uri, "UPDATE cron SET next_run_date = date_trunc('second', clock_timestamp())")
    date = fetch(database_uri, "SELECT next_run_date FROM cron")

    await change(api, cron, input={"n": 1})

    assert fetch(database_uri, "SELECT FROM firing") == []
    assert fetch(database_uri, "SELECT next_run_date FROM cron") == date


async def test_every_second_that_had_come_stays_owed(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api, schedule="* * * * * *")
    execute(
        database_uri, "UPDATE cron SET next_run_date = date_trunc('second', clock_timestamp() - interval '4 seconds')"
    )

    await change(api, cron, schedule="0 0 1 1 *")

    rows = fetch(database_uri, "SELECT fire_time, outcome FROM firing ORDER BY fire_time")
    assert {row["outcome"] for row in rows} == {"due"}
    assert len(rows) in {5, 6}
    steps = {b["fire_time"] - a["fire_time"] for a, b in pairwise(rows)}
    assert steps == {timedelta(seconds=1)}


async def test_what_was_missed_for_long_is_one_catch_up_and_one_gap(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api, schedule="* * * * *")
    execute(database_uri, "UPDATE cron SET next_run_date = date_trunc('minute', clock_timestamp() - interval '1 hour')")

    await change(api, cron, schedule="0 0 1 1 *")

    first, gap = fetch(database_uri, "SELECT * FROM firing ORDER BY fire_time")
    assert (first["outcome"], first["trigger"]) == ("due", "catchup")
    assert (gap["outcome"], gap["reason"], gap["fire_time"]) == (
        "skipped",
        "missed",
        first["fire_time"] + timedelta(minutes=1),
    )
    assert datetime.now(UTC) - gap["missed_until"] < timedelta(seconds=30)


async def test_a_fire_time_that_beat_has_written_already_stays_beats(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api)
    execute(database_uri, "UPDATE cron SET next_run_date = date_trunc('second', clock_timestamp())")
    execute(
        database_uri,
        "INSERT INTO firing (firing_id, cron_id, fire_time, outcome, trigger, cron_revision, assistant_id) "
        "SELECT gen_random_uuid(), cron_id, next_run_date, 'success', 'schedule', 1, assistant_id FROM cron",
    )

    await change(api, cron, enabled=False)

    assert [row["outcome"] for row in fetch(database_uri, "SELECT outcome FROM firing")] == ["success"]


async def test_a_definition_that_cannot_be_evaluated_can_be_mended(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api)
    execute(
        database_uri, "UPDATE cron SET schedule = 'broken', next_run_date = date_trunc('second', clock_timestamp())"
    )

    mended = await change(api, cron, schedule="* * * * *")

    assert mended["schedule"] == "* * * * *"
    assert len(fetch(database_uri, "SELECT FROM firing")) == 1


async def test_deletion_tells_beat_and_leaves_runs_alone(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api)
    thread_id = make_thread(database_uri)
    execute(
        database_uri,
        "INSERT INTO run (run_id, thread_id, assistant_id, graph_id, status, metadata, kwargs, multitask_strategy, "
        "on_completion, cron_id) VALUES (%s, %s, %s, 'agent', 'pending', '{}', '{}', 'enqueue', 'keep', %s)",
        uuid4(), thread_id, AGENT_ID, cron["cron_id"],
    )  # fmt: skip
    execute(database_uri, "UPDATE cron SET next_run_date = date_trunc('second', clock_timestamp())")

    answer = await api.delete(f"/runs/crons/{cron['cron_id']}")

    assert (answer.status_code, answer.content) == (204, b"")
    stored = contents(database_uri)
    assert stored["cron"] == []
    assert [row["kind"] for row in stored["cron_event"]] == ["created", "deleted"]
    assert len(stored["outbox"]) == 2
    assert [(row["outcome"], row["reason"]) for row in stored["firing"]] == [("skipped", "deleted")]
    assert len(stored["run"]) == len(stored["thread"]) == 1


async def test_changes_at_the_same_time_lose_no_update(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api)

    await asyncio.gather(
        *(change(api, cron, metadata={f"k{n}": n}) for n in range(8)),
        *(change(api, cron, schedule=f"{n} * * * *") for n in range(8)),
    )

    stored = (await api.get(f"/runs/crons/{cron['cron_id']}")).json()
    assert stored["metadata"] == stored["payload"]["metadata"] == {f"k{n}": n for n in range(8)}
    assert fetch(database_uri, "SELECT revision FROM cron") == [{"revision": 9}]
    assert len(fetch(database_uri, "SELECT FROM cron_event")) == 17


async def test_a_change_and_a_deletion_at_the_same_time_leave_nothing_behind(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    for _ in range(5):
        cron = await make(api)
        path = f"/runs/crons/{cron['cron_id']}"

        answers = await asyncio.gather(
            api.delete(path), api.patch(path, json={"schedule": "* * * * *"}), api.delete(path), api.get(path)
        )

        assert sorted(answer.status_code for answer in (answers[0], answers[2])) == [204, 404]
        assert answers[1].status_code in {200, 404}
        assert fetch(database_uri, "SELECT FROM cron") == []


async def test_a_cron_put_on_a_thread_that_is_being_deleted_goes_with_it(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    thread_id = make_thread(database_uri)
    services = services_of(api)
    body = CronCreate.model_validate(CRON)

    async with services.pool.connection() as connection:
        async with services.sessions.begin() as session:
            cron = await crons.create(session, body, thread_id=UUID(thread_id), user_id="")
            await session.flush()
            deletion = asyncio.create_task(
                connection.execute("SELECT ostinato_delete_thread(%s, false) AS gone", (thread_id,))
            )
            await until_blocked(services, connection.info.backend_pid)
        gone = await (await deletion).fetchone()

    assert gone == {"gone": True}
    stored = contents(database_uri)
    assert stored["cron"] == stored["thread"] == []
    assert [(row["cron_id"], row["kind"]) for row in stored["cron_event"]] == [
        (cron.cron_id, "created"), (cron.cron_id, "deleted"),
    ]  # fmt: skip
    assert len(stored["outbox"]) == 2


async def until_blocked(services: Services, pid: int) -> None:
    """Return when a connection waits for somebody's lock."""
    waits = {"blocked": False}
    async with services.pool.connection() as connection:
        while not waits["blocked"]:
            asked = await connection.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0 AS blocked", (pid,))
            waits = await asked.fetchone() or waits


async def test_deleting_a_thread_settles_what_its_crons_owed(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = make_thread(database_uri)
    await api.post(f"/threads/{thread_id}/runs/crons", json=CRON)
    execute(database_uri, "UPDATE cron SET next_run_date = date_trunc('second', clock_timestamp())")

    answer = await api.delete(f"/threads/{thread_id}")

    assert answer.status_code == 204
    stored = contents(database_uri)
    assert stored["cron"] == stored["thread"] == []
    assert [(row["outcome"], row["reason"]) for row in stored["firing"]] == [("skipped", "deleted")]


async def fill(api: httpx.AsyncClient, database_uri: str) -> tuple[list[dict[str, Any]], str]:
    thread_id = make_thread(database_uri)
    on_thread = await api.post(
        f"/threads/{thread_id}/runs/crons", json={**CRON, "metadata": {"n": 0, "deep": {"a": 1, "b": 2}}}
    )
    return [
        on_thread.json(),
        await make(api, assistant_id="other", enabled=False, metadata={"n": 1}),
        await make(api, end_time="2001-01-01T00:00:00Z", metadata={"n": "1"}),
        await make(api, end_time="2090-01-01T00:00:00Z"),
    ], thread_id


async def test_search_filters_and_counts(api: httpx.AsyncClient, database_uri: str) -> None:
    made, thread_id = await fill(api, database_uri)
    filters: list[tuple[dict[str, Any], set[int]]] = [
        ({}, {0, 1, 2, 3}), ({"assistant_id": "other"}, {1}), ({"assistant_id": AGENT_ID}, {0, 2, 3}),
        ({"assistant_id": AGENT_ID.upper()}, {0, 2, 3}), ({"assistant_id": str(uuid4())}, set()),
        ({"assistant_id": "nobody"}, set()), ({"thread_id": thread_id}, {0}), ({"thread_id": str(uuid4())}, set()),
        ({"enabled": False}, {1}), ({"enabled": True}, {0, 2, 3}), ({"metadata": {"n": 1}}, {1}),
        ({"metadata": {"n": "1"}}, {2}), ({"metadata": {"deep": {"a": 1}}}, {0}), ({"metadata": {}}, {0, 1, 2, 3}),
        ({"metadata": {"n": None}}, set()), ({"assistant_id": "agent", "enabled": True, "metadata": {"n": 0}}, {0}),
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
        await make(api)

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
    cron = await make(api, metadata={"k": "v"})
    every = [
        "cron_id", "assistant_id", "thread_id", "end_time", "schedule", "timezone", "created_at", "updated_at",
        "user_id", "payload", "next_run_date", "metadata", "on_run_completed", "enabled",
    ]  # fmt: skip

    two = await api.post("/runs/crons/search", json={"select": ["cron_id", "metadata"]})
    all_named = await api.post("/runs/crons/search", json={"select": every})
    none_named = await api.post("/runs/crons/search", json={"select": []})

    assert two.json() == [{"cron_id": cron["cron_id"], "metadata": {"k": "v"}}]
    assert all_named.json() == none_named.json() == [cron]
