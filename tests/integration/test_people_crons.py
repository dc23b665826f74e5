"""`ostinato crons` as people type it, against a real api: each command, what it refuses, and with which exit code."""

from __future__ import annotations

import json
import re
import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from api_setting import execute
from people_setting import People

if TYPE_CHECKING:
    from pathlib import Path


def test_created_cron_is_listed_shown_and_deleted(people: People) -> None:
    made = people.make("news", "--input", '{"messages": []}', "--label", "team=growth", "--timezone", "Europe/Berlin")

    assert made["payload"]["input"] == {"messages": []}
    assert made["metadata"] == {"name": "news", "labels": {"team": "growth"}}
    listed = people.done("crons", "ls")
    assert listed.out.splitlines()[0].split() == [
        "NAME", "SCHEDULE", "TIMEZONE", "STATE", "NEXT", "RUN", "(UTC)", "ASSISTANT", "LABELS", "ID",
    ]  # fmt: skip
    assert {"news", "Europe/Berlin", "on", "agent", "team=growth", made["cron_id"]} <= set(listed.out.split())
    shown = people.done("crons", "get", "news").out
    assert re.search(r"^assistant +agent$", shown, re.MULTILINE)
    assert "every day" in shown
    assert re.search(r"^next run +20[-0-9]{8} [0-9:]{8} UTC$", shown, re.MULTILINE)  # not to be taken for Berlin's
    assert people.done("crons", "get", "news", "-o", "yaml").yaml["cron_id"] == made["cron_id"]
    assert people.done("crons", "rm", "news", "--yes").out == "deleted news\n"
    assert people.crons() == []


def test_guards_are_written_as_people_say_them(people: People) -> None:
    made = people.make(
        "g", "--timeout", "5m", "--overlap", "skip", "--pause-after-failures", "3", "--max-runs", "9", "--paused"
    )

    assert made["metadata"]["ostinato"] == {
        "timeout": "PT5M", "overlap": "skip", "pause_after_failures": 3, "max_runs": 9,
    }  # fmt: skip
    assert made["enabled"] is False


def test_input_comes_from_a_file_and_from_a_pipe(people: People, tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text('{"from": "file"}')

    assert people.make("a", "--input", f"@{path}")["payload"]["input"] == {"from": "file"}
    words = ("crons", "create", "agent", "--schedule", "@daily", "--input", "-", "-o", "json")
    assert people.done(*words, stdin='{"from": "pipe"}').json["payload"]["input"] == {"from": "pipe"}


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["create", "agent", "--schedule", "bogus"], 1, "Invalid cron schedule"),
        (["create", "agent"], 2, "--schedule"),
        (["create", "nobody", "--schedule", "@daily"], 2, "Assistant 'nobody' not found"),
        (["create", "agent", "--schedule", "@daily", "--input", "{"], 2, "not JSON"),
        (["create", "agent", "--schedule", "@daily", "--input", "@/none"], 2, "No such file"),
        (["create", "agent", "--schedule", "@daily", "--label", "team"], 2, "key=value"),
        (["create", "agent", "--schedule", "@daily", "--name", "news"], 2, "There is a cron 'news' already"),
        (["get", "newz"], 2, "Did you mean 'news'?"),
        (["get", str(uuid4())], 2, "There is no cron"),
        (["rm", "news"], 2, "add --yes"),
        (["rm"], 2, "Name crons, or choose"),
        (["ls", "-o", "xml"], 2, "xml"),
        (["edit", "news", "--schedule", "bogus"], 1, "Invalid cron schedule"),
        (["preview", "61 * * * *"], 1, "Invalid cron schedule"),
        (["trigger", "news", "--input", "[1]"], 1, "input"),
        (["pause", "--label", "team=none"], 2, "No cron has these labels"),
    ],
)
def test_refusal_says_what_would_be_right(people: People, words: list[str], code: int, reason: str) -> None:
    people.make("news")

    said = people.run("crons", *words)

    assert (said.code, reason in said.err) == (code, True), said.err
    assert [cron["schedule"] for cron in people.crons()] == ["0 9 * * *"]


