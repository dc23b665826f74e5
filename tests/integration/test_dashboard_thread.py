"""One thread's page: what it shows of a run, and how a person's answer makes the graph go on."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb

from api_setting import BROWSER, HTMX, execute, fetch, make_thread, new_thread, put
from api_worker import Worker, open_worker, write_graphs
from ostinato_shared.settings import Settings

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def place(database_uri: str, redis_uri: str, tmp_path: Path) -> Settings:
    return Settings(database_uri=database_uri, redis_uri=redis_uri, config=write_graphs(tmp_path))


@pytest.fixture
def worker(api: httpx.AsyncClient, place: Settings) -> Iterator[Worker]:
    del api  # its start empties the tables
    with open_worker(place) as made:
        yield made


async def page(api: httpx.AsyncClient, thread_id: str) -> str:
    answer = await api.get(f"/ui/threads/{thread_id}", headers=BROWSER)
    assert answer.status_code == 200, answer.text
    return answer.text


def hold(database_uri: str, values: object, **columns: Any) -> str:
    """A thread with these values."""
    thread_id = make_thread(database_uri)
    execute(database_uri, 'UPDATE thread SET "values" = %s WHERE thread_id = %s', Jsonb(values), thread_id)
    for name, value in columns.items():
        execute(database_uri, f"UPDATE thread SET {name} = %s WHERE thread_id = %s", value, thread_id)  # noqa: S608 - from below
    return thread_id


async def test_messages_are_shown_by_who_said_them(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = hold(database_uri, {
        "messages": [
            {"type": "human", "content": "What is new?"},
            {"type": "ai", "content": "", "tool_calls": [{"name": "search_news", "args": {"days": 1}, "id": "c"}]},
            {"type": "tool", "name": "search_news", "content": "three articles"},
            {"role": "assistant", "content": [{"type": "text", "text": "Much."}, {"type": "image_url"}]},
            "a mere text", 7, None,
        ],
        "draft": {"words": 140},
    })  # fmt: skip

    shown = await page(api, thread_id)

    assert re.findall(r'<li class="say s-(\w+)"', shown) == ["human", "ai", "tool", "ai", "system", "system", "system"]
    for said in ("What is new?", "search_news", "&#34;days&#34;: 1", "three articles", "Much.", "[image_url]", "140"):
        assert said in shown


async def test_what_a_run_made_is_text_and_not_without_end(api: httpx.AsyncClient, database_uri: str) -> None:
    messages = [{"type": HOSTILE, "name": HOSTILE, "content": HOSTILE}] + [
        {"type": "ai", "content": "x" * 50_000}
    ] * 300
    thread_id = hold(
        database_uri, {"messages": messages, HOSTILE: HOSTILE, "big": "y" * 3_000_000}, status="interrupted",
        interrupts=Jsonb({"t": [{"id": HOSTILE, "value": {"question": HOSTILE, HOSTILE: 1}}]}),
    )  # fmt: skip

    shown = await page(api, thread_id)

    assert "<script>alert" not in shown
    assert len(shown) < 1_000_000
    assert "more characters" in shown
    assert "the last 100 of 301" in shown
    assert 'id="talk" tabindex="0"' in shown  # it scrolls: the keyboard has to reach it


async def test_a_thread_that_is_gone_tells_why(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = make_thread(database_uri)
    execute(database_uri, "UPDATE thread SET deleted_at = now()")

    answer = await api.get(f"/ui/threads/{thread_id}", headers=BROWSER)

    assert answer.status_code == 404
    assert "on_run_completed" in answer.text
    assert "The ledger keeps an excerpt" in answer.text


async def test_an_open_page_of_a_thread_that_goes_is_asked_for_anew(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = make_thread(database_uri)
    execute(database_uri, "UPDATE thread SET deleted_at = now()")

    answer = await api.get(f"/ui/threads/{thread_id}/live", headers=HTMX)

    assert (answer.status_code, answer.headers["hx-refresh"]) == (204, "true")


async def test_a_failed_run_tells_its_error(api: httpx.AsyncClient, worker: Worker) -> None:
    thread_id = await new_thread(api)
    await put(api, thread_id, assistant_id="failing", input={})
    worker.work()

    shown = await page(api, thread_id)

    error = (await api.get(f"/threads/{thread_id}")).json()["error"]
    assert "✕ failed" in shown
    assert error["error"] in shown


async def asked(api: httpx.AsyncClient, worker: Worker, graph: str = "asker") -> tuple[str, dict[str, str]]:
    """A thread that waits for an answer, and the fields of its form, empty."""
    thread_id = await new_thread(api)
    await put(api, thread_id, assistant_id=graph, input={}, context={"tone": "dry"})
    worker.work()
    shown = await page(api, thread_id)
    assert "? asks a person" in shown
    fields = {"asked": re.findall(r'name="asked" value="(\w+)"', shown)[0]}
    return thread_id, fields | dict.fromkeys(re.findall(r'<textarea[^>]* name="([^"]+)"', shown), "")


async def test_an_answer_makes_the_graph_go_on_with_what_it_was_given(
    api: httpx.AsyncClient, worker: Worker, database_uri: str
) -> None:
    thread_id, fields = await asked(api, worker)
    (name,) = set(fields) - {"asked"}

    answer = await api.post(f"/ui/threads/{thread_id}/resume", data={**fields, name: "yes, please"}, headers=HTMX)
    worker.work()

    assert answer.status_code == 204, answer.text
    thread = (await api.get(f"/threads/{thread_id}")).json()
    assert (thread["status"], thread["interrupts"]) == ("idle", {})
    assert "yes, please" in str(thread["values"])
    first, second = (row["kwargs"] for row in fetch(database_uri, "SELECT kwargs FROM run ORDER BY seq"))
    assert (second["context"], second["command"]) == (first["context"], {"resume": "yes, please"})
    assert "? asks a person" not in await page(api, thread_id)


async def test_a_json_answer_is_what_it_says(api: httpx.AsyncClient, worker: Worker, database_uri: str) -> None:
    thread_id, fields = await asked(api, worker)
    (name,) = set(fields) - {"asked"}
    path = f"/ui/threads/{thread_id}/resume"

    wrong = await api.post(path, data={**fields, name: "{no", "json": "on"}, headers=HTMX)
    empty = await api.post(path, data=fields, headers=HTMX)
    right = await api.post(path, data={**fields, name: '{"ok": true}', "json": "on"}, headers=HTMX)

    assert (wrong.status_code, empty.status_code, right.status_code) == (422, 422, 204)
    assert "is not JSON" in wrong.json()["detail"]
    assert fetch(database_uri, "SELECT kwargs->'command' AS told FROM run ORDER BY seq DESC LIMIT 1") == [
        {"told": {"resume": {"ok": True}}}
    ]


async def test_several_questions_are_answered_by_their_ids(
    api: httpx.AsyncClient, worker: Worker, database_uri: str
) -> None:
    thread_id, fields = await asked(api, worker, "askers")
    names = sorted(set(fields) - {"asked"})

    answers = {name: f"answer {number}" for number, name in enumerate(names)}
    await api.post(f"/ui/threads/{thread_id}/resume", data={**fields, **answers}, headers=HTMX)
    worker.work()

    assert len(names) > 1
    (told,) = fetch(database_uri, "SELECT kwargs->'command'->'resume' AS by_id FROM run ORDER BY seq DESC LIMIT 1")
    assert told["by_id"] == {name.removeprefix("answer-"): text for name, text in answers.items()}
    assert (await api.get(f"/threads/{thread_id}")).json()["interrupts"] == {}


async def test_the_second_of_two_answers_is_refused(api: httpx.AsyncClient, worker: Worker) -> None:
    thread_id, fields = await asked(api, worker)
    (name,) = set(fields) - {"asked"}
    path = f"/ui/threads/{thread_id}/resume"

    first = await api.post(path, data={**fields, name: "yes"}, headers=HTMX)
    at_once = await api.post(path, data={**fields, name: "no"}, headers=HTMX)
    worker.work()
    later = await api.post(path, data={**fields, name: "no"}, headers=HTMX)

    assert (first.status_code, at_once.status_code, later.status_code) == (204, 409, 409)
    assert "answered meanwhile" in later.json()["detail"]


async def test_a_page_is_refreshed_only_when_its_thread_changes(api: httpx.AsyncClient, worker: Worker) -> None:
    thread_id, fields = await asked(api, worker)
    shown = await page(api, thread_id)
    path = re.findall(r'hx-get="(/ui/threads/[^"]+/live[^"]*)"', shown)[0].replace("&amp;", "&")

    same = await api.get(path, headers=HTMX)
    await put(api, thread_id, assistant_id="steps", input={}, after_seconds=900)
    changed = await api.get(path, headers=HTMX)

    assert fields
    assert same.status_code == 204
    assert changed.status_code == 200
    assert 'id="thread-head"' in changed.text


async def test_an_answer_over_ten_mebibytes_is_not_taken_in(api: httpx.AsyncClient) -> None:
    answer = await api.post(f"/ui/threads/{await new_thread(api)}/resume", content=b"a" * (11 * 2**20), headers=HTMX)

    assert answer.status_code == 413
