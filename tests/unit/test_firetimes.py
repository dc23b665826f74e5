"""The facts of schedule_cases.json, the refusals, and the edges of the calendar."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato_shared.errors import InvalidScheduleError, InvalidTimezoneError
from ostinato_shared.firetimes import check_schedule, next_fire_time, parse_schedule, parse_timezone

CASES = json.loads((Path(__file__).parent / "schedule_cases.json").read_text(encoding="utf-8"))["cases"]
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def cases(*kinds: str) -> list[object]:
    return [
        pytest.param(case, id=f"{case['expression']!a} {case['timezone']} {case['after']}")
        for case in CASES
        if case["kind"] in kinds
    ]


def fires(schedule: str, zone: str | None, after: str, count: int) -> list[str]:
    at, times = datetime.fromisoformat(after), []
    for _ in range(count):
        at = next_fire_time(schedule, zone, after=at)
        if at is None:
            break
        times.append(at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return times


def dates(schedule: str, count: int, after: str = "2026-11-22T10:00Z") -> list[str]:
    return [at[:10] for at in fires(schedule, None, after, count)]


@pytest.mark.parametrize("case", cases("next"))
def test_schedule_fires_as_the_fact_says(case: dict[str, Any]) -> None:
    assert fires(case["expression"], case["timezone"], case["after"], len(case["expected"])) == case["expected"]


@pytest.mark.parametrize("case", cases("never", "invalid"))
def test_schedule_is_refused_as_the_fact_says(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidScheduleError):
        check_schedule(case["expression"], case["timezone"], now=datetime.fromisoformat(case["after"]))


def test_every_kind_of_fact_is_tested() -> None:
    assert {case["kind"] for case in CASES} == {"next", "never", "invalid"}


@pytest.mark.parametrize(
    ("schedule", "same"),
    [
        ("0 9-9 * * *", "0 9 * * *"),
        ("0 09-9/3 * * *", "0 9 * * *"),
        ("0 0 * Jan-1 *", "0 0 * 1 *"),
        ("0 0 * * Mon-MON", "0 0 * * 1"),
        ("0 0 * * sun-0", "0 0 * * 0"),
        ("0 0 * * mon-mon#2", "0 0 * * 1#2"),
        ("0 0 31-L * *", "0 0 31 * *"),
        ("0 0 29-L * *", "0 0 29-31 * *"),
        ("0 0 w15 * *", "0 0 15W * *"),
        ("0 0 ? * ?", "0 0 * * *"),
        (" \t0\t 0  1 *\n* ", "0 0 1 * *"),
        (" @Daily\t", "0 0 * * *"),
        ("0 0 * * FRI", "0 0 * * fri"),
        ("0 0 * * 7#1", "0 0 * * 0#1"),
        ("0-59 0-23 1-31 1-12 *", "0-59 0-23 * * *"),
    ],
)
def test_two_spellings_are_one_schedule(schedule: str, same: str) -> None:
    start = "2026-11-22T10:00Z"

    assert fires(schedule, None, start, 40) == fires(same, None, start, 40)


@pytest.mark.parametrize(
    "schedule",
    [
        "R * * * *",
        "r(0-10) 0 * * *",
        "R/5 * * * *",
        "H * * * *",
        "0 h(1-5) * * *",
        "0 0 ?,15 * *",
        "? * * * *",
        "60-60 * * * *",
        "9-9/0 * * * *",
        "31-l * * * *",
        "0 0 0-0 * *",
        "0 0 15W,20 * *",
        "0 0 * * 1#0",
        "0 0 * * 1#2,3",
        "0 0 * * 1-1#2",
        "0 0 * * jan-1",
        "0 0 1-mon * *",
        "0 0 * jan-mon *",
        "0 0 1 1 * 0 1969",
        "CRON_TZ=UTC 0 0 * * *",
        "bogus",
        "\ud800 * * * *",
        "0\x000 * * * *",
        "0\x1f0 * * *",
        "0\u00a00 * * *",
        "*/" + "9" * 250 + "x * * *",
        "*" + " " * 300 + "* * * *",
        5,
        None,
        ["*"],
        b"* * * * *",
    ],
)
def test_odd_schedule_is_refused_with_an_error_of_the_domain(schedule: str) -> None:
    with pytest.raises(InvalidScheduleError):
        parse_schedule(schedule)


@given(st.one_of(st.text(max_size=300), st.text("0123456789*/-,?#lLwWhHrR@ \tmonjafebu", max_size=60)))
def test_any_text_is_a_schedule_or_an_error_of_the_domain(text: str) -> None:
    try:
        schedule = parse_schedule(text)
    except InvalidScheduleError:
        return

    schedule.next_after(NOW, ZoneInfo("America/New_York"))


def test_refusal_speaks_as_the_original_does_and_names_the_field() -> None:
    with pytest.raises(InvalidScheduleError) as bogus:
        parse_schedule("bogus")
    with pytest.raises(InvalidScheduleError) as out_of_range:
        parse_schedule("0 24 * * *")

    assert str(bogus.value) == (
        "Invalid cron schedule: 'bogus'. Reason: Invalid cron schedule. Ensure the schedule uses the standard cron "
        "format (minute hour day_of_month month day_of_week). Example: '*/5 * * * *' for every 5 minutes."
    )
    assert str(out_of_range.value).endswith("The hour field '24' does not fit.")


def test_schedule_of_256_characters_is_the_longest() -> None:
    longest = "0 0 * * *".ljust(256)

    assert parse_schedule(longest)
    with pytest.raises(InvalidScheduleError, match="256"):
        parse_schedule(longest + " ")


def test_schedules_are_parsed_once_and_compare_by_what_they_mean() -> None:
    daily = parse_schedule("@daily")

    assert parse_schedule("@daily") is daily
    assert {daily, parse_schedule("0 0 * * *"), pickle.loads(pickle.dumps(daily))} == {daily}  # noqa: S301 - our own
    assert daily != parse_schedule("0 1 * * *")


@pytest.mark.parametrize(
    "name",
    ["", "Z", "+02:00", "utc", "europe/berlin", "Europe/Nowhere", "../Europe/Berlin", "/etc/localtime", "localtime",
     "Europe/Berlin\x00", "Europe", "\ud800", "x" * 500, 5, ["UTC"]],
)  # fmt: skip
def test_what_is_not_an_iana_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidTimezoneError):
        parse_timezone(name)


def test_no_zone_is_utc() -> None:
    assert parse_timezone(None) == parse_timezone("UTC") == ZoneInfo("UTC")


def test_bad_zone_is_refused_on_write() -> None:
    with pytest.raises(InvalidTimezoneError):
        check_schedule("* * * * *", "Mars/Olympus", now=NOW)


def test_good_schedule_is_accepted_on_write() -> None:
    check_schedule("0 0 29 2 *", "Europe/Berlin", now=NOW)


def test_schedule_that_the_clock_always_skips_never_fires() -> None:
    every_minute_of_the_hour_that_is_skipped = "* 2 * 3 0#2"

    with pytest.raises(InvalidScheduleError, match="never fires"):
        check_schedule(every_minute_of_the_hour_that_is_skipped, "America/New_York", now=NOW)


def test_schedule_whose_years_are_over_never_fires_again() -> None:
    assert fires("0 0 1 1 * 0 2027-2028", None, "2026-11-22T10:00Z", 3) == [
        "2027-01-01T00:00:00Z",
        "2028-01-01T00:00:00Z",
    ]


def test_two_skipped_times_are_one_fire_time() -> None:
    assert fires("0,30 2,3 * * *", "America/New_York", "2026-03-08T06:30Z", 3) == [
        "2026-03-08T07:00:00Z",
        "2026-03-08T07:30:00Z",
        "2026-03-09T06:00:00Z",
    ]


def test_year_ending_in_the_first_of_two_hours_still_fires_in_the_second() -> None:
    assert fires("0 1 1 11 * 0 2026", "America/New_York", "2026-11-01T05:00Z", 2) == ["2026-11-01T06:00:00Z"]


def test_offsets_with_seconds_give_whole_seconds() -> None:
    assert fires("0 12 * * *", "America/New_York", "1883-11-16T00:00Z", 3) == [
        "1883-11-16T16:56:02Z",
        "1883-11-17T16:56:02Z",
        "1883-11-18T16:56:02Z",
    ]


def test_skip_of_a_minute_and_seconds_fires_after_the_gap() -> None:
    # Monrovia went from -00:44:30 to 0 on 7 January 1972.
    assert fires("10,20 0 * * *", "Africa/Monrovia", "1972-01-07T00:00Z", 3) == [
        "1972-01-07T00:44:30Z",
        "1972-01-08T00:10:00Z",
        "1972-01-08T00:20:00Z",
    ]
    assert fires("* * * * *", "Africa/Monrovia", "1972-01-07T00:43:00Z", 2) == [
        "1972-01-07T00:43:30Z",
        "1972-01-07T00:45:00Z",
    ]


def test_sparse_schedules_are_found() -> None:
    assert dates("0 0 ? 2 5#5", 2) == ["2036-02-29", "2064-02-29"]
    assert dates("0 0 29 2 *", 1, after="2096-03-01T00:00Z") == ["2104-02-29"]


def test_both_day_fields_match_either_for_the_special_forms_too() -> None:
    assert dates("0 0 1 12 mon#1", 2) == ["2026-12-01", "2026-12-07"]
    assert dates("0 0 15W 12 fri", 2) == ["2026-12-04", "2026-12-11"]
    assert dates("0 0 L 12 L1", 2) == ["2026-12-28", "2026-12-31"]


@pytest.mark.parametrize("zone", [None, "Pacific/Kiritimati", "America/New_York"])
def test_end_of_time_is_no_error(zone: str | None) -> None:
    late = datetime(9999, 12, 30, 12, tzinfo=UTC)
    count = 0
    while late is not None:
        late = next_fire_time("0 * * * *", zone, after=late)
        count += 1

    assert count <= 37
    assert next_fire_time("* * * * *", zone, after=datetime.max.replace(tzinfo=UTC)) is None
    assert next_fire_time("0 0 1 1 *", zone, after=datetime.max.replace(tzinfo=timezone(-timedelta(hours=14)))) is None


@pytest.mark.parametrize("zone", [None, "Pacific/Kiritimati", "America/New_York"])
def test_beginning_of_time_is_no_error(zone: str | None) -> None:
    assert next_fire_time("* * * * *", zone, after=datetime.min.replace(tzinfo=UTC)).year == 1


def test_last_hour_of_the_last_day_is_a_fire_time() -> None:
    assert fires("0 23 * * *", None, "9999-12-31T22:00Z", 2) == ["9999-12-31T23:00:00Z"]


def test_after_may_be_in_any_zone_but_not_in_none() -> None:
    in_tokyo = datetime(2026, 11, 22, 19, tzinfo=ZoneInfo("Asia/Tokyo"))

    assert next_fire_time("* * * * *", None, after=in_tokyo) == datetime(2026, 11, 22, 10, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="time zone"):
        next_fire_time("* * * * *", None, after=in_tokyo.replace(tzinfo=None))


def test_fire_times_are_in_utc() -> None:
    assert next_fire_time("* * * * *", "Asia/Tokyo", after=NOW).tzinfo is UTC
