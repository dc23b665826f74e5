"""`ostinato runs` and `crons trigger --wait` against a real api."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from api_setting import execute, fetch

if TYPE_CHECKING:
    from people_setting import People

END = "UPDATE firing SET outcome = %s, started_at = now(), ended_at = now() + interval '2 s', output = 'Three papers.'"
INSERT = """
INSERT INTO firing (
  firing_id, cron_id, fire_time, outcome, trigger, cron_revision, assistant_id, name, run_id, thread_id
)
SELECT gen_random_uuid(), %s, timestamptz '2026-01-01T00:00:00Z' + n * interval '1 hour',
       CASE WHEN n %% 5 = 0 THEN 'error' ELSE 'success' END, 'schedule', 1, gen_random_uuid(), 'news',
       ('aaaaaaaa-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, gen_random_uuid()
FROM generate_series(0, 24) AS n"""
RUN = "aaaaaaaa-0000-0000-0000-000000000010"


@pytest.fixture
def news(people: People, database_uri: str) -> str:
    made = people.make("news")
    execute(database_uri, INSERT, made["cron_id"])
    return str(made["cron_id"])


def test_runs_are_listed_newest_first(people: People, news: str) -> None:
    assert len(people.done("runs", "ls").out.splitlines()) == 21
    rows = people.done("runs", "ls", "news", "--outcome", "error", "-n", "2", "-o", "json").json

    assert [row["fire_time"] for row in rows] == ["2026-01-01T20:00:00+00:00", "2026-01-01T15:00:00+00:00"]
    assert {row["cron_id"] for row in rows} == {news}
    assert RUN in people.done("runs", "ls", "-n", "25", "-o", "name").out.split()
    assert people.run("runs", "ls", "--outcome", "bogus").code == 1


@pytest.mark.usefixtures("news")
def test_run_is_shown_after_its_thread_has_gone(people: People) -> None:
    said = people.done("runs", "get", RUN)

    assert {"news", "error", RUN} <= set(said.out.split())
    assert people.done("runs", "get", RUN, "-o", "json").json["run"] is None


@pytest.mark.usefixtures("news")
def test_run_is_found_by_the_beginning_of_its_id(people: People, database_uri: str) -> None:
    oldest = "0aaaaaaa-1000-0000-0000-000000000000"
    execute(database_uri, "UPDATE firing SET run_id = %s WHERE fire_time = '2026-01-01T00:00:00Z'", oldest)

    assert people.done("runs", "get", "0AaAaAaA-1", "-o", "name").out == f"{oldest}\n"


@pytest.mark.usefixtures("news")
def test_beginning_of_a_run_is_ambiguous_or_unknown(people: People) -> None:
    said = people.run("runs", "get", "aaaaaaaa")

    assert (said.code, "means several runs" in said.err) == (2, True)
    assert people.run("runs", "get", "bbbbbbbb").code == 2
    for wrong in ("bbbb", "no-run-id"):
        said = people.run("runs", "get", wrong)
        assert (said.code, "at least the first 8 characters" in said.err) == (2, True)
    assert people.run("runs", "get", str(uuid4()), "--thread", str(uuid4())).code == 2


def test_run_of_a_thread_is_cancelled(people: People) -> None:
    thread = people.post("/threads")["thread_id"]
    run = people.post(f"/threads/{thread}/runs", assistant_id="agent", input={"messages": []})["run_id"]

    assert people.done("runs", "cancel", run, "--thread", thread).out == f"asked {run} to end\n"

    assert people.done("runs", "get", run, "--thread", thread, "-o", "json").json["run"]["status"] == "interrupted"


@pytest.mark.usefixtures("news")
def test_run_that_has_ended_is_not_cancelled_and_not_called_unknown(people: People) -> None:
    said = people.run("runs", "cancel", RUN)

    assert (said.code, said.err) == (1, f"{RUN}: has ended already: error\n")


def test_many_cancellations_are_asked_for(people: People) -> None:
    said = people.run("runs", "cancel", RUN, RUN, "--thread", str(uuid4()))

    assert (said.code, "Cancel 2 runs?" in said.err) == (2, True)


@pytest.mark.parametrize(("outcome", "code"), [("success", 0), ("error", 1)])
def test_trigger_waits_for_the_outcome(people: People, database_uri: str, outcome: str, code: int) -> None:
    people.make("news")
    found = threading.Event()

    def end() -> None:
        while not fetch(database_uri, "SELECT 1 FROM firing"):
            if found.wait(0.05):
                return
        execute(database_uri, END, outcome)

    ending = threading.Thread(target=end)
    ending.start()
    try:
        said = people.run("crons", "trigger", "news", "--wait")
    finally:
        found.set()
        ending.join()

    assert said.code == code
    assert {outcome, "2.0", "Three"} <= set(said.out.split())
