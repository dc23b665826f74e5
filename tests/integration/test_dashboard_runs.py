"""The runs page: what it lists, in which segment, page by page; and its Cancel."""

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
from psycopg.types.json import Jsonb

from api_setting import AGENT_ID, BROWSER, HTMX, execute, fetch, make_cron, make_thread


def fire(database_uri: str, cron: dict[str, Any], outcome: str, *, minutes: int = 1, **columns: Any) -> str:
    """A firing of so long ago."""
    firing_id = str(uuid4())
    execute(
        database_uri,
        "INSERT INTO firing (firing_id, cron_id, fire_time, outcome, trigger, cron_revision, assistant_id)"
        " VALUES (%s, %s, now() - %s * interval '1 minute', %s, 'schedule', 1, %s)",
        *(firing_id, cron["cron_id"], minutes, outcome, AGENT_ID),
    )
    for name, value in columns.items():
        execute(database_uri, f"UPDATE firing SET {name} = %s WHERE firing_id = %s", value, firing_id)  # noqa: S608 - from below
    return firing_id


def run_on(database_uri: str, cron: dict[str, Any], thread_id: str, firing_id: str, status: str) -> str:
    """The run of a firing."""
    run_id = str(uuid4())
    execute(
        database_uri,
        "INSERT INTO run (run_id, thread_id, assistant_id, graph_id, status, metadata, kwargs, multitask_strategy,"
        " on_completion, cron_id, firing_id, started_at, owner) VALUES (%s, %s, %s, 'agent', %s, '{}', '{}',"
        " 'enqueue', 'keep', %s, %s, now(), %s)",
        *(run_id, thread_id, AGENT_ID, status, cron["cron_id"], firing_id, str(uuid4())),
    )
    execute(
        database_uri, "UPDATE firing SET run_id = %s, thread_id = %s, started_at = now() WHERE firing_id = %s",
        run_id, thread_id, firing_id,
    )  # fmt: skip
    return run_id


def ask(database_uri: str, thread_id: str, question: object) -> None:
    execute(
        database_uri, "UPDATE thread SET status = 'interrupted', interrupts = %s WHERE thread_id = %s",
        Jsonb({"task": [{"id": "i1", "value": question}]}), thread_id,
    )  # fmt: skip


async def feed(api: httpx.AsyncClient, query: str = "") -> str:
    answer = await api.get(f"/ui/runs{query}", headers=HTMX)
    assert answer.status_code == 200, answer.text
    return answer.text


def listed(shown: str) -> list[str]:
    return re.findall(r'id="firing-([0-9a-f-]+)"', shown)


async def test_an_empty_ledger_says_what_will_stand_there(api: httpx.AsyncClient) -> None:
    answer = await api.get("/ui/runs", headers=BROWSER)

    assert answer.status_code == 200
    assert "Nothing has fired yet" in answer.text
    assert 'id="throughput-box" tabindex="0"' in answer.text  # it scrolls: the keyboard has to reach it


async def test_each_segment_lists_its_own(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, metadata={"name": "nightly"})
    outcomes = ("success", "error", "timeout", "skipped", "due")
    ids = {outcome: fire(database_uri, cron, outcome, minutes=n) for n, outcome in enumerate(outcomes, start=1)}
    busy, asking = make_thread(database_uri), make_thread(database_uri)
    ids["started"] = fire(database_uri, cron, "started", minutes=6)
    run_on(database_uri, cron, busy, ids["started"], "running")
    ids["asking"] = fire(database_uri, cron, "success", minutes=7)
    run_on(database_uri, cron, asking, ids["asking"], "success")
    ask(database_uri, asking, {"question": "May it go out?"})

    segments = ("failed", "skipped", "running", "waiting")
    shown = {name: listed(await feed(api, f"?show={name}")) for name in segments}
    every = await feed(api)

    assert listed(every) == list(ids.values())
    assert shown == {
        "failed": [ids["error"], ids["timeout"]],
        "skipped": [ids["skipped"]],
        "running": [ids["due"], ids["started"]],
        "waiting": [ids["asking"]],
    }
    assert "May it go out?" in every
    assert f'href="/ui/threads/{asking}"' in every
    assert re.search(r"Running <span[^>]*>2</span>", every)


async def test_a_question_is_seen_at_its_cron_and_at_its_thread_too(api: httpx.AsyncClient, database_uri: str) -> None:
    cron, thread_id = await make_cron(api), make_thread(database_uri)
    asking = fire(database_uri, cron, "success", output="What it was given")
    run_on(database_uri, cron, thread_id, asking, "success")
    ask(database_uri, thread_id, "May it go out?")

    at_cron = (await api.get(f"/ui/crons/{cron['cron_id']}/runs", headers=HTMX)).text
    at_thread = (await api.get(f"/ui/threads/{thread_id}", headers=BROWSER)).text

    assert "asks a person" in at_cron
    assert "May it go out?" in at_cron
    assert "What it was given" not in at_cron
    assert "succeeded" not in at_cron + at_thread


