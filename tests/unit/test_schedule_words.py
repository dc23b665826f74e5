"""Schedules in words, their traps, and what comes next: never a crash, never another time than the evaluator's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato_shared.errors import InvalidScheduleError, InvalidTimezoneError
from ostinato_shared.firetimes import check_schedule, next_fire_time
from ostinato_shared.schedule_lint import lint
from ostinato_shared.schedule_preview import preview
from ostinato_shared.schedule_words import describe

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
ZONES = st.sampled_from(
    [None, "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo"]
)


def field(low: int, high: int, *more: str) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    item = st.one_of(
        number.map(str),
        st.just("*"),
        st.integers(1, high).map(lambda step: f"*/{step}"),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        *map(st.just, more),
    )
    return st.lists(item, min_size=1, max_size=3).map(",".join)


FIELDS = (
    field(0, 59), field(0, 23), field(1, 31, "l", "15w", "?"), field(1, 12, "jan", "may-aug"),
    field(0, 7, "mon#1", "l5", "sat", "mon-fri", "2#5"), field(0, 59), field(2026, 2099),
)  # fmt: skip
SCHEDULES = st.integers(5, 7).flatmap(lambda count: st.tuples(*FIELDS[:count])).map(" ".join) | st.sampled_from(
    ["@yearly", "@monthly", "@weekly", "@daily", "@hourly"]
)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("0 9 * * 1-5", "At 09:00, Monday to Friday"),
        ("@daily", "At 00:00, every day"),
        ("@hourly", "Every hour"),
        ("* * * * *", "Every minute"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("*/7 * * * *", "At minutes 0, 7, 14 and so on to 56 of each hour"),
        ("7-59/15 * * * *", "Every 15 minutes, from minute 7 on"),
        ("0 */2 * * *", "Every 2 hours, every day"),
        ("0 9-17 * * *", "Every hour from 09:00 to 17:00, every day"),
        ("*/10 9-17 * * 1-5", "Every 10 minutes, from 09:00 to 17:59, Monday to Friday"),
        ("*/10 22-5 * * *", "Every 10 minutes, from 00:00 to 05:59 and from 22:00 to 23:59, every day"),
        ("0 9 13 * 5", "At 09:00, on the 13th of the month or on Friday, whichever comes"),
        ("0 9 1-31 * 5", "At 09:00, every day"),
        ("0 9 1,15,L * *", "At 09:00, on the 1st, 15th and last day of the month"),
        ("0 9 15W * *", "At 09:00, on the working day nearest the 15th of the month"),
        ("0 9 * * mon#1,fri#3", "At 09:00, on the first Monday and the third Friday of the month"),
        ("0 9 * * L5", "At 09:00, on the last Friday of the month"),
        ("0 0 29 2 *", "At 00:00, on the 29th of February"),
        ("0 0 1 */3 *", "At 00:00, on the 1st of January, April, July and October"),
        ("0 9 * * 6,0", "At 09:00, on Saturday and Sunday"),
        ("* * * * * */5", "Every 5 seconds"),
        ("30 6 * * * 15", "At 06:30:15, every day"),
        ("0 0 1 1 * 0 2027-2029", "At 00:00, on the 1st of January, in the years 2027 to 2029"),
    ],
)
def test_schedule_reads_as_people_say_it(schedule: str, words: str) -> None:
    assert describe(schedule, None) == words
    assert describe(schedule, "Europe/Rome") == f"{words}, in Europe/Rome"


@pytest.mark.parametrize(
    ("schedule", "zone", "codes"),
    [
        ("0 9 * * 1-5", None, []),
        ("*/15 * * * *", "Europe/Berlin", []),
        ("*/7 * * * *", None, ["restarts_hourly"]),
        ("0 */5 * * *", None, ["restarts_daily"]),
        ("* * * * * */25", None, ["seconds_last", "restarts_every_minute", "every_minute"]),
        ("0 9 13 * 5", None, ["both_day_fields"]),
        ("0 9 * * 6,0", None, ["never_on_a_weekday"]),
        ("* * * * *", None, ["every_minute"]),
        ("0 9 31 * *", None, ["not_in_short_months"]),
        ("0 9 31 1,3 *", None, []),
        ("0 0 29 2 *", None, ["not_in_short_months", "rarely"]),
        ("30 2 * * *", "Europe/Berlin", ["clock_change", "clock_change"]),
        ("30 3 * * *", "Europe/Berlin", []),
        ("*/5 2 * * *", "Europe/Berlin", ["clock_change", "clock_change"]),
        ("30 2 * 6 *", "Europe/Berlin", []),
        ("0 0 1 1 * 0 2020", None, ["seconds_last", "never"]),
    ],
)
def test_traps_are_named(schedule: str, zone: str | None, codes: list[str]) -> None:
    assert [found.code for found in lint(schedule, zone, now=NOW)] == codes


def test_a_clock_change_is_named_with_its_date_and_what_it_does() -> None:
    forward, back = lint("30 2 * * *", "Europe/Berlin", now=NOW)

    assert forward.text.startswith("On 28 March 2027 the clock in Europe/Berlin is set forward")
    assert forward.text.endswith("it fires at 03:00.")
    assert back.text.startswith("On 31 October 2027 the clock in Europe/Berlin is set back")


@pytest.mark.parametrize(
    ("schedule", "after", "notes"),
    [
        ("30 2 * * *", "2027-03-27T12:00+00:00", ["so it fires right after the gap.", None]),
        ("0,30 2,3 * * *", "2027-03-28T00:00+00:00", ["falls together with this fire time.", None]),
        ("30 2 * * *", "2026-10-24T12:00+00:00", ["it fires the first time only.", None]),
        ("*/30 2 * * *", "2026-10-24T22:00+00:00", ["comes twice, and this time of day with it."] * 4),
    ],
)
def test_preview_says_what_a_clock_change_does(schedule: str, after: str, notes: list[str | None]) -> None:
    coming = preview(schedule, "Europe/Berlin", after=datetime.fromisoformat(after), count=len(notes))

    for found, expected in zip(coming, notes, strict=True):
        assert (found.note is None) == (expected is None)
        assert expected is None or str(found.note).endswith(expected)


@given(SCHEDULES, ZONES, st.integers(0, 365 * 3))
def test_whatever_a_cron_may_be_given_is_described_and_previewed(schedule: str, zone: str | None, days: int) -> None:
    now = NOW + timedelta(days=days)
    try:
        check_schedule(schedule, zone, now=now)
    except InvalidScheduleError:
        return

    words, traps, coming = (
        describe(schedule, zone),
        lint(schedule, zone, now=now),
        preview(schedule, zone, after=now, count=5),
    )

    assert words.strip() == words
    assert "\n" not in words
    assert all(trap.code and trap.text.endswith(".") for trap in traps)
    after = now
    for found in coming:
        assert next_fire_time(schedule, zone, after=after) == found.at
        after = found.at


@pytest.mark.parametrize(
    "of", [describe, lambda *given: lint(*given, now=NOW), lambda *given: preview(*given, after=NOW, count=1)]
)
def test_what_no_cron_may_be_given_is_refused(of: object) -> None:
    assert callable(of)
    with pytest.raises(InvalidScheduleError):
        of("61 * * * *", None)
    with pytest.raises(InvalidTimezoneError):
        of("0 9 * * *", "Mars/Olympus")


def test_preview_ends_where_the_calendar_does() -> None:
    assert len(preview("0 0 1 1 * 0 2098-2099", None, after=NOW, count=5)) == 2
    assert lint("0 0 1 1 *", "Europe/Berlin", now=datetime(9999, 12, 30, tzinfo=UTC))[-1].code == "never"
