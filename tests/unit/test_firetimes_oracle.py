"""The evaluator against brute force, around clock changes and over the calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ostinato_shared.firetimes import next_fire_time, parse_schedule
from unit import oracle

# Hour, half-hour, two-hour and whole-day changes, at midnight, on both halves of the globe, negative DST, Ramadan.
ZONES_AND_YEARS = [
    ("America/New_York", 2026),
    ("Europe/Berlin", 2026),
    ("Europe/Dublin", 2026),
    ("Australia/Lord_Howe", 2026),
    ("America/Santiago", 2026),
    ("Africa/Cairo", 2026),
    ("Asia/Beirut", 2026),
    ("America/Sao_Paulo", 2018),
    ("Africa/Casablanca", 2026),
    ("Antarctica/Troll", 2026),
    ("Pacific/Chatham", 2026),
    ("America/Havana", 2026),
    ("Pacific/Apia", 2011),
    ("Pacific/Kwajalein", 1993),
    ("Pacific/Kwajalein", 1969),
    ("America/Caracas", 2007),
]
CHANGES = [(name, at) for name, year in ZONES_AND_YEARS for at in oracle.clock_changes(ZoneInfo(name), year)]


def numbers(low: int, high: int, likely: list[int]) -> st.SearchStrategy[str]:
    number = st.one_of(st.sampled_from(likely), st.integers(low, high))
    steps = st.integers(1, high - low)
    spans = st.tuples(number, number).map(sorted)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.lists(number, min_size=2, max_size=4).map(lambda many: ",".join(map(str, many))),
        steps.map("*/{}".format),
        spans.map(lambda span: f"{span[0]}-{span[1]}"),
        st.tuples(spans, steps).map(lambda both: f"{both[0][0]}-{both[0][1]}/{both[1]}"),
        st.tuples(number, steps).map(lambda both: f"{both[0]}/{both[1]}"),
    )


minutes = numbers(0, 59, [0, 15, 29, 30, 45, 59])
hours = numbers(0, 23, [0, 1, 2, 3, 23])
seconds = numbers(0, 59, [0, 1, 30, 59])
days_of_month = st.one_of(
    st.sampled_from(["*", "*", "*", "?", "L", "1,L", "31", "29,30"]),
    numbers(1, 31, [1, 15, 28, 29, 30, 31]),
    st.integers(1, 31).map("{}W".format),
)
months = st.one_of(
    st.sampled_from(["*", "*", "feb", "MAR,Oct", "nov-feb", "2", "4,6,9,11"]), numbers(1, 12, [2, 3, 10, 11])
)
days_of_week = st.one_of(
    st.sampled_from(["*", "*", "*", "?", "7", "sun", "MON-fri", "5-7", "sat-mon", "fri#1,Sun#5"]),
    numbers(0, 6, [0, 1, 6]),
    st.tuples(st.integers(0, 7), st.integers(1, 5)).map("{0[0]}#{0[1]}".format),
    st.integers(0, 7).map("L{}".format),
)


def ours(expression: str, zone: ZoneInfo, after: datetime, end: datetime) -> list[datetime]:
    schedule, fired = parse_schedule(expression), []
    while (after := schedule.next_after(after, zone) or end) < end:
        fired.append(after)
    return fired


def assert_equal_to_brute_force(
    expression: str, zone: ZoneInfo, start: datetime, end: datetime, after: datetime
) -> None:
    expected = [at for at in oracle.fire_times(expression, zone, start, end) if after < at < end]

    assert ours(expression, zone, after, end) == expected


around = st.tuples(minutes, hours, st.just("*") | days_of_month, st.just("*"), st.just("*") | days_of_week)


@settings(max_examples=150)
@given(change=st.sampled_from(CHANGES), expression=around.map(" ".join), offset=st.integers(-26 * 60, 26 * 60))
def test_minutes_around_a_clock_change_fire_as_brute_force_says(
    change: tuple[str, datetime], expression: str, offset: int
) -> None:
    name, at = change
    start, end = at - timedelta(hours=50), at + timedelta(hours=50)

    assert_equal_to_brute_force(expression, ZoneInfo(name), start, end, at + timedelta(minutes=offset))


in_seconds = st.tuples(minutes, hours, st.just("* * *"), seconds | st.sampled_from(["0", "30", "*/20"]))


@settings(max_examples=60)
@given(change=st.sampled_from(CHANGES), expression=in_seconds.map(" ".join), offset=st.integers(-3600, 3600))
@example(change=("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)), expression="0 1 * * * 0", offset=-60)
def test_seconds_around_a_clock_change_fire_as_brute_force_says(
    change: tuple[str, datetime], expression: str, offset: int
) -> None:
    name, at = change
    start, end = at - timedelta(hours=1), at + timedelta(minutes=40)

    assert_equal_to_brute_force(expression, ZoneInfo(name), start, end, at + timedelta(seconds=offset))


@settings(max_examples=150)
@given(day_of_month=days_of_month, month=months, day_of_week=days_of_week, year=st.integers(1970, 2120))
def test_days_of_three_years_are_those_of_brute_force(
    day_of_month: str, month: str, day_of_week: str, year: int
) -> None:
    start = date(year, 1, 1)
    days = [start + timedelta(days=n) for n in range(3 * 365)]
    expected = [day for day in days if oracle.day_matches(day, day_of_month, month, day_of_week)]

    fired = ours(
        f"0 12 {day_of_month} {month} {day_of_week}",
        ZoneInfo("UTC"),
        datetime(year, 1, 1, tzinfo=UTC),
        datetime(days[-1].year, days[-1].month, days[-1].day, 23, tzinfo=UTC),
    )

    assert [at.date() for at in fired] == expected


@pytest.mark.parametrize(("name", "at"), CHANGES)
@pytest.mark.parametrize("expression", ["0,30 2 * * *", "*/10 * * * *", "15 0-3 * * *", "30 * * * *"])
def test_asking_from_any_moment_gives_the_first_of_the_later_fire_times(
    name: str, at: datetime, expression: str
) -> None:
    zone, start, end = ZoneInfo(name), at - timedelta(hours=50), at + timedelta(hours=50)
    fired = oracle.fire_times(expression, zone, start, end)

    for minute in range(-120, 121, 5):
        after = at + timedelta(minutes=minute)
        assert next_fire_time(expression, name, after=after) == next((t for t in fired if t > after), None)
