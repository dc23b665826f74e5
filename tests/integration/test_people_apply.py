"""`ostinato apply`, `diff`, `export`: a file of crons against a real api, and what happens when it breaks off."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_setting import make_thread
from ostinato_cli.people import applying, crons_file, files
from ostinato_cli.people.server import Server
from people_setting import People

NEWS = {
    "name": "news", "assistant": "agent", "schedule": "0 9 * * 1-5", "timezone": "Europe/Berlin",
    "input": {"messages": [], "at": "12:30"}, "labels": {"team": "growth"},
    "ostinato": {"timeout": "PT5M", "overlap": "skip"}, "end_time": "2030-01-31T12:00:00Z",
    "on_run_completed": "keep", "config": {"tags": ["a"], "recursion_limit": 10}, "context": {"tone": "dry"},
    "multitask_strategy": "reject", "interrupt_before": ["answer"], "interrupt_after": "*", "durability": "sync",
    "stream_mode": "updates", "metadata": {"owner": "ann", "cost": 1.5},
}  # fmt: skip
PLAIN = {"name": "plain", "assistant": "other", "schedule": "@daily"}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods and paths of all that is asked."""
    seen: list[str] = []
    send = httpx.AsyncClient.send

    async def noting(self: httpx.AsyncClient, request: httpx.Request, **more: Any) -> httpx.Response:
        seen.append(f"{request.method} {request.url.path}")
        return await send(self, request, **more)

    monkeypatch.setattr(httpx.AsyncClient, "send", noting)
    return seen


def named(people: People) -> dict[str, dict[str, Any]]:
    return {cron["metadata"]["name"]: cron for cron in people.crons()}


def test_second_apply_changes_nothing(people: People) -> None:
    file = people.write([NEWS, PLAIN], source="team")

    said = people.done("apply", "-f", file)
    made = named(people)

    assert said.out.splitlines() == ["+ news", "+ plain", "2 to create, 0 unchanged", "done: 2"]
    assert made["news"]["metadata"] == {
        "name": "news", "labels": {"team": "growth"}, "ostinato": {"timeout": "PT5M", "overlap": "skip"},
        "owner": "ann", "cost": 1.5, "applied_by": "team",
    }  # fmt: skip
    assert made["news"]["payload"]["input"] == {"messages": [], "at": "12:30"}
    assert people.done("apply", "-f", file).out == "no change: 2 crons as described\n"
    assert people.done("diff", "-f", file).code == 0
    assert named(people) == made


def test_every_field_is_changed_and_taken_back(people: People) -> None:
    """From all fields to none and back; what no PATCH can take away needs a new cron."""
    lean = {"name": "news", "assistant": "agent", "schedule": "@daily", "input": {}, "multitask_strategy": "reject"}
    people.done("apply", "-f", people.write([NEWS]))
    before = named(people)["news"]["cron_id"]

    for entry in (lean, NEWS, lean):
        said = people.done("apply", "-f", people.write([entry]))
        assert "1 to change" in said.out
        assert "no change" in people.done("apply", "-f", people.write([entry])).out

    cron = named(people)["news"]
    assert cron["cron_id"] == before
    assert (cron["end_time"], cron["on_run_completed"]) == (None, "delete")


def test_only_what_differs_is_sent(people: People, requests: list[str]) -> None:
    people.done("apply", "-f", people.write([NEWS, PLAIN]))
    requests.clear()

    said = people.done("apply", "-f", people.write([NEWS | {"schedule": "@hourly"}, PLAIN]))

    assert '    schedule: "0 9 * * 1-5" -> "@hourly"' in said.out.splitlines()
    assert [request.split()[0] for request in requests if "search" not in request] == ["PATCH"]


def test_dry_run_and_diff_do_nothing(people: People) -> None:
    file = people.write([NEWS])

    assert "1 to create" in people.done("apply", "-f", file, "--dry-run").out
    said = people.run("diff", "-f", file)

    assert (said.code, said.out) == (4, "+ news\n1 to create, 0 unchanged\n")
    assert people.crons() == []


