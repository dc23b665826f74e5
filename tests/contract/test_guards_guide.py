"""What docs/guards.md shows is what the server takes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_setting import fetch, serve_api, settings
from ostinato_shared.policies import READERS, read_policy

GUIDE = (Path(__file__).parents[2] / "docs" / "guards.md").read_text()
ADDRESS = "http://127.0.0.1:2024"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def url(database_uri: str, redis_uri: str, tmp_path: Path) -> Iterator[str]:
    with serve_api(settings(database_uri, redis_uri, tmp_path)) as url:
        yield url


def test_the_guides_policy_is_valid_and_has_every_key() -> None:
    [shown] = map(json.loads, blocks("json"))

    assert read_policy(shown).stored() is not None
    assert shown["ostinato"].keys() == READERS.keys()
    assert re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE) == list(READERS)


def test_the_guides_python_runs(url: str, database_uri: str) -> None:
    [program] = blocks("python")
    assert ADDRESS in program

    exec(compile(program.replace(ADDRESS, url), "guards.md", "exec"), {})  # noqa: S102 - our own text

    events = fetch(database_uri, "SELECT kind, snapshot -> 'metadata' AS metadata FROM cron_event ORDER BY event_id")
    assert [event["kind"] for event in events] == ["created", "updated", "updated", "deleted"]
    assert events[1]["metadata"] == {"name": "daily-news", "ostinato": {"timeout": "PT10M"}}
    assert events[2]["metadata"] == {"name": "daily-news"}
