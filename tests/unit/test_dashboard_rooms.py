"""Drawings and words of the runs, thread and system pages: pure functions of what they are given."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from ostinato_api.dashboard import answering, leading
from ostinato_api.dashboard.svg.lag import FLOOR as LAG_FLOOR
from ostinato_api.dashboard.svg.lag import Lag, draw_lag
from ostinato_api.dashboard.svg.load import draw_load
from ostinato_api.dashboard.svg.throughput import FLOOR, LOWEST, Count, draw_throughput
from ostinato_api.dashboard.views import runs, thread
from ostinato_shared.errors import InvalidError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SLOT = timedelta(minutes=20)


def parse(drawing: str) -> ET.Element:
    return ET.fromstring(drawing)  # noqa: S314 - our own drawing


def throughput(*counts: Count, chosen: datetime | None = None) -> ET.Element:
    starts = [NOW + SLOT * number for number in range(72)]
    drawn = draw_throughput(
        dict(zip(starts, counts, strict=False)), starts=starts, slot=SLOT, url_of=lambda at: f"/?a=1&at={at:%H%M}",
        chosen=chosen,
    )  # fmt: skip
    return parse(drawn)


def bars(drawn: ET.Element, tone: str) -> list[tuple[float, float]]:
    """Top and height of the bars."""
    found = (rect for rect in drawn.iter("rect") if rect.attrib["class"] == f"f-{tone}")
    return [(float(rect.attrib["y"]), float(rect.attrib["height"])) for rect in found]


def test_failed_runs_stand_on_those_that_succeeded() -> None:
    drawn = throughput(Count(30, 10, 0), Count(0, 20, 0))

    (good,) = bars(drawn, "ok")
    stacked, alone = bars(drawn, "bad")
    assert good[0] + good[1] == FLOOR
    assert stacked[0] + stacked[1] <= good[0]
    assert good[1] == pytest.approx(3 * stacked[1], abs=0.2)
    assert alone[0] + alone[1] == FLOOR


def test_one_failure_among_thousands_is_seen_within_the_drawing() -> None:
    ((top, height),) = bars(throughput(Count(100_000, 1, 0)), "bad")

    assert height == LOWEST
    assert top >= 0


def test_each_slot_with_something_leads_to_its_runs() -> None:
    drawn = throughput(Count(1, 0, 0), Count(0, 0, 0), Count(0, 0, 3), chosen=NOW)

    links = drawn.findall("a")
    assert [link.attrib["href"] for link in links] == ["/?a=1&at=1200", "/?a=1&at=1240"]
    assert [link.attrib.get("class") for link in links] == ["on", None]
    assert drawn.attrib["aria-label"] == "Last 24 hours: 1 succeeded, 0 failed"


def test_lag_lines_are_broken_where_nothing_fired() -> None:
    lags = [Lag(NOW + timedelta(minutes=minute), 10, 100) for minute in (0, 1, 2, 20, 21)]

    drawn = parse(draw_lag(lags, start=NOW, end=NOW + timedelta(hours=1)))

    lines = {path.attrib["class"]: path.attrib["d"] for path in drawn.findall("path") if "p" in path.attrib["class"]}
    assert {name: line.count("M") for name, line in lines.items()} == {"p50": 2, "p99": 2}
    assert drawn.attrib["aria-label"].endswith("p99 at most 100 ms")


def test_lags_of_nothing_stay_on_the_floor() -> None:
    drawn = parse(draw_lag([Lag(NOW, 0, 0)], start=NOW, end=NOW + timedelta(hours=1)))

    assert f" {LAG_FLOOR}.0" in next(
        path.attrib["d"] for path in drawn.findall("path") if path.attrib["class"] == "p50"
    )


def test_the_fullest_minute_is_the_highest_bar() -> None:
    times = [NOW + timedelta(seconds=second) for second in (1, 2, 61)]

    heights = [float(rect.attrib["height"]) for rect in parse(draw_load(times, start=NOW)).iter("rect")]

    assert heights == [54, 27]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Go on?", "Go on?"),
        ({"question": "Go on?", "draft": "x"}, "Go on?"),
        ({"question": "", "message": "Well?"}, "Well?"),
        ({"draft": "x"}, '{"draft": "x"}'),
        ([1, 2], "[1, 2]"),
        (None, "null"),
    ],
)
def test_a_question_is_the_part_of_an_interrupt_that_asks(value: object, said: str) -> None:
    assert runs.spoken(value) == said


def test_a_question_that_was_cut_off_is_shown_as_it_stands() -> None:
    assert runs.asked('{"question": "Go o') == '{"question": "Go o'


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("said", "said"),
        ([{"type": "text", "text": "one"}, "two", {"type": "tool_use", "name": "x"}], "one\ntwo"),
        ([{"type": "image_url"}, {"text": 7}], '[image_url]\n{"text": 7}'),
        (None, ""),
        ({"odd": 1}, '{"odd": 1}'),
    ],
)
def test_contents_of_all_forms_become_text(content: object, text: str) -> None:
    assert thread.text_of(content) == text


def test_tool_calls_in_the_form_of_openai_are_read() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}

    ((message,), _) = thread.messages({"messages": [{"role": "assistant", "content": None, "tool_calls": [call, 7]}]})

    assert [(found.name, found.given) for found in message.calls] == [("look", '{"a": 1}')]


def test_a_resuming_run_is_given_what_its_user_gave_and_nothing_of_the_servers() -> None:
    given = {
        "config": {
            "tags": ["a"],
            "configurable": {"model": "small", "run_id": "r", "thread_id": "t", "langgraph_x": 1, "__y": 2},
        },
        "context": {"lang": "en"},
        "input": {"messages": []},
    }

    assert answering.again(given) == {
        "config": {"tags": ["a"], "configurable": {"model": "small"}},
        "context": {"lang": "en"},
    }


def test_an_answer_of_spaces_is_none() -> None:
    with pytest.raises(InvalidError):
        answering.answers([thread.Question("i", "Go on?", None)], {"answer-i": " \r\n"}, as_json=False)


def test_the_age_of_a_tick_is_told_by_the_clock_that_stamped_it() -> None:
    stamp = {b"who": b"beat-1:7", b"since": b"1000.5", b"at": b"1060.000000"}

    found = leading.read(stamp, now=1060.4, leads=True)

    assert (found.state, found.who) == ("leads", "beat-1:7")
    assert found.age == pytest.approx(timedelta(seconds=0.4), abs=timedelta(milliseconds=1))


@pytest.mark.parametrize("stamp", [{}, {"who": "x"}, {"at": "soon", "since": "1"}])
def test_a_stamp_that_cannot_be_read_says_nothing(stamp: dict[str, str]) -> None:
    assert leading.read(stamp, now=0, leads=False) == leading.Leader("missing")


def test_a_version_changes_with_the_runs() -> None:
    held = SimpleNamespace(status="idle", updated_at=NOW, state_updated_at=NOW)
    run = SimpleNamespace(run_id=1, status="pending", updated_at=NOW)
    started = SimpleNamespace(run_id=1, status="running", updated_at=NOW)

    versions = {thread.version(held, made) for made in ([], [run], [started])}  # type: ignore[arg-type]  # what it reads

    assert len(versions) == 3
