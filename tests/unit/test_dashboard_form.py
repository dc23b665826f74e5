"""What a form's fields say, and what a cron says in them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ostinato_api.dashboard.views import form as views
from ostinato_api.dashboard.views.form_input import example_of, fields_of
from ostinato_api.dashboard.views.form_preview import as_cron, in_a_month, look_ahead
from ostinato_api.dashboard.views.form_words import labels_of, length_of, read_labels, read_length, written
from ostinato_shared.errors import InvalidError
from ostinato_shared.firetimes import parse_schedule

NOW = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "stored", "shown"),
    [
        ("90s", "PT90S", "1 min 30 s"),
        ("5m", "PT5M", "5 min"),
        ("5 min", "PT5M", "5 min"),
        ("1h", "PT1H", "1 h"),
        ("1 h 30 min", "PT1H30M", "1 h 30 min"),
        ("2 days, 1 hour", "P2DT1H", "2 d 1 h"),
        ("1d", "P1D", "1 d"),
        ("pt5m", "PT5M", "5 min"),
        ("PT0.5S", "PT0.5S", "PT0.5S"),
    ],
)
def test_lengths_are_stored_as_iso_8601_and_shown_in_words(said: str, stored: str, shown: str) -> None:
    assert read_length(said) == stored
    assert length_of(stored) == shown
    assert length_of(read_length(shown)) == shown


@pytest.mark.parametrize("said", ["soon", "5", "0 s", "5 weeks", "1 h later", "-5 min"])
def test_what_is_no_length_stays_as_it_is(said: str) -> None:
    assert read_length(said) == said


@pytest.mark.parametrize(
    "labels",
    [{}, {"team": "growth"}, {"a": "two words", "b": "it's", "c": 'q"q', "d": "x,y", "e": "x=y", "f": "", "g": "a\\b"}],
)
def test_labels_come_back_from_their_words(labels: dict[str, str]) -> None:
    assert read_labels(labels_of({"labels": labels}), {}) == labels


def test_labels_that_no_word_can_say_are_kept() -> None:
    odd: dict[str, Any] = {"n=o": "x", "lines": "a\nb", "number": 1, "": "y"}

    assert labels_of({"labels": odd | {"team": "x"}}) == "team=x"
    assert read_labels("team=z, more=1", {"labels": odd | {"team": "x"}}) == odd | {"team": "z", "more": "1"}


@pytest.mark.parametrize("said", ["team", "=x", 'team="x', f"a={'x' * 129}"])
def test_what_is_no_label_is_refused(said: str) -> None:
    with pytest.raises(InvalidError):
        read_labels(said, {})


def test_an_end_is_written_in_its_zone() -> None:
    assert written(datetime(2026, 7, 1, 10, tzinfo=UTC), "Europe/Rome") == "2026-07-01T12:00"
    assert written(datetime(2026, 7, 1, 10, 0, 5, tzinfo=UTC), None) == "2026-07-01T10:00:05"


def test_only_known_fields_are_read_and_line_ends_are_unified() -> None:
    form = views.read([("name", " a\0b "), ("input", "{\r\n}"), ("evil", "x"), ("schedule", "1"), ("schedule", "2")])

    assert (form.name, form.input, form.schedule) == ("ab", "{\n}", "2")


def test_a_body_names_only_what_the_form_says() -> None:
    form = views.Form(assistant="agent", schedule="0 9 * * *", enabled="yes")

    assert views.read_new(form, now=NOW) == views.Reading(body={"assistant_id": "agent", "schedule": "0 9 * * *"})


@pytest.mark.parametrize(
    ("schedule", "zone", "times"),
    [
        ("0 9 * * *", "UTC", 30),
        ("0 9 * * 1-5", "Europe/Rome", 22),
        ("*/10 * * * *", "Asia/Kolkata", 4320),
        ("* * * * * */10", "UTC", 259200),
        ("0 6 1 * *", "UTC", 1),
        ("0 0 29 2 *", "UTC", 0),
        ("*/7 2 * * *", "UTC", 270),
    ],
)
def test_runs_of_a_month_are_counted(schedule: str, zone: str, times: int) -> None:
    assert in_a_month(parse_schedule(schedule), ZoneInfo(zone), now=NOW) == times


def test_nothing_is_shown_to_come_after_the_end() -> None:
    form = views.Form(assistant="agent", schedule="0 9 * * *", enabled="yes", end_time="2026-11-26T09:00")

    shown = look_ahead(form, views.read_new(form, now=NOW), now=NOW)

    assert [fire.local for fire in shown.fires] == ["Wed 25 Nov, 09:00", "Thu 26 Nov, 09:00"]


def test_the_cron_of_a_form_says_the_same_as_the_form() -> None:
    form = views.Form(
        cron_id="01993c1f-7a52-7c31-9d0e-5b1f6f3f9a10", name="n", assistant="01993c1f-7a52-7c31-9d0e-5b1f6f3f9a11",
        schedule="0 9 * * *", timezone="Europe/Rome", thread="keep", input='{\n  "a": 1\n}', labels="team=x",
        overlap="skip", timeout="5 min", max_runs="3", end_time="2027-01-01T09:00", enabled="yes",
    )  # fmt: skip
    cron = as_cron(form, views.read_new(form, now=NOW), None)
    cron.assistant_id, cron.updated_at = form.assistant, NOW  # type: ignore[assignment]  # as text it is shown alike

    shown = views.of_cron(cron)

    assert shown == replace(form, seen=NOW.isoformat())


def test_an_example_has_the_fields_of_the_graph() -> None:
    chat = fields_of({"properties": {"messages": {"type": "array"}, "user": {"$ref": "#/x"}}})
    other = fields_of({"properties": {"topic": {"type": "string"}, "depth": {"type": "integer"}, "odd": {"anyOf": []}}})

    assert chat == {"messages": "array", "user": "any"}
    assert '"role": "user"' in str(example_of(chat))
    assert example_of(other) == '{\n  "topic": "",\n  "depth": 0,\n  "odd": null\n}'
    assert example_of(fields_of(None)) is None