def test_diff_shows_the_fields(people: People) -> None:
    people.done("apply", "-f", people.write([NEWS]))

    changed = {**NEWS, "labels": {"team": "ops"}, "ostinato": {}, "timezone": None}
    said = people.run("diff", "-f", people.write([changed]))

    assert said.code == 4
    assert said.out.splitlines() == [
        "~ news",
        '    timezone: "Europe/Berlin" -> "UTC"',
        '    metadata.labels: {"team": "growth"} -> {"team": "ops"}',
        '    metadata.ostinato: {"overlap": "skip", "timeout": "PT5M"} -> (none)',
        "1 to change, 0 unchanged",
    ]


def test_prune_deletes_only_what_the_file_made(people: People) -> None:
    people.make("by-hand")
    people.done("apply", "-f", people.write([PLAIN], source="other-team"))
    people.done("apply", "-f", people.write([NEWS, PLAIN | {"name": "old"}], source="team"))
    file = people.write([NEWS], source="team")

    assert people.done("apply", "-f", file).out == "no change: 1 cron as described\n"
    asked = people.run("apply", "-f", file, "--prune")
    assert (asked.code, "Delete 1 cron?" in asked.err) == (2, True)
    assert "- old" in people.done("apply", "-f", file, "--prune", "--yes").out

    assert sorted(named(people)) == ["by-hand", "news", "plain"]


def test_prune_needs_a_source(people: People) -> None:
    said = people.run("apply", "-f", people.write([NEWS]), "--prune")

    assert (said.code, "source" in said.err) == (2, True)


def test_cron_made_by_hand_is_taken_over_and_that_of_another_file_is_not(people: People) -> None:
    people.make("plain")
    file = people.write([{**PLAIN, "assistant": "agent", "schedule": "0 9 * * *"}], source="team")

    assert 'metadata.applied_by: (none) -> "team"' in people.done("apply", "-f", file).out
    said = people.run("apply", "-f", people.write([PLAIN], source="other"))

    assert (said.code, "source 'team'" in said.err) == (1, True)
    assert len(people.crons()) == 1


def test_what_a_patch_cannot_change_needs_replace(people: People, database_uri: str) -> None:
    people.done("apply", "-f", people.write([PLAIN]))
    people.done("crons", "pause", "plain")
    old = named(people)["plain"]
    file = people.write([{**PLAIN, "assistant": "agent", "thread_id": make_thread(database_uri)}])

    said = people.run("apply", "-f", file)
    assert (said.code, "plain: assistant, thread_id" in said.err) == (1, True)
    assert named(people)["plain"] == old
    assert "1 to replace" in people.done("apply", "-f", file, "--replace", "--yes").out

    new = named(people)["plain"]
    assert new["thread_id"] is not None
    assert new["cron_id"] != old["cron_id"]
    assert new["enabled"] is False
    assert "no change" in people.done("apply", "-f", file).out


def test_pause_is_left_alone_unless_the_file_speaks_of_it(people: People) -> None:
    people.done("apply", "-f", people.write([PLAIN]))
    people.done("crons", "pause", "plain")

    assert "no change" in people.done("apply", "-f", people.write([PLAIN])).out
    assert "enabled: false -> true" in people.done("apply", "-f", people.write([{**PLAIN, "enabled": True}])).out


