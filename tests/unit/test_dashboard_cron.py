"""What one cron's page draws and writes: pure functions."""

import ast
import json
import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
import yaml

from ostinato_api.dashboard.svg.calendar import Day, draw_calendar
from ostinato_api.dashboard.svg.durations import draw_durations, nice
from ostinato_api.dashboard.svg.strip import Bar
from ostinato_api.dashboard.views.code import as_code
from ostinato_api.dashboard.views.cron import spread
from ostinato_shared.models import Cron

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TODAY = date(2026, 11, 25)


def parse(drawing: str) -> ET.Element:
    return ET.fromstring(drawing)  # noqa: S314 - our own drawing


def cron(**fields: object) -> Cron:
    made = {
        "cron_id": uuid4(), "schedule": "0 8 * * *", "enabled": True, "on_run_completed": "keep",
        "metadata_": {"name": "news's", "labels": {"team": "growth"}, "ostinato": {"timeout": "PT5M"}, "own": 1},
        "payload": {"input": {"say": 'a "b" \' $HOME'}, "config": {"configurable": {"cron_id": "x", "depth": 2}}},
    }  # fmt: skip
    return Cron(**{**made, **fields})


def test_calendar_has_a_square_a_day_and_ends_with_this_week() -> None:
    drawn = parse(draw_calendar({TODAY: Day(2, 1, 1, timedelta(seconds=3))}, today=TODAY, weeks=26))

    squares = drawn.findall(".//rect")
    assert len(squares) == 26 * 7
    assert [square.attrib["class"] for square in squares].count("part today") == 1
    assert sum(square.attrib["class"] == "to-come" for square in squares) == 4  # Thursday to Sunday


def test_slow_days_are_darker_than_quick_ones() -> None:
    days = {TODAY - timedelta(days=n): Day(1, 0, 1, timedelta(seconds=n + 1)) for n in range(8)}

    shades = [square.attrib["class"] for square in parse(draw_calendar(days, today=TODAY, weeks=2)).iter("rect")]

    assert "shade-4" in shades[:7][-2:] or "shade-4" in shades
    assert "shade-1 today" in shades


def test_lines_are_round_and_above_the_longest_run() -> None:
    for milliseconds in (1, 7, 99, 740, 3_333, 61_000, 7_200_000):
        longest = timedelta(milliseconds=milliseconds)
        assert longest <= nice(longest) <= 3 * max(longest, timedelta(milliseconds=1)) + timedelta(milliseconds=3)


@pytest.mark.parametrize(
    ("seconds", "lines"),
    [(70, ["30 s", "1 min", "1 min 30 s"]), (140, ["1 min", "2 min", "3 min"]), (2900, ["20 min", "40 min", "1 h"])],
)
def test_lines_of_long_runs_are_at_round_minutes(seconds: int, lines: list[str]) -> None:
    drawn = parse(draw_durations([Bar(NOW, "success", timedelta(seconds=seconds))], slots=60))

    assert [text.text for text in drawn.iter("text")] == lines


def test_failed_runs_are_crossed() -> None:
    bars = [Bar(NOW, "success", timedelta(seconds=2)), Bar(NOW, "error", timedelta(seconds=1))]

    drawn = parse(draw_durations(bars, slots=60))

    assert len(drawn.findall(".//path[@class='cross']")) == 1
    assert drawn.attrib["aria-label"] == "Last 2 runs, from 1.0 s to 2.0 s"


def test_spread_is_of_the_runs_that_succeeded() -> None:
    bars = [Bar(NOW, "success", timedelta(seconds=n)) for n in range(1, 21)] + [Bar(NOW, "error", timedelta(hours=1))]

    found = spread(bars)

    assert found.p50 is not None
    assert found.p95 is not None
    assert timedelta(seconds=10) <= found.p50 <= timedelta(seconds=11)
    assert timedelta(seconds=19) <= found.p95 <= timedelta(seconds=20)


def test_code_says_the_same_in_every_language() -> None:
    code = as_code(cron(), assistant="agent", url="http://127.0.0.1:2024")

    [item] = yaml.safe_load(code["YAML"])["crons"]
    assert (item["name"], item["assistant"], item["labels"]) == ("news's", "agent", {"team": "growth"})
    assert item["input"] == {"say": 'a "b" \' $HOME'}
    assert item["config"] == {"configurable": {"depth": 2}}  # without the id that the server put there
    assert item["ostinato"] == {"timeout": "PT5M"}
    assert item["metadata"] == {"own": 1}

    call = ast.parse(code["Python"]).body[-1]
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    given = {word.arg: ast.literal_eval(word.value) for word in call.value.keywords}
    assert given["input"] == item["input"]
    assert given["on_run_completed"] == "keep"

    body = code["JavaScript"].partition('create("agent", ')[2].rpartition(");")[0]
    assert json.loads(body)["onRunCompleted"] == "keep"


def test_thread_cron_is_made_on_its_thread() -> None:
    thread = uuid4()

    code = as_code(cron(thread_id=thread, on_run_completed=None), assistant="agent", url="http://127.0.0.1:2024")

    assert f"create_for_thread(\n    '{thread}'" in code["Python"]
    assert f"/threads/{thread}/runs/crons" in code["curl"]


def test_large_input_is_not_written_as_code() -> None:
    large = {"input": {f"key{n}": n for n in range(100_000)}}

    code = as_code(cron(payload=large), assistant="agent", url="http://127.0.0.1:2024")

    assert set(code) == {"YAML", "Python", "JavaScript", "curl"}
    assert all("ostinato export" in text and len(text) < 100 for text in code.values())