def test_absent_server_is_one_line_and_exit_code_3(people: People) -> None:
    people.url = "http://127.0.0.1:9"

    for words in (["crons", "ls"], ["runs", "ls"], ["diff", "-f", people.write([])]):
        said = people.run(*words)
        assert said.code == 3
        assert said.err.count("\n") == 1
        assert "ostinato dev" in said.err


def test_ambiguous_beginning_lists_the_candidates(people: People) -> None:
    first, second = people.make("one"), people.make("two")
    beginning = first["cron_id"][:6]  # of the time

    said = people.run("crons", "get", beginning)

    assert said.code == 2
    assert first["cron_id"] in said.err
    assert second["cron_id"] in said.err
    whole = people.done("crons", "get", first["cron_id"][:-1] if first["cron_id"][:-1] != second["cron_id"][:-1] else
                        first["cron_id"], "-o", "name")  # fmt: skip
    assert whole.out == "one\n"


def test_name_that_two_crons_have_is_ambiguous(people: People) -> None:
    for _ in range(2):
        people.post("/runs/crons", assistant_id="agent", schedule="@daily", metadata={"name": "twin"})

    said = people.run("crons", "pause", "twin")

    assert (said.code, said.err.count("twin")) == (2, 3)
    assert all(cron["enabled"] for cron in people.crons())


def test_filters_choose_crons(people: People, database_uri: str) -> None:
    for name, label in (("a", "team=growth"), ("b", "team=ops"), ("c", "team=growth")):
        people.make(name, "--label", label)
    people.done("crons", "pause", "b", "--note", "The feed is down.")
    execute(database_uri, "UPDATE cron SET consecutive_failures = 2 WHERE name = 'c'")

    assert people.done("crons", "ls", "--label", "team=growth", "-o", "name").out.split() == ["a", "c"]
    assert people.done("crons", "ls", "--paused", "-o", "name").out.split() == ["b"]
    assert people.done("crons", "ls", "--failing", "-o", "name").out.split() == ["c"]
    assert people.done("crons", "ls", "--assistant", "other", "-o", "json").json == []
    assert "The feed is down." in people.done("crons", "get", "b").out


def test_pause_and_resume_reach_all_that_are_meant(people: People) -> None:
    for name in "abc":
        people.make(name, "--label", "team=growth")

    refused = people.run("crons", "pause", "--label", "team=growth")
    assert (refused.code, "Pause 3 crons?" in refused.err) == (2, True)
    assert people.done("crons", "pause", "--label", "team=growth", "--yes").out.count("paused") == 3
    assert not any(cron["enabled"] for cron in people.crons())
    assert people.done("crons", "resume", "a").out == "resumed a\n"
    assert [cron["metadata"]["name"] for cron in people.crons() if cron["enabled"]] == ["a"]


def test_edit_by_options_keeps_what_is_not_named(people: People) -> None:
    people.make("a", "--label", "team=growth", "--label", "env=prod", "--overlap", "skip")

    people.done("crons", "edit", "a", "--label", "env=", "--timeout", "1h", "--schedule", "@hourly", "--name", "b")

    (cron,) = people.crons()
    assert cron["schedule"] == "@hourly"
    assert cron["metadata"] == {
        "name": "b", "labels": {"team": "growth"}, "ostinato": {"overlap": "skip", "timeout": "PT1H"},
    }  # fmt: skip


def test_edit_opens_the_editor_on_yaml(people: People, tmp_path: Path) -> None:
    people.make("a", "--input", '{"x": 1}', "--label", "env=prod")
    people.env["EDITOR"] = editor(tmp_path, "s/0 9 /0 10 /; s/env: prod/env: test/")

    assert people.done("crons", "edit", "a").out == "changed a\n"

    (cron,) = people.crons()
    assert (cron["schedule"], cron["metadata"]["labels"]) == ("0 10 * * *", {"env": "test"})
    assert cron["payload"]["input"] == {"x": 1}
    assert people.done("crons", "edit", "a").out == "nothing changed\n"


def test_wrong_edit_is_refused_and_the_text_kept(people: People, tmp_path: Path) -> None:
    people.make("a")
    people.env["EDITOR"] = editor(tmp_path, "s/^schedule:/shedule:/")

    said = people.run("crons", "edit", "a")

    assert said.code == 2
    assert "shedule: there is no such field" in said.err
    assert "is kept in" in said.err