def test_export_is_what_apply_has_nothing_to_change_for(people: People, database_uri: str) -> None:
    on_thread = {**PLAIN, "name": "on-thread", "thread_id": make_thread(database_uri), "enabled": False}
    tricky = {
        "a": "1e3",
        "b": "12:30",
        "c": "no",
        "d": "2026-01-01",
        "e": "x\ny\n",
        "f": "null",
        "g": "",
        "h": [1.0, None],
    }
    people.done("apply", "-f", people.write([NEWS, PLAIN, on_thread], source="team"))
    people.post(
        "/runs/crons", assistant_id="agent", schedule="@daily", input=tricky, metadata={"name": "tricky", "x": "1e3"}
    )

    for words in ([], ["--source", "team"]):
        exported = people.done("export", *words).out
        Path(people.folder / "exported.yaml").write_text(exported)
        said = people.done("apply", "-f", str(people.folder / "exported.yaml"))
        assert said.out.startswith("no change"), said.out
        assert people.done("apply", "-f", "-", stdin=exported).out == said.out
    assert people.done("export", "news").yaml["crons"][0]["name"] == "news"
    assert len(people.done("export", "--label", "team=growth").yaml["crons"]) == 1


def test_export_says_what_it_leaves_out(people: People) -> None:
    people.post("/runs/crons", assistant_id="agent", schedule="@daily")

    said = people.run("export")

    assert (said.code, said.yaml) == (1, {"crons": []})
    assert "has no name" in said.err


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("crons:\n- name: a\n  assistant: agent\n", 2, "crons[0].schedule: this field is required"),
        ("crons:\n- name: a\n  assistant: agent\n  schedule: '@daily'\n  shedule: x\n", 5, "there is no such field"),
        ("crons:\n- {name: a, assistant: agent, schedule: 5}\n", 2, "schedule: must be a text"),
        ("crons:\n- name: a\n  assistant: agent\n  schedule: '@daily'\n  labels:\n    team: 5\n", 6, "labels.team"),
        ("crons:\n- name: a\n  name: b\n", 3, "'name' twice"),
        ("crons: [\n", 2, ""),
        ("", 1, "must be an object"),
        ("crons:\n- &a {name: a, assistant: agent, schedule: '@daily'}\n- *a\n", 2, "stands in line 2 already"),
        ("crons:\n- {name: a, assistant: agent, schedule: '@daily', end_time: soon}\n", 2, "ISO 8601"),
        ("crons:\n- {name: a, assistant: agent, schedule: '@daily', metadata: {name: b}}\n", 2, "does not belong here"),
        ("crons:\n- name: a\n  assistant: agent\n  schedule: 61 * * * *\n", 4, "The minute field '61' does not fit"),
        ("crons:\n- {name: a, assistant: agent, schedule: '@daily', timezone: Mars/Phobos}\n", 2, "Invalid timezone"),
        ("crons:\n- {name: a, assistant: agent, schedule: '@daily', ostinato: {max_runs: 0}}\n", 2, "max_runs: must"),
    ],
)  # fmt: skip
def test_fault_in_a_file_is_named_by_line_and_field(people: People, text: str, line: int, reason: str) -> None:
    path = people.folder / "crons.yaml"
    path.write_text(text)

    for words in (["diff"], ["apply", "--dry-run"], ["apply"]):
        said = people.run(*words, "-f", str(path))
        assert said.code == 2
        assert f"crons.yaml:{line}: " in said.err
        assert reason in said.err
    assert people.crons() == []


def test_unknown_assistant_and_missing_file_are_wrong_use(people: People) -> None:
    said = people.run("apply", "-f", people.write([PLAIN | {"assistant": "nobody"}]))
    assert (said.code, "agent, other" in said.err) == (2, True)
    assert people.run("apply", "-f", "/none.yaml").code == 2


def test_one_refused_cron_does_not_stop_the_others(people: People) -> None:
    said = people.run("apply", "-f", people.write([PLAIN | {"name": "bad", "thread_id": "bogus"}, PLAIN]))

    assert said.code == 1
    assert "bad: Invalid thread ID" in said.err
    assert "done: 1 of 2" in said.out
    assert list(named(people)) == ["plain"]


