from datetime import UTC, datetime
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato_beat.entries import BrokenEntryError, Claimed, Entry
from ostinato_beat.steps import COUNT_LIMIT, LATE_SECONDS, Missed, has_ended, step
from ostinato_shared.firetimes import next_fire_time
from ostinato_shared.models import Trigger

NOON = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())
CLAIMED = Claimed("redbeat:x", "0", "1", "0", "", "", "")


def entry(
    schedule: str = "* * * * *", *, nominal: int = NOON, timezone: str | None = None, end: int | None = None
) -> Entry:
    return Entry(CLAIMED, "x", 1, nominal, schedule, timezone, end)


def test_on_time_the_entry_goes_to_the_next_time() -> None:
    firing = step(entry(), now=NOON + 0.01)

    assert (firing.trigger, firing.next, firing.missed) == (Trigger.SCHEDULE, NOON + 60, None)


def test_a_little_late_every_nominal_time_fires() -> None:
    firing = step(entry("* * * * * *"), now=NOON + LATE_SECONDS - 0.01)

    assert (firing.trigger, firing.next) == (Trigger.SCHEDULE, NOON + 1)


def test_later_one_firing_catches_up_and_the_rest_is_a_gap() -> None:
    firing = step(entry(), now=NOON + 200)

    assert (firing.trigger, firing.next) == (Trigger.CATCHUP, NOON + 240)
    assert firing.missed == Missed(first=NOON + 60, last=NOON + 180, count=3)


def test_late_for_one_time_alone_leaves_no_gap() -> None:
    firing = step(entry("0 * * * *"), now=NOON + 200)

    assert (firing.trigger, firing.next, firing.missed) == (Trigger.CATCHUP, NOON + 3600, None)


def test_a_year_of_seconds_is_accounted_for_at_once() -> None:
    started = perf_counter()

    firing = step(entry("* * * * * *"), now=NOON + 365 * 86400)

    assert perf_counter() - started < 1
    assert firing.missed == Missed(first=NOON + 1, last=NOON + 365 * 86400, count=None)


def test_the_last_missed_time_is_found_where_the_count_ends() -> None:
    firing = step(entry("*/10 9-17 * * *", timezone="Europe/Berlin"), now=NOON + 100 * 86400)

    assert firing.missed is not None
    assert firing.missed.count is None
    assert firing.next == next_seconds("*/10 9-17 * * *", "Europe/Berlin", after=firing.missed.last)


@pytest.mark.parametrize("late", [0, 3600])
def test_after_the_end_nothing_fires(late: int) -> None:
    firing = step(entry(end=NOON + 59), now=NOON + late)

    assert (firing.next, firing.missed) == (None, None)


def test_the_end_itself_still_fires() -> None:
    assert step(entry(end=NOON + 60), now=NOON).next == NOON + 60
    assert not has_ended(entry(end=NOON))
    assert has_ended(entry(end=NOON - 1))


def test_a_gap_reaches_no_further_than_the_end() -> None:
    firing = step(entry(end=NOON + 130), now=NOON + 3600)

    assert firing.next is None
    assert firing.missed == Missed(first=NOON + 60, last=NOON + 120, count=2)


@pytest.mark.parametrize(("schedule", "timezone"), [("never", None), ("* * * * *", "Mars/Olympus"), ("", None)])
@pytest.mark.parametrize("late", [0, 3600])
def test_what_cannot_be_evaluated_is_broken(schedule: str, timezone: str | None, late: int) -> None:
    with pytest.raises(BrokenEntryError):
        step(entry(schedule, timezone=timezone), now=NOON + late)


@given(
    schedule=st.sampled_from(["* * * * *", "*/7 * * * *", "0,30 2 * * *", "* * * * * */20", "15 10 1 * *"]),
    timezone=st.sampled_from([None, "Europe/Berlin", "America/New_York"]),
    start=st.integers(NOON - 60 * 86400, NOON),
    late=st.integers(LATE_SECONDS, 20_000),
    end=st.none() | st.integers(0, 30_000),
)
def test_every_nominal_time_is_fired_or_missed_or_still_to_come(
    schedule: str, timezone: str | None, start: int, late: int, end: int | None
) -> None:
    nominal = next_seconds(schedule, timezone, after=start)
    now, last = nominal + late, None if end is None else nominal + end

    firing = step(entry(schedule, nominal=nominal, timezone=timezone, end=last), now=now)

    passed, at = [], next_seconds(schedule, timezone, after=nominal)
    while at <= now and (last is None or at <= last):
        passed.append(at)
        at = next_seconds(schedule, timezone, after=at)
    expected = Missed(passed[0], passed[-1], len(passed) if len(passed) < COUNT_LIMIT else None) if passed else None
    assert firing.missed == expected
    assert firing.next == (next_seconds(schedule, timezone, after=now) if last is None else firing.next)
    assert firing.next is None or (firing.next > now and (last is None or firing.next <= last))


def next_seconds(schedule: str, timezone: str | None, *, after: int) -> int:
    found = next_fire_time(schedule, timezone, after=datetime.fromtimestamp(after, UTC))
    assert found is not None
    return int(found.timestamp())