async def test_a_question_is_seen_on_the_score_and_among_the_last_runs(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    cron, thread_id = await make_cron(api), make_thread(database_uri)
    older, newer = (fire(database_uri, cron, "success", minutes=n) for n in (30, 3))
    for firing_id in (older, newer):
        run_on(database_uri, cron, thread_id, firing_id, "success")
    ask(database_uri, thread_id, "May it go out?")

    waiting = (await api.get("/ui/crons", headers=HTMX)).text
    execute(database_uri, "UPDATE thread SET status = 'busy' WHERE thread_id = %s", thread_id)
    answered = (await api.get("/ui/crons", headers=HTMX)).text

    assert "Last 2: 1 succeeded, 1 asks a person" in waiting
    assert waiting.count('class="m-ask"') == waiting.count("<title>1 asking a person</title>") == 1
    assert "Last 2: 2 succeeded" in answered
    assert "m-ask" not in answered


async def test_a_question_stands_at_the_last_firing_of_its_thread_until_a_run_answers(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    cron, thread_id = await make_cron(api), make_thread(database_uri)
    older, newer = (fire(database_uri, cron, "success", minutes=n) for n in (9, 3))
    for firing_id in (older, newer):
        run_on(database_uri, cron, thread_id, firing_id, "success")
    ask(database_uri, thread_id, "Really?")

    waiting = listed(await feed(api, "?show=waiting"))
    execute(database_uri, "UPDATE thread SET status = 'busy' WHERE thread_id = %s", thread_id)

    assert waiting == [newer]
    assert listed(await feed(api, "?show=waiting")) == []


async def test_older_pages_go_on_where_the_last_one_ended(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api)
    ids = [fire(database_uri, cron, "success", minutes=n) for n in range(60)]

    seen, query = [], ""
    for _ in range(3):
        shown = await feed(api, query)
        seen += listed(shown)
        older = re.search(r'id="older" href="/ui/runs(\?[^"]+)"', shown)
        query = older[1] if older else ""

    assert seen == ids
    assert query == ""


async def test_a_slot_of_the_drawing_leads_to_its_runs(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api)
    fire(database_uri, cron, "success", minutes=1)
    long_ago = fire(database_uri, cron, "error", minutes=125)

    page = (await api.get("/ui/runs", headers=BROWSER)).text
    slots = re.findall(r'<a id="slot-\d+" href="/ui/runs(\?since=\d+)"', page)

    assert len(slots) == 2
    assert listed(await feed(api, slots[0])) == [long_ago]
    assert "Last 24 hours: 1 succeeded, 1 failed" in page
    assert "<h2>Nothing fired</h2>" in await feed(api, "?since=1700000000")


async def test_what_crons_say_is_text(api: httpx.AsyncClient, database_uri: str) -> None:
    hostile = "<script>alert(1)</script>"
    cron, thread_id = await make_cron(api, metadata={"name": hostile}), make_thread(database_uri)
    fire(database_uri, cron, "success", output=hostile)
    fire(database_uri, cron, "error", minutes=2, error=Jsonb({"error": hostile, "message": hostile}))
    asking = fire(database_uri, cron, "success", minutes=3)
    run_on(database_uri, cron, thread_id, asking, "success")
    ask(database_uri, thread_id, hostile)

    shown = await feed(api)

    assert "<script>alert" not in shown
    assert shown.count("&lt;script&gt;alert") == 7


async def test_a_run_under_way_is_cancelled_from_its_row(api: httpx.AsyncClient, database_uri: str) -> None:
    cron, thread_id = await make_cron(api), make_thread(database_uri)
    firing_id = fire(database_uri, cron, "started")
    run_id = run_on(database_uri, cron, thread_id, firing_id, "running")
    path = f"/ui/threads/{thread_id}/runs/{run_id}/cancel"

    offered = f'hx-post="{path}"' in await feed(api)
    foreign = await api.post(path, headers={**HTMX, "origin": "https://evil.example"})
    before = fetch(database_uri, "SELECT cancel_requested FROM run")
    answer = await api.post(path, headers=HTMX)

    assert offered
    assert (foreign.status_code, before) == (403, [{"cancel_requested": None}])
    assert answer.status_code == 204
    assert fetch(database_uri, "SELECT cancel_requested FROM run") == [{"cancel_requested": "interrupt"}]


async def test_firings_of_a_deleted_cron_stay_without_a_link(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await make_cron(api, metadata={"name": "gone"})
    fire(database_uri, cron, "success", name="gone")
    await api.delete(f"/runs/crons/{cron['cron_id']}")

    shown = await feed(api)

    assert "gone" in shown
    assert f"/ui/crons/{cron['cron_id']}" not in shown


@pytest.mark.parametrize("query", ["?cursor=nonsense", "?since=-1", "?since=99999999999999999", "?show=nothing"])
async def test_a_wrong_query_is_refused(api: httpx.AsyncClient, query: str) -> None:
    answer = await api.get(f"/ui/runs{query}", headers=BROWSER)

    assert answer.status_code == 422
    assert answer.text.startswith("<!doctype html>")
