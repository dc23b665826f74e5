"""The forms of a cron, as a browser sends them without scripts."""

import asyncio
import re
from html import unescape
from typing import Any
from uuid import uuid4

import httpx
import pytest
from psycopg.types.json import Jsonb

from api_setting import AGENT_ID, BROWSER, HTMX, change_cron, execute, fetch, make_cron, make_thread

FULL = {
    "name": "daily-news",
    "schedule": "0 8 * * 1-5",
    "timezone": "Europe/Rome",
    "thread": "keep",
    "input": '{"messages": [{"role": "user", "content": "Hello"}]}',
    "labels": 'team=growth "note=two words"',
    "overlap": "skip",
    "timeout": "1 h 30 min",
    "pause_after_failures": "3",
    "max_runs": "10",
    "end_time": "2099-07-01T12:00",
    "webhook": "https://93.184.216.34/hook",
    "enabled": "yes",
}


@pytest.fixture
def api(api: httpx.AsyncClient) -> httpx.AsyncClient:
    api.headers.update(BROWSER)
    return api


def fields_of(shown: str) -> dict[str, str]:
    """What a browser without scripts sends for the page's form as it stands."""
    form = re.search(r'<form id="form".*?</form>', shown, re.DOTALL)
    assert form is not None, shown
    found: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form[0]):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        ticked = attributes.get("type") not in {"radio", "checkbox"} or " checked" in tag
        if ticked and "name" in attributes:
            found[attributes["name"]] = unescape(attributes.get("value", ""))
    for name, options in re.findall(r'<select id="\w+" name="(\w+)".*?>(.*?)</select>', form[0], re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        assert chosen is not None, options
        found[name] = chosen[1]
    for name, text in re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>\n(.*?)</textarea>', form[0], re.DOTALL):
        found[name] = unescape(text)
    return found


async def opened(api: httpx.AsyncClient, path: str = "/ui/crons/new") -> dict[str, str]:
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    return fields_of(answer.text)


async def send(api: httpx.AsyncClient, path: str = "/ui/crons/new", **changes: str) -> httpx.Response:
    fields = await opened(api, path) | changes
    return await api.post(path, data={name: value for name, value in fields.items() if value != "OFF"})


async def stored(api: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 303, errors_of(answer.text)
    return dict((await api.get(f"/runs/crons/{answer.headers['location'].rpartition('/')[2]}")).json())


def errors_of(shown: str) -> dict[str, str]:
    found = re.findall(r'<div class="error" id="(\w+)-error"><span[^>]*>✕</span> (.*?)</div>', shown, re.DOTALL)
    return {name: unescape(text) for name, text in found}


async def test_a_filled_form_makes_the_cron_that_it_says(api: httpx.AsyncClient) -> None:
    cron = await stored(api, await send(api, **FULL))

    assert cron["assistant_id"] == AGENT_ID
    assert (cron["schedule"], cron["timezone"], cron["on_run_completed"]) == ("0 8 * * 1-5", "Europe/Rome", "keep")
    assert cron["end_time"] == "2099-07-01T10:00:00+00:00"
    assert cron["payload"]["input"] == {"messages": [{"role": "user", "content": "Hello"}]}
    assert cron["payload"]["webhook"] == "https://93.184.216.34/hook"
    assert cron["metadata"] == {
        "name": "daily-news",
        "labels": {"team": "growth", "note": "two words"},
        "ostinato": {"overlap": "skip", "timeout": "PT1H30M", "pause_after_failures": 3, "max_runs": 10},
    }


async def test_a_form_left_as_it_is_makes_a_plain_cron(api: httpx.AsyncClient) -> None:
    cron = await stored(api, await send(api))

    assert (cron["schedule"], cron["timezone"], cron["on_run_completed"]) == ("0 9 * * *", None, "delete")
    assert (cron["enabled"], cron["thread_id"], cron["metadata"]) == (True, None, {})
    assert "input" not in cron["payload"]


async def test_a_cron_can_fire_on_one_thread_and_begin_paused(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = make_thread(database_uri)

    cron = await stored(api, await send(api, thread="one", thread_id=thread_id, enabled="OFF"))

    assert (cron["thread_id"], cron["enabled"]) == (thread_id, False)


WRONG = {
    "schedule": ("61 * * * *", "The minute field '61' does not fit."),
    "timezone": ("Europe/Atlantis", "Invalid timezone: 'Europe/Atlantis'"),
    "assistant": ("00000000-0000-4000-8000-000000000000", "not found"),
    "input": ('{"a": }', "This is not JSON: Expecting value, at line 1, column 7."),
    "labels": ("team", "'team' is no label: write name=value."),
    "timeout": ("soon", "such as 90 s, 5 min, 1 h or PT5M"),
    "pause_after_failures": ("0", "whole number from 1"),
    "max_runs": ("many", "whole number from 1"),
    "overlap": ("queue", "allow"),
    "end_time": ("2001-01-01T00:00", "over already"),
    "webhook": ("http://127.0.0.1:1/hook", "127.0.0.1"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_is_said_at_its_field_and_the_form_keeps_what_it_said(
    api: httpx.AsyncClient, database_uri: str, name: str
) -> None:
    value, said = WRONG[name]

    answer = await send(api, **FULL | {name: value})

    errors = errors_of(answer.text)
    assert answer.status_code == 422
    assert list(errors) == [name]
    assert said in errors[name]
    tag = re.search(rf'<(?:input|select|textarea)[^>]* name="{name}"[^>]*>', answer.text)
    assert tag is not None
    assert f"{name}-error" in tag[0].partition('aria-describedby="')[2].partition('"')[0]
    assert 'aria-invalid="true" autofocus' in tag[0]
    if name not in {"assistant", "overlap"}:
        assert fields_of(answer.text) == FULL | {
            name: value, "cron_id": fields_of(answer.text)["cron_id"], "assistant": AGENT_ID, "thread_id": ""
        }  # fmt: skip
    assert fetch(database_uri, "SELECT cron_id FROM cron") == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("[1]", "an object or an array"),
        ('{"a": "\\u0000"}', "NUL"),
        ("null", "null"),
        ('{"a": NaN}', "not a JSON number"),
    ],
)
async def test_an_input_that_no_run_could_take_is_refused(api: httpx.AsyncClient, given: str, said: str) -> None:
    answer = await send(api, input=given)

    assert said in errors_of(answer.text)["input"]


@pytest.mark.parametrize(("thread_id", "said"), [("", "UUID"), ("01993c2a-1b5a-7b90-8f1d-6a2e9c4d7b03", "not found")])
async def test_a_thread_that_is_not_there_is_refused(api: httpx.AsyncClient, thread_id: str, said: str) -> None:
    answer = await send(api, thread="one", thread_id=thread_id)

    assert said in errors_of(answer.text)["thread_id"]


async def test_the_same_form_sent_twice_makes_one_cron(api: httpx.AsyncClient, database_uri: str) -> None:
    fields = await opened(api) | FULL

    answers = await asyncio.gather(*(api.post("/ui/crons/new", data=fields) for _ in range(4)))

    assert {(answer.status_code, answer.headers["location"]) for answer in answers} == {
        (303, f"/ui/crons/{fields['cron_id']}")
    }
    assert len(fetch(database_uri, "SELECT cron_id FROM cron")) == 1
    assert len(fetch(database_uri, "SELECT kind FROM cron_event")) == 1


async def test_a_form_changed_after_it_was_sent_makes_another_cron(api: httpx.AsyncClient, database_uri: str) -> None:
    fields = await opened(api)
    await api.post("/ui/crons/new", data=fields)

    await api.post("/ui/crons/new", data=fields | {"name": "another"})

    assert {row["name"] for row in fetch(database_uri, "SELECT name FROM cron")} == {None, "another"}


async def test_a_form_of_a_deleted_cron_does_not_bring_its_ledger_back(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    fields = await opened(api)
    await api.post("/ui/crons/new", data=fields)
    await api.delete(f"/runs/crons/{fields['cron_id']}")

    await api.post("/ui/crons/new", data=fields)

    (made,) = fetch(database_uri, "SELECT cron_id FROM cron")
    assert str(made["cron_id"]) != fields["cron_id"]


async def test_saving_without_a_change_changes_nothing(api: httpx.AsyncClient, database_uri: str) -> None:
    cron = await stored(api, await send(api, **FULL))

    answer = await send(api, f"/ui/crons/{cron['cron_id']}/edit")

    assert await stored(api, answer) == cron
    assert [row["kind"] for row in fetch(database_uri, "SELECT kind FROM cron_event")] == ["created"]


async def test_an_edit_changes_what_was_edited_and_leaves_the_rest(api: httpx.AsyncClient) -> None:
    metadata = {"name": "old", "owner": {"a": [1]}, "labels": {"team": "x", "n=o": "kept"}, "ostinato": {"max_runs": 5}}
    cron = await make_cron(api, metadata=metadata, config={"tags": ["t"]}, context={"k": 1}, interrupt_before="*")

    after = await stored(
        api,
        await send(
            api, f"/ui/crons/{cron['cron_id']}/edit", name="new", labels="team=y", timeout="PT5M", schedule="@hourly"
        ),
    )

    assert after["metadata"] == {
        "name": "new",
        "owner": {"a": [1]},
        "labels": {"team": "y", "n=o": "kept"},
        "ostinato": {"max_runs": 5, "timeout": "PT5M"},
    }
    assert after["schedule"] == "@hourly"
    changed = {"metadata", "schedule"}
    assert {k: v for k, v in after["payload"].items() if k not in changed} == {
        k: v for k, v in cron["payload"].items() if k not in changed
    }
    assert (after["timezone"], after["end_time"], after["enabled"]) == (None, None, True)


async def test_policy_keys_of_a_later_version_stay_when_other_fields_are_edited(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    cron = await make_cron(api)
    later = {"name": "n", "ostinato": {"jitter": "PT5S", "max_runs": 4}}
    execute(database_uri, "UPDATE cron SET metadata = %s WHERE cron_id = %s", Jsonb(later), cron["cron_id"])

    edited = await stored(api, await send(api, f"/ui/crons/{cron['cron_id']}/edit", schedule="1 1 * * *"))
    refused = await send(api, f"/ui/crons/{cron['cron_id']}/edit", max_runs="5")

    assert edited["metadata"] == later
    assert "metadata.ostinato.jitter" in refused.text
    assert refused.status_code == 422


async def test_what_is_emptied_is_taken_away(api: httpx.AsyncClient) -> None:
    cron = await stored(api, await send(api, **FULL))
    emptied = dict.fromkeys(
        ("name", "input", "labels", "timeout", "pause_after_failures", "max_runs", "end_time", "webhook"), ""
    )

    after = await stored(api, await send(api, f"/ui/crons/{cron['cron_id']}/edit", overlap="allow", **emptied))

    assert after["end_time"] is None
    assert {"input", "webhook", "end_time"}.isdisjoint(after["payload"])
    assert after["metadata"] == {"name": "", "labels": {}}


async def test_an_edit_does_not_overwrite_another_one_unasked(api: httpx.AsyncClient) -> None:
    cron = await make_cron(api)
    path = f"/ui/crons/{cron['cron_id']}/edit"
    fields = await opened(api, path)
    await change_cron(api, cron, schedule="5 5 * * *")

    first = await api.post(path, data=fields | {"name": "mine"})
    second = await api.post(path, data=fields_of(first.text))

    assert first.status_code == 422
    assert "changed meanwhile" in first.text
    assert (await stored(api, second))["metadata"] == {"name": "mine"}


async def test_an_edit_shows_assistant_and_thread_but_cannot_change_them(
    api: httpx.AsyncClient, database_uri: str
) -> None:
    thread_id = make_thread(database_uri)
    made = await api.post(f"/threads/{thread_id}/runs/crons", json={"assistant_id": "agent", "schedule": "0 9 * * *"})
    path = f"/ui/crons/{made.json()['cron_id']}/edit"

    shown = (await api.get(path)).text
    after = await stored(api, await send(api, path, assistant=str(uuid4()), thread_id=str(uuid4()), thread="keep"))

    assert thread_id in shown
    assert 'name="assistant"' not in shown
    assert (after["assistant_id"], after["thread_id"], after["on_run_completed"]) == (AGENT_ID, thread_id, None)


async def test_an_edit_that_is_refused_still_shows_what_stays(api: httpx.AsyncClient, database_uri: str) -> None:
    thread_id = make_thread(database_uri)
    made = await api.post(f"/threads/{thread_id}/runs/crons", json={"assistant_id": "agent", "schedule": "0 9 * * *"})
    path = f"/ui/crons/{made.json()['cron_id']}/edit"
    fields = await opened(api, path)

    refused = await api.post(path, data=fields | {"labels": "wrong"})
    ahead = await api.post("/ui/crons/preview", data=fields, headers=HTMX)

    for shown in (refused.text, ahead.text):
        assert f"thread_id: {thread_id}" in shown
        assert "assistant: agent" in shown
    assert f"?assistant={AGENT_ID}" in refused.text
    assert '<p class="fixed">agent</p>' in refused.text


async def test_hostile_values_are_text_in_the_form(api: httpx.AsyncClient) -> None:
    hostile = "\"'><script>alert(1)</script>{{7*7}}</textarea>"
    fields = dict.fromkeys(("name", "schedule", "timezone", "thread_id", "labels", "timeout", "webhook"), hostile)

    refused = await send(api, **fields, input=hostile, thread="one")
    cron = await make_cron(api, metadata={"name": hostile, "labels": {hostile: hostile}}, input={"a": hostile})
    shown = await opened(api, f"/ui/crons/{cron['cron_id']}/edit")

    assert refused.status_code == 422
    assert "<script>alert" not in refused.text
    assert fields_of(refused.text)["input"] == hostile
    assert shown["name"] == hostile
    assert await stored(api, await send(api, f"/ui/crons/{cron['cron_id']}/edit")) == cron


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 200, b"", b"--x\r\nnot a form"])
async def test_a_body_that_is_no_form_is_refused_with_a_page(api: httpx.AsyncClient, body: bytes) -> None:
    answer = await api.post("/ui/crons/new", content=body)

    assert answer.status_code == 422
    assert answer.text.startswith("<!doctype html>")


async def test_other_pages_cannot_send_the_form(api: httpx.AsyncClient, database_uri: str) -> None:
    answer = await api.post("/ui/crons/new", data=await opened(api), headers={"sec-fetch-site": "cross-site"})

    assert answer.status_code == 403
    assert fetch(database_uri, "SELECT cron_id FROM cron") == []


async def previewed(api: httpx.AsyncClient, **changes: str) -> str:
    answer = await api.post("/ui/crons/preview", data=await opened(api) | changes, headers=HTMX)
    assert answer.status_code == 200, answer.text
    assert "<!doctype" not in answer.text
    return answer.text


async def test_a_preview_says_words_times_traps_and_code(api: httpx.AsyncClient) -> None:
    shown = await previewed(api, **FULL | {"schedule": "*/7 2 * * *", "language": "curl"})

    assert shown.count('class="sub dim yours"') == 5
    assert "starts again with each hour" in shown
    assert "270</dd>" in shown
    assert "--data" in shown
    assert 'value="curl" checked' in shown
    assert 'id="said" aria-live="polite" hx-swap-oob="true"' in shown


@pytest.mark.parametrize(
    "schedule", ["", "x", "61 * * * *", "0 0 30 2 *", "* " * 300, "<b>", "0 0 1 1 * 0 2001", "\x00", "*/0 * * * *"]
)
async def test_a_preview_of_a_wrong_schedule_says_why(api: httpx.AsyncClient, schedule: str) -> None:
    shown = await previewed(api, schedule=schedule)

    assert ('class="bad-text"' in shown) == bool(schedule.strip("\x00"))
    assert "<b>" not in shown
    assert "Runs in 30 days" not in shown


async def test_a_preview_holds_while_other_fields_are_half_typed(api: httpx.AsyncClient) -> None:
    shown = await previewed(
        api, input="{", timezone="Europe/Ber", labels="x", timeout="1", end_time="soon", webhook="h", assistant="?"
    )

    assert "Invalid timezone: &#39;Europe/Ber&#39;" in shown


async def test_forms_have_nothing_inline(api: httpx.AsyncClient) -> None:
    cron = await make_cron(api)

    for path in ("/ui/crons/new", f"/ui/crons/{cron['cron_id']}/edit"):
        shown = (await api.get(path)).text
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", shown)
        ids = re.findall(r'\sid="([^"]+)"', shown)
        assert len(ids) == len(set(ids))
        for described in re.findall(r'aria-describedby="([^"]*)"', shown):
            assert set(described.split()) <= set(ids)


async def test_the_form_tells_what_the_graph_takes(api: httpx.AsyncClient) -> None:
    known = await api.get("/ui/crons/new/input", params={"assistant": AGENT_ID}, headers=HTMX)
    unknown = await api.get("/ui/crons/new/input", params={"assistant": str(uuid4())}, headers=HTMX)

    assert "<code>messages</code> (array)" in known.text
    assert "Fill in an example" in known.text
    assert (unknown.status_code, "Fill in" in unknown.text) == (200, False)


async def test_all_that_is_wrong_is_said_at_once(api: httpx.AsyncClient) -> None:
    wrong = {name: value for name, (value, _) in WRONG.items() if name not in {"assistant", "webhook", "timezone"}}

    answer = await send(api, **FULL | wrong)

    assert errors_of(answer.text).keys() == wrong.keys()
    assert answer.text.count(" autofocus") == 1
    assert 'id="said" aria-live="polite">\n</div>' in answer.text