def test_creation_whose_answer_was_lost_is_not_made_twice(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    send, lost = httpx.AsyncClient.send, list[str]()

    async def losing(self: httpx.AsyncClient, request: httpx.Request, **more: Any) -> httpx.Response:
        answer = await send(self, request, **more)
        if request.url.path == "/runs/crons" and len(lost) < 2:
            lost.append(request.url.path)
            raise httpx.ReadError("cut off", request=request)
        return answer

    monkeypatch.setattr(httpx.AsyncClient, "send", losing)

    said = people.done("apply", "-f", people.write([NEWS, PLAIN]))

    assert (len(lost), said.out.splitlines()[-1]) == (2, "done: 2")
    assert len(people.crons()) == 2


def test_creation_that_never_arrived_is_made_after_a_look(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    send, lost = httpx.AsyncClient.send, list[str]()

    async def losing(self: httpx.AsyncClient, request: httpx.Request, **more: Any) -> httpx.Response:
        if request.url.path == "/runs/crons" and not lost:
            lost.append(request.url.path)
            raise httpx.RemoteProtocolError("cut off", request=request)
        return await send(self, request, **more)

    monkeypatch.setattr(httpx.AsyncClient, "send", losing)

    people.done("apply", "-f", people.write([PLAIN]))

    assert len(people.crons()) == 1


def test_apply_that_was_cut_off_goes_on_where_it_was(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server goes after ten of fifty creations; again, the rest is made and nothing twice."""
    create, made = Server.create, list[str]()

    async def until_ten(self: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if len(made) == 10:
            raise httpx_gone(self)
        made.append(path)
        return await create(self, path, body)

    file = people.write([PLAIN | {"name": f"cron-{number}"} for number in range(50)])
    with monkeypatch.context() as patch:
        patch.setattr(Server, "create", until_ten)
        patch.setattr(applying, "AT_ONCE", 1)  # so that ten are done, and none is under way
        broken = people.run("apply", "-f", file)
        assert (broken.code, "stopped: 10 of 50 done" in broken.err) == (3, True), broken.err

    said = people.done("apply", "-f", file)

    assert len(people.crons()) == 50
    assert " to create" in said.out
    assert "no change: 50" in people.done("apply", "-f", file).out


def httpx_gone(server: Server) -> Exception:
    from ostinato_cli.people.exits import UnreachableError  # noqa: PLC0415 - of one test

    return UnreachableError(server.url)


@pytest.mark.timeout(300)
def test_thousand_crons_are_one_request_each_and_then_one_page(people: People, requests: list[str]) -> None:
    file = people.write([NEWS | {"name": f"cron-{number}"} for number in range(1000)], source="herd")

    assert people.done("apply", "-f", file).out.splitlines()[-2:] == ["1000 to create, 0 unchanged", "done: 1000"]
    assert requests.count("POST /runs/crons") == 1000
    assert len(requests) == 1002  # and one search for crons, one for the assistant
    requests.clear()
    assert people.done("apply", "-f", file).out == "no change: 1000 crons as described\n"

    assert sorted(requests) == ["POST /assistants/search", "POST /runs/crons/search"]


def test_published_schema_is_the_one_of_the_code(tmp_path: Path) -> None:
    printed = People("http://127.0.0.1:9", tmp_path).done("schema").json

    assert printed == crons_file.schema() == json.loads(files.SCHEMA.read_text())


def test_published_schema_takes_what_apply_takes(people: People) -> None:
    good = people.write([NEWS, PLAIN], "good.yaml", source="team")
    bad = people.write([PLAIN | {"shedule": "x"}], "bad.yaml")

    assert checked("--check-metaschema", str(files.SCHEMA)) == 0
    assert checked("--schemafile", str(files.SCHEMA), good) == 0
    assert checked("--schemafile", str(files.SCHEMA), bad) == 1


def checked(*words: str) -> int:
    return subprocess.run([sys.executable, "-m", "check_jsonschema", *words], check=False).returncode