def editor(folder: Path, script: str) -> str:
    path = folder / "editor.sh"
    path.write_text(f'#!/bin/sh\nsed -i "{script}" "$1"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_preview_and_next_show_what_comes(people: People) -> None:
    words = ("crons", "preview", "30 2 * * *", "--timezone", "Europe/Berlin")
    assert people.done(*words).out.startswith("At 02:30, every day, in Europe/Berlin\n  20")
    assert len(people.done(*words, "-n", "3", "-o", "name").out.splitlines()) == 3
    people.make("news")
    assert "news" in people.done("crons", "next").out
    assert "every day" in people.done("crons", "next", "news").out
    assert [row["name"] for row in people.done("crons", "next", "--days", "3", "-o", "json").json] == ["news"] * 3


def test_next_ends_where_the_cron_does(people: People) -> None:
    end = datetime.now(UTC) + timedelta(hours=60)
    people.make("ending", "--end-time", end.isoformat())
    people.make("counted", "--max-runs", "3")
    paused = people.done("crons", "create", "agent", "--schedule", "@daily", "--name", "off", "--paused").out

    rows = {name: people.done("crons", "next", name, "-o", "name").out.split() for name in ("ending", "counted", "off")}

    assert len(rows["ending"]) in {2, 3}
    assert datetime.fromisoformat(rows["ending"][-1]) <= end
    assert (len(rows["counted"]), rows["off"]) == (3, [])
    assert "nothing to come" in people.done("crons", "next", "off").out
    assert paused.endswith(": paused\n")
    assert "next run" not in people.done("crons", "get", "off").out


def test_trigger_gives_the_firing(people: People) -> None:
    people.make("news", "--paused")

    firing = people.done("crons", "trigger", "news", "--input", '{"x": 1}', "-o", "json").json

    assert (firing["trigger"], firing["outcome"]) == ("manual", "due")


def test_names_of_crons_are_completed(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    from ostinato_cli.people.completion import complete_cron  # noqa: PLC0415 - reads the environment

    made = people.make("news")
    people.make("other")
    monkeypatch.setenv("OSTINATO_URL", people.url)

    assert complete_cron("ne") == ["news"]
    assert made["cron_id"] in complete_cron(made["cron_id"][:8])
    monkeypatch.setenv("OSTINATO_URL", "http://127.0.0.1:9")
    assert complete_cron("ne") == []


def test_names_cannot_write_to_the_terminal(people: People) -> None:
    name = "a\x1b[31m\nb"
    made = people.post("/runs/crons", assistant_id="agent", schedule="@daily", metadata={"name": name})

    assert "\x1b" not in people.done("crons", "ls").out
    for words in (["crons", "ls"], ["crons", "get", name]):
        assert people.done(*words, "-o", "name").out == f"{made['cron_id']}\n"
    assert people.done("crons", "pause", name).out == f"paused {made['cron_id']}\n"
    people.post("/runs/crons", assistant_id="agent", schedule="@daily", metadata={"name": name})
    assert "\x1b" not in people.run("crons", "get", name).err
    people.done("crons", "rm", made["cron_id"], "--yes")
    assert len(people.done("crons", "ls").out.splitlines()) == 2
    assert json.loads(people.done("crons", "ls", "-o", "json").out)[0]["metadata"]["name"] == "a\x1b[31m\nb"


COMMANDS = [
    *(
        f"crons {name}"
        for name in ["ls", "get", "create", "edit", "pause", "resume", "trigger", "preview", "next", "rm"]
    ),
    *(f"runs {name}" for name in ("ls", "get", "cancel")),
    *("apply", "diff", "export", "schema"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_words_and_the_exit_codes(command: str, tmp_path: Path) -> None:
    said = People("http://127.0.0.1:9", tmp_path).done(*command.split(), "--help")

    assert f"ostinato {command}" in said.out.replace("root", "ostinato")
    if command != "schema":
        assert "Exit codes" in said.out
        assert "OSTINATO_URL" in said.out
