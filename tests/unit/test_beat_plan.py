import json

import pytest

from ostinato_beat.clock import Clock
from ostinato_beat.entries import GONE, Standing
from ostinato_beat.sync import plan
from ostinato_shared.queries.sync import CronRow

CRON = CronRow("a", "* * * * *", None, None, 600, enabled=True, revision=3, fault=None)
WELL = Standing(seen="3", rev=3, nominal=600, score=600.0)


def planned(cron: CronRow | None, standing: Standing, *, unreadable: bool = False) -> list[tuple[str, list[str]]]:
    changes = plan(["a"], {"a": cron} if cron else {}, {"a": standing}, unreadable=["a"] if unreadable else [])
    return [(change.seen, list(change.fields)) for change in changes]


def test_an_entry_that_says_what_its_row_says_is_left_alone() -> None:
    assert planned(CRON, WELL) == []


def test_a_missing_entry_is_written() -> None:
    [(seen, fields)] = planned(CRON._replace(timezone="Europe/Rome", end_time=900), Standing())

    assert seen == ""
    assert json.loads(fields.pop(2))["name"] == "a"
    assert fields == ["3", "600", "* * * * *", "Europe/Rome", "900"]


@pytest.mark.parametrize("rev", [2, 4])  # 4: the database came back from a backup
def test_another_revision_is_written_over(rev: int) -> None:
    [(seen, fields)] = planned(CRON, Standing(seen=str(rev), rev=rev, nominal=600, score=600.0))

    assert (seen, fields[0]) == (str(rev), "3")


def test_another_time_is_written_over() -> None:
    assert planned(CRON, Standing(seen="3", rev=3, nominal=540, score=540.0)) != []


def test_a_parked_entry_stays_parked() -> None:
    assert planned(CRON, Standing(seen="3", rev=3, nominal=540, score=-1)) == []


def test_an_unreadable_entry_is_written_whatever_it_says() -> None:
    assert planned(CRON, WELL, unreadable=True) != []


@pytest.mark.parametrize(
    "cron", [CRON._replace(enabled=False), CRON._replace(next_run_date=None), CRON._replace(end_time=599)]
)
def test_a_cron_that_does_not_fire_has_no_entry(cron: CronRow) -> None:
    assert planned(cron, WELL) == [("3", ["3"])]
    assert planned(cron, Standing(seen="3", rev=3)) == []


def test_a_deleted_crons_tombstone_is_final() -> None:
    assert planned(None, WELL) == [("3", [str(GONE)])]
    assert planned(None, Standing(seen="3", rev=3)) == [("3", [str(GONE)])]
    assert planned(None, Standing(seen=str(GONE), rev=GONE)) == []
    assert planned(None, Standing()) == []


def test_the_clock_follows_the_server_only_as_far_as_its_answer_says() -> None:
    local = iter([100.0, 100.4, 200.0, 200.1, 300.0, 300.2, 300.2])
    clock = Clock(local=lambda: next(local))

    clock.ask(lambda: 100.3)  # answered between 100.0 and 100.4: no contradiction
    assert clock.offset == 0.0
    clock.ask(lambda: 205.1)
    assert clock.offset == pytest.approx(5.05)
    clock.ask(lambda: 305.1)
    assert clock.offset == pytest.approx(5.05)
    assert clock.now() == pytest.approx(305.25)
