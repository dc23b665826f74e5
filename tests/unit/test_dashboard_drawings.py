"""The dashboard's drawings and words: pure functions of what they are given."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest

from ostinato_api.dashboard import words
from ostinato_api.dashboard.svg.score import AHEAD, LEFT, RIGHT, SLOT, Lane, Mark, draw_score
from ostinato_api.dashboard.svg.strip import HEIGHT, Bar, draw_strip, summary
from ostinato_api.dashboard.views.outcomes import LOOKS
from ostinato_api.dashboard.views.score import lanes, slots_from
from ostinato_shared.models import Cron, Outcome

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def bar(outcome: str, seconds: float | None = 1) -> Bar:
    return Bar(NOW, outcome, None if seconds is None else timedelta(seconds=seconds))


def parse(drawing: str) -> ET.Element:
    return ET.fromstring(drawing)  # noqa: S314 - our own drawing


def test_every_outcome_has_a_glyph_and_a_word_of_its_own() -> None:
    assert set(LOOKS) == set(Outcome)
    assert len({look.word for look in LOOKS.values()}) == len(Outcome)
    assert all(look.glyph for look in LOOKS.values())


def test_the_longest_run_is_the_highest_bar_and_the_shortest_is_still_seen() -> None:
    drawn = parse(draw_strip([bar("success", 0.001), bar("success", 10)]))

    heights = [float(rect.attrib["height"]) for rect in drawn.iter("rect")]
    assert heights[1] == HEIGHT
    assert heights[0] >= 4


def test_a_failed_run_has_another_shape_than_a_good_one() -> None:
    good, bad = (parse(draw_strip([bar(outcome)])) for outcome in ("success", "error"))

    assert good.find(".//path") is None
    assert bad.find(".//path") is not None


def test_a_strip_is_told_in_words() -> None:
    bars = [bar("success"), bar("success"), bar("error"), bar("skipped", None)]

    assert summary(bars) == "Last 4: 2 succeeded, 1 failed, 1 skipped"
    assert parse(draw_strip(bars)).attrib["aria-label"] == summary(bars)
    assert summary([]) == "No runs yet"


def test_bars_are_as_wide_however_few_there_are() -> None:
    few, many = (parse(draw_strip([bar("success")] * number)) for number in (3, 20))

    assert few.attrib["viewBox"] == many.attrib["viewBox"]
    assert [rect.attrib["x"] for rect in few.iter("rect")] == [rect.attrib["x"] for rect in many.iter("rect")][:3]


def test_past_stands_left_of_now_and_the_future_right_of_it() -> None:
    marks = [Mark(NOW - timedelta(hours=5), "ok", "1 succeeded"), Mark(NOW + timedelta(hours=17), "next", "to come")]

    drawn = parse(draw_score([Lane("nightly", None, "", marks)], now=NOW))

    before, after = (float(circle.attrib["cx"]) for circle in drawn.iter("circle"))
    now = float(drawn.findall(".//g[@class='now']/line")[0].attrib["x1"])
    assert LEFT < before < now < after < RIGHT


def test_a_lane_of_many_marks_is_drawn_as_ticks_but_its_failures_as_crosses() -> None:
    ticks = [Mark(NOW - timedelta(minutes=5 * index), "ok", "") for index in range(30, 1, -1)]

    drawn = parse(draw_score([Lane("often", None, "", [*ticks, Mark(NOW, "bad", "1 failed")])], now=NOW))

    assert not list(drawn.iter("circle"))
    assert drawn.findall(".//path[@class='ticks-ok']")[0].attrib["d"].count("M") == len(ticks)
    assert len(drawn.findall(".//g[@class='m-bad']/path")) == 1


def test_coming_times_are_one_a_slot_however_often_a_cron_fires() -> None:
    every_second, daily = (slots_from(schedule, None, NOW) for schedule in ("* * * * * *", "30 12 * * *"))

    assert all(later - earlier == SLOT for earlier, later in pairwise(every_second))
    assert every_second[-1] - NOW == AHEAD
    assert daily == (NOW,)


@pytest.mark.parametrize(("run_count", "minutes"), [(21, [5, 9, 13]), (22, [5, 9]), (29, [5]), (30, [])])
def test_a_lane_ends_with_the_last_of_max_runs(run_count: int, minutes: list[int]) -> None:
    cron = Cron(
        cron_id=uuid4(), enabled=True, schedule="* * * * *", timezone=None, end_time=None,
        next_run_date=NOW + timedelta(minutes=5), policy={"max_runs": 30}, run_count=run_count,
    )  # fmt: skip

    (lane,) = lanes([(cron, "agent")], [], now=NOW, url_of=lambda _: None)

    assert [mark.at for mark in lane.marks] == [NOW + timedelta(minutes=at) for at in minutes]
    assert lane.quiet == ("" if minutes else "ended")


def test_hostile_names_stay_text_in_drawings() -> None:
    name = "</text><script>alert(1)</script>"

    drawn = draw_score([Lane(name, None, "paused", [])], now=NOW)

    assert "<script>" not in drawn
    assert parse(drawn).findtext(".//text/title") == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x" * 22, "x" * 22), ("x" * 23, "x" * 21 + "…"), ("w" * 11, "w" * 11), ("w" * 12, "w" * 10 + "…"),
        ("\N{CJK UNIFIED IDEOGRAPH-540D}" * 12, "\N{CJK UNIFIED IDEOGRAPH-540D}" * 10 + "…"),
    ],
)  # fmt: skip
def test_a_name_is_cut_off_where_its_room_ends(name: str, shown: str) -> None:
    drawn = parse(draw_score([Lane(name, None, "", [])], now=NOW))

    assert [title.tail for title in drawn.iterfind(".//text/title")] == [shown]


def test_a_lane_that_is_quiet_for_long_says_when_it_goes_on() -> None:
    drawn = draw_score([Lane("weekly", None, "", [], NOW + timedelta(days=5))], now=NOW)

    assert "Fri 6 Mar, 12:30 UTC" in drawn


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(milliseconds=212), "212 ms"),
        (timedelta(seconds=4.14), "4.1 s"),
        (timedelta(seconds=41), "41 s"),
        (timedelta(minutes=1, seconds=30), "1 min 30 s"),
        (timedelta(minutes=3), "3 min"),
        (timedelta(minutes=59, seconds=59), "59 min 59 s"),
        (timedelta(hours=6, minutes=57), "6 h 57 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(days=3, hours=5), "3 d"),
    ],
)
def test_lengths_are_said_in_the_unit_that_fits(length: timedelta, said: str) -> None:
    assert words.took(length) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(-90, "1 min ago"), (-1, "1 s ago"), (-0.4, "now"), (0, "now"), (0.9, "now"), (1, "in 1 s")]
)
def test_what_is_less_than_a_second_off_is_now(seconds: float, said: str) -> None:
    assert words.distance(NOW + timedelta(seconds=seconds), NOW) == said


def test_a_whole_minute_is_told_without_seconds() -> None:
    assert ">12:30 UTC<" in words.clock(NOW)


def test_a_hundred_percent_is_said_only_of_all() -> None:
    assert words.percent(9999, 10000) == "99.9 %"
    assert words.percent(5, 5) == "100 %"
    assert words.percent(0, 5) == "0 %"


def test_an_instant_is_a_time_element_that_says_utc_without_scripts() -> None:
    said = words.when(NOW, "Europe/Rome")

    assert 'datetime="2026-03-01T12:30:00.000Z" data-form="full" data-zone="Europe/Rome"' in said
    assert ">Sun 1 Mar, 12:30 UTC<" in said
