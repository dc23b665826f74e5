"""Pause, resume and run now: what each moves, what each leaves, alone and at the same time."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from api_setting import change_cron, execute, fetch, make_cron, open_api, services_of, settings
from api_worker import open_worker, write_graphs
from beat_setting import TOKEN, held_ground
from ostinato_beat import sweeping
from ostinato_shared.task_names import LATE_QUEUE, QUEUE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from ostinato_shared.settings import Settings

RACERS = 16
STATUS = "SELECT paused_by, note, consecutive_failures, revision FROM cron"


@pytest.fixture
def place(database_uri: str, redis_uri: str, tmp_path: Path) -> Settings:
    return settings(database_uri, redis_uri, tmp_path).model_copy(update={"config": write_graphs(tmp_path)})


@pytest.fixture
async def api(place: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with open_api(place) as client:
        await services_of(client).redis.delete(QUEUE, LATE_QUEUE)
        yield client


async def act(api: httpx.AsyncClient, cron: dict[str, Any], what: str, **body: Any) -> Any:
    answer = await api.post(f"/runs/crons/{cron['cron_id']}/{what}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def firings_of(api: httpx.AsyncClient, cron: dict[str, Any]) -> list[dict[str, Any]]:
    return list((await api.get(f"/runs/crons/{cron['cron_id']}/firings")).json())


async def make(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    return await make_cron(api, **{"assistant_id": "steps", "input": {"parts": []}, **fields})


async def work(place: Settings) -> None:
    """Do what lies in the queue, in a thread: the worker has a loop of its own."""

    def once() -> None:
        with open_worker(place) as worker:
            worker.work()

    await asyncio.to_thread(once)


async def test_pause_stops_the_schedule_and_says_why_and_by_whom(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api)

    paused = await act(api, cron, "pause", note="The feed is down.")

    assert paused["enabled"] is paused["payload"]["enabled"] is False
    assert paused["next_run_date"] == cron["next_run_date"]
    assert fetch(database_uri, STATUS) == [
        {"paused_by": "user", "note": "The feed is down.", "consecutive_failures": 0, "revision": 2}
    ]
    assert len(fetch(database_uri, "SELECT FROM outbox")) == 2
    assert (await api.get(f"/runs/crons/{cron['cron_id']}")).json() == paused


async def test_pausing_again_changes_nothing_but_the_note(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api)
    first = await act(api, cron, "pause", note="one")

    again = await act(api, cron, "pause")
    other = await act(api, cron, "pause", note="two")

    assert again == first
    assert {**other, "updated_at": None} == {**first, "updated_at": None}
    assert [(row["note"], row["revision"]) for row in fetch(database_uri, STATUS)] == [("two", 2)]


async def test_what_had_come_before_the_pause_stays_owed(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api, schedule="@yearly")
    execute(
        database_uri, "UPDATE cron SET next_run_date = date_trunc('second', clock_timestamp() - interval '1 second')"
    )

    await act(api, cron, "pause")

    assert [(row["outcome"], row["trigger"]) for row in await firings_of(api, cron)] == [("due", "schedule")]


async def test_resume_counts_from_now_and_forgets_failures(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api, schedule="@yearly")
    await act(api, cron, "pause", note="gone")
    execute(
        database_uri,
        "UPDATE cron SET next_run_date = '2020-01-01T00:00:00Z', consecutive_failures = 5,"
        " paused_by = 'pause_after_failures'",
    )

    resumed = await act(api, cron, "resume", note="mended")
    again = await act(api, cron, "resume")

    assert resumed["enabled"] is resumed["payload"]["enabled"] is True
    assert datetime.fromisoformat(resumed["next_run_date"]) > datetime.now(UTC)
    assert again == resumed
    assert fetch(database_uri, STATUS) == [{"paused_by": None, "note": None, "consecutive_failures": 0, "revision": 3}]
    assert await firings_of(api, cron) == []
    events = (await api.get(f"/runs/crons/{cron['cron_id']}/events")).json()
    assert [(event["kind"], event["note"]) for event in events[:2]] == [("resumed", "mended"), ("paused", "gone")]


async def test_resume_after_the_end_has_no_next_run(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api, end_time="2030-01-01T00:00:00Z")
    await act(api, cron, "pause")
    execute(database_uri, "UPDATE cron SET end_time = '2020-01-01T00:00:00Z'")

    assert (await act(api, cron, "resume"))["next_run_date"] is None


async def test_a_cron_with_its_runs_used_up_is_not_resumed(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api)
    await act(api, cron, "pause")
    execute(database_uri, """UPDATE cron SET policy = '{"max_runs": 3}', run_count = 3""")

    answer = await api.post(f"/runs/crons/{cron['cron_id']}/resume")

    assert answer.status_code == 409
    assert "raise or remove metadata.ostinato.max_runs" in answer.json()["detail"]
    assert [row["enabled"] for row in fetch(database_uri, "SELECT enabled FROM cron")] == [False]


async def test_pause_and_resume_at_once_leave_a_whole_cron(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api)

    await asyncio.gather(*(act(api, cron, "pause" if n % 2 else "resume") for n in range(RACERS)))

    state = (await api.get(f"/runs/crons/{cron['cron_id']}")).json()
    switches = fetch(database_uri, "SELECT kind, revision FROM cron_event WHERE kind <> 'created' ORDER BY event_id")
    assert [row["revision"] for row in switches] == list(range(2, len(switches) + 2))
    assert [row["kind"] for row in switches] == [("paused", "resumed")[n % 2] for n in range(len(switches))]
    assert state["enabled"] == (len(switches) % 2 == 0)


@pytest.mark.parametrize(
    ("what", "body", "named"),
    [
        ("pause", {"note": 5}, "note: "),
        ("pause", {"note": "x" * 1001}, "note: "),
        ("resume", {"note": ["x"]}, "note: "),
        ("resume", [], "The request body must be a JSON object"),
        ("trigger", {"input": "text"}, "input: "),
        ("trigger", {"input": None}, "input: must not be null"),
        ("trigger", {"request_id": ""}, "request_id: "),
        ("trigger", {"request_id": "x" * 256}, "request_id: "),
        ("trigger", {"request_id": 7}, "request_id: "),
        ("trigger", {"request_id": "nul\0"}, "request_id: "),
    ],
)
async def test_acts_refuse_with_the_fields_name(
    api: httpx.AsyncClient, database_uri: str, what: str, body: Any, named: str
) -> None:
    cron = await make(api)

    answer = await api.post(f"/runs/crons/{cron['cron_id']}/{what}", json=body)

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(named)
    assert fetch(database_uri, "SELECT FROM firing") == []


async def test_acts_need_no_body(api: httpx.AsyncClient) -> None:
    cron = await make(api)

    for what in ("trigger", "pause", "resume"):
        answer = await api.post(f"/runs/crons/{cron['cron_id']}/{what}")
        assert answer.status_code == 200, answer.text


async def test_triggered_cron_runs_at_once_and_its_schedule_stays(
    api: httpx.AsyncClient, place: Settings, database_uri: str
) -> None:
    cron = await make(api, on_run_completed="keep", metadata={"name": "by hand"})

    firing = await act(api, cron, "trigger")
    await work(place)

    assert (firing["outcome"], firing["trigger"], firing["name"]) == ("due", "manual", "by hand")
    [row] = await firings_of(api, cron)
    assert (row["firing_id"], row["fire_time"], row["outcome"]) == (
        firing["firing_id"], firing["fire_time"], "success",
    )  # fmt: skip
    assert 0 <= row["lag_ms"] < 60_000
    thread = (await api.get(f"/threads/{row['thread_id']}")).json()
    assert thread["values"] == {"parts": ["first", "second"]}
    assert (await api.get(f"/runs/crons/{cron['cron_id']}")).json() == cron
    kinds = fetch(database_uri, "SELECT kind, snapshot ->> 'firing_id' AS firing_id FROM cron_event ORDER BY event_id")
    assert kinds[-1] == {"kind": "triggered", "firing_id": firing["firing_id"]}


async def test_trigger_works_on_a_paused_cron_and_leaves_it_paused(api: httpx.AsyncClient, place: Settings) -> None:
    cron = await make(api)
    paused = await act(api, cron, "pause")

    await act(api, cron, "trigger")
    await work(place)

    assert [row["outcome"] for row in await firings_of(api, cron)] == ["success"]
    assert (await api.get(f"/runs/crons/{cron['cron_id']}")).json() == paused


async def test_the_same_request_id_gives_the_same_firing_also_when_it_has_run(
    api: httpx.AsyncClient, place: Settings
) -> None:
    cron = await make(api)
    path = f"/runs/crons/{cron['cron_id']}/trigger"
    first = await act(api, cron, "trigger", request_id="once", input={"parts": ["x"]})
    await work(place)

    again = await api.post(path, json={"input": {"parts": ["x"]}}, headers={"Idempotency-Key": "once"})
    other = await api.post(path, json={"input": {"parts": ["y"]}, "request_id": "once"})
    both = await api.post(path, json={"request_id": "once"}, headers={"Idempotency-Key": "twice"})
    await api.delete(f"/runs/crons/{cron['cron_id']}")
    gone = await api.post(path, json={"request_id": "once", "input": {"parts": ["x"]}})

    assert (again.json()["firing_id"], again.json()["outcome"]) == (first["firing_id"], "success")
    assert other.status_code == 409
    assert "request_id" in other.json()["detail"]
    assert both.status_code == 422
    assert gone.json()["firing_id"] == first["firing_id"]
    assert len(await firings_of(api, cron)) == 1


async def test_a_given_input_is_for_this_run_only(api: httpx.AsyncClient, place: Settings, database_uri: str) -> None:
    cron = await make(api, on_run_completed="keep", input={"parts": ["own"]})

    await act(api, cron, "trigger", input={"parts": ["given"]})
    await work(place)
    await act(api, cron, "trigger")
    await work(place)

    own, given = await firings_of(api, cron)
    states = [(await api.get(f"/threads/{row['thread_id']}")).json()["values"]["parts"] for row in (given, own)]
    assert states == [["given", "first", "second"], ["own", "first", "second"]]
    assert fetch(database_uri, "SELECT FROM firing WHERE input IS NOT NULL") == []


async def test_without_a_request_id_each_trigger_is_one_of_its_own(api: httpx.AsyncClient) -> None:
    cron = await make(api)

    ids = {(await act(api, cron, "trigger"))["firing_id"] for _ in range(3)}

    assert len(ids) == 3
    assert await services_of(api).redis.llen(QUEUE) == 3


async def test_sixteen_triggers_with_one_request_id_make_one_row_and_one_run(
    api: httpx.AsyncClient, place: Settings, database_uri: str
) -> None:
    cron = await make(api, on_run_completed="keep")

    answers = await asyncio.gather(*(act(api, cron, "trigger", request_id="once") for _ in range(RACERS)))
    messages = int(await services_of(api).redis.llen(QUEUE))
    await asyncio.to_thread(_work_all_at_once, place, messages)

    assert len({answer["firing_id"] for answer in answers}) == 1
    assert [row["outcome"] for row in await firings_of(api, cron)] == ["success"]
    assert len(fetch(database_uri, "SELECT FROM run")) == 1
    assert len(fetch(database_uri, "SELECT FROM cron_event WHERE kind = 'triggered'")) == 1


def _work_all_at_once(place: Settings, messages: int) -> None:
    with open_worker(place) as worker:
        threads = [threading.Thread(target=worker.work) for _ in range(messages)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


async def test_a_trigger_whose_message_is_lost_is_sent_by_the_sweep(
    place: Settings, database_uri: str, redis_uri: str
) -> None:
    with held_ground(database_uri, redis_uri) as ground:
        async with open_api(place) as api:
            cron = await make(api)
            await act(api, cron, "trigger")
            assert ground.redis.delete(QUEUE) == 1
            sweeping.sweep(ground.connection, ground.redis, ground.store, TOKEN)
            assert ground.messages(LATE_QUEUE) == []
            execute(
                database_uri,
                "UPDATE firing SET fire_time = fire_time - interval '6 s', due_at = due_at - interval '6 s'",
            )

            sweeping.sweep(ground.connection, ground.redis, ground.store, TOKEN)
            await work(place)

            assert [(row["trigger"], row["outcome"]) for row in await firings_of(api, cron)] == [("manual", "success")]


async def test_a_cron_deleted_after_the_trigger_ends_in_a_skipped_row(api: httpx.AsyncClient, place: Settings) -> None:
    cron = await make(api)
    await act(api, cron, "trigger")
    await api.delete(f"/runs/crons/{cron['cron_id']}")

    await work(place)

    assert [(row["outcome"], row["reason"]) for row in await firings_of(api, cron)] == [("skipped", "deleted")]


async def test_a_patch_of_enabled_keeps_note_and_pauser_true(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make(api)

    await change_cron(api, cron, enabled=False)
    by_patch = fetch(database_uri, STATUS)
    await act(api, cron, "pause", note="why")
    await change_cron(api, cron, enabled=True)

    assert [row["paused_by"] for row in by_patch] == ["user"]
    assert [(row["paused_by"], row["note"]) for row in fetch(database_uri, STATUS)] == [(None, None)]
