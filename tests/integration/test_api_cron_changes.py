"""Changing and deleting crons: what moves, what stays owed, and what happens at the same time."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from api_setting import (
    AGENT_ID,
    change_cron,
    contents,
    execute,
    fetch,
    make_cron,
    make_thread,
    services_of,
)
from ostinato_api import crons
from ostinato_api.dependencies import Services
from ostinato_api.schemas.crons import CronCreate

CRON: dict[str, Any] = {"assistant_id": "agent", "schedule": "0 9 * * *"}


async def test_schedule_and_zone_move_the_next_run(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, metadata={"k": "v"})

    every_second = await change_cron(api, cron, schedule="* * * * * *")
    zoned = await change_cron(api, cron, schedule="0 9 * * *", timezone="Asia/Tokyo")

    assert datetime.fromisoformat(every_second["next_run_date"]) - datetime.now(UTC) < timedelta(seconds=2)
    assert datetime.fromisoformat(zoned["next_run_date"]).hour == 0
    assert (zoned["payload"]["schedule"], zoned["payload"]["timezone"]) == ("0 9 * * *", "Asia/Tokyo")
    assert zoned["updated_at"] > every_second["updated_at"] > cron["updated_at"]
    assert zoned["created_at"] == cron["created_at"]
    assert [row["revision"] for row in fetch(database_uri, "SELECT revision FROM cron")] == [3]


async def test_a_change_of_the_payload_moves_nothing(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api)

    changed = await change_cron(api, cron, input={"n": 1}, stream_mode="updates", durability="sync", enabled=True)

    assert changed["next_run_date"] == cron["next_run_date"]
    assert changed["payload"]["input"] == {"n": 1}
    assert changed["payload"]["stream_mode"] == "updates"
    assert [row["revision"] for row in fetch(database_uri, "SELECT revision FROM cron")] == [1]
    assert len(fetch(database_uri, "SELECT FROM outbox")) == 2


async def test_metadata_is_merged_everywhere(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, metadata={"k": "v", "name": "old", "ostinato": {}})

    changed = await change_cron(api, cron, metadata={"name": "new", "more": {"a": 1}, "ostinato": None})

    assert changed["metadata"] == {"k": "v", "name": "new", "more": {"a": 1}}
    assert changed["payload"]["metadata"] == changed["metadata"]
    assert fetch(database_uri, "SELECT name FROM cron") == [{"name": "new"}]


async def test_input_config_and_context_replace(api: httpx.AsyncClient) -> None:
    cron = await make_cron(api, input={"a": 1}, config={"tags": ["x"], "configurable": {"m": 1}})

    configured = await change_cron(api, cron, input={"b": 2}, config={"recursion_limit": 5})
    with_context = await change_cron(api, cron, context={"c": 3})

    assert configured["payload"]["input"] == {"b": 2}
    assert configured["payload"]["config"] == {"recursion_limit": 5, "configurable": {"cron_id": cron["cron_id"]}}
    assert with_context["payload"]["context"] == {"c": 3}
    assert with_context["payload"]["config"] == configured["payload"]["config"]


async def test_a_cron_never_changes_owner(api: httpx.AsyncClient) -> None:
    cron = await make_cron(api)

    changed = await change_cron(
        api, cron, assistant_id="other", cron_id=str(uuid4()), thread_id=str(uuid4()), user_id="me"
    )

    assert {**changed, "updated_at": None} == {**cron, "updated_at": None}


async def test_switching_off_keeps_the_date_and_switching_on_counts_from_now(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    cron = await make_cron(api, schedule="@yearly")

    off = await change_cron(api, cron, enabled=False)
    execute(database_uri, "UPDATE cron SET next_run_date = '2020-01-01T00:00:00Z'")
    on = await change_cron(api, cron, enabled=True)

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
    cron = await make_cron(api, schedule="@yearly", metadata={"name": "owed"})
    execute(
        database_uri, "UPDATE cron SET next_run_date = date_trunc('second', clock_timestamp() - interval '1 second')"
    )
    owed = fetch(database_uri, "SELECT next_run_date FROM cron")[0]["next_run_date"]

    changed = await change_cron(api, cron, **fields)

    rows = fetch(
        database_uri, "SELECT fire_time, outcome, trigger, cron_revision, name, assistant_id::text FROM firing"
    )
    assert rows == [
        {"fire_time": owed, "outcome": "due", "trigger": "schedule", "cron_revision": 1, "name": "owed",
         "assistant_id": AGENT_ID}
    ]  # fmt: skip
    assert changed["enabled"] is False or datetime.fromisoformat(changed["next_run_date"]) > datetime.now(UTC)


async def test_a_change_of_the_input_leaves_dispatch_to_beat(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api)
    execute(database_uri, "UPDATE cron SET next_run_date = date_trunc('second', clock_timestamp())")
    date = fetch(database_uri, "SELECT next_run_date FROM cron")

    await change_cron(api, cron, input={"n": 1})

    assert fetch(database_uri, "SELECT FROM firing") == []
    assert fetch(database_uri, "SELECT next_run_date FROM cron") == date


async def test_every_second_that_had_come_stays_owed(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, schedule="* * * * * *")
    execute(
        database_uri, "UPDATE cron SET next_run_date = date_trunc('second', clock_timestamp() - interval '4 seconds')"
    )

    await change_cron(api, cron, schedule="0 0 1 1 *")

    rows = fetch(database_uri, "SELECT fire_time, outcome FROM firing ORDER BY fire_time")
    assert {row["outcome"] for row in rows} == {"due"}
    assert len(rows) >= 5
    steps = {b["fire_time"] - a["fire_time"] for a, b in pairwise(rows)}
    assert steps == {timedelta(seconds=1)}


async def test_what_was_missed_for_long_is_one_catch_up_and_one_gap(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, schedule="* * * * *")
    execute(database_uri, "UPDATE cron SET next_run_date = date_trunc('minute', clock_timestamp() - interval '1 hour')")

    await change_cron(api, cron, schedule="0 0 1 1 *")

    first, gap = fetch(database_uri, "SELECT * FROM firing ORDER BY fire_time")
    assert (first["outcome"], first["trigger"]) == ("due", "catchup")
    assert (gap["outcome"], gap["reason"], gap["fire_time"]) == (
        "skipped",
        "missed",
        first["fire_time"] + timedelta(minutes=1),
    )
    assert datetime.now(UTC) - gap["missed_until"] < timedelta(seconds=30)


async def test_a_fire_time_that_beat_has_written_already_stays_beats(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api)
    execute(database_uri, "UPDATE cron SET next_run_date = date_trunc('second', clock_timestamp())")
    execute(
        database_uri,
        "INSERT INTO firing (firing_id, cron_id, fire_time, outcome, trigger, cron_revision, assistant_id) "
        "SELECT gen_random_uuid(), cron_id, next_run_date, 'success', 'schedule', 1, assistant_id FROM cron",
    )

    await change_cron(api, cron, enabled=False)

    assert [row["outcome"] for row in fetch(database_uri, "SELECT outcome FROM firing")] == ["success"]


async def test_a_definition_that_cannot_be_evaluated_can_be_mended(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api)
    execute(
        database_uri, "UPDATE cron SET schedule = 'broken', next_run_date = date_trunc('second', clock_timestamp())"
    )

    mended = await change_cron(api, cron, schedule="* * * * *")

    assert mended["schedule"] == "* * * * *"
    assert len(fetch(database_uri, "SELECT FROM firing")) == 1


async def test_deletion_tells_beat_and_leaves_runs_alone(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api)
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
    cron = await make_cron(api)

    await asyncio.gather(
        *(change_cron(api, cron, metadata={f"k{n}": n}) for n in range(8)),
        *(change_cron(api, cron, schedule=f"{n} * * * *") for n in range(8)),
    )

    stored = (await api.get(f"/runs/crons/{cron['cron_id']}")).json()
    assert stored["metadata"] == stored["payload"]["metadata"] == {f"k{n}": n for n in range(8)}
    assert fetch(database_uri, "SELECT revision FROM cron") == [{"revision": 9}]
    assert len(fetch(database_uri, "SELECT FROM cron_event")) == 17


async def test_a_change_and_a_deletion_at_the_same_time_leave_nothing_behind(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    for _ in range(5):
        cron = await make_cron(api)
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
