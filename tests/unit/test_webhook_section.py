"""The section `webhooks` as people write it: rules, headers from the environment, and what stops the start."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ostinato_shared.errors import ProjectError
from ostinato_shared.project import load_project
from ostinato_shared.webhook_policy import WebhookPolicy

if TYPE_CHECKING:
    from pathlib import Path

    from ostinato_shared.webhook_section import Webhooks

pytestmark = pytest.mark.usefixtures("restored")
AGENT = """
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    word: str

graph = StateGraph(State)
graph.add_node("say", lambda _: {"word": "tick"})
graph.add_edge(START, "say")
"""


def load(folder: Path, **sections: Any) -> Webhooks:
    (folder / "agent.py").write_text(AGENT)
    path = folder / "langgraph.json"
    path.write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}, **sections}))
    return load_project(path).webhooks


def test_without_the_section_http_may_go_to_public_addresses(tmp_path: Path) -> None:
    webhooks = load(tmp_path)

    assert webhooks.policy == WebhookPolicy(require_https=False, disable_loopback=True, allow_private_network=False)
    assert webhooks.headers == {}


@pytest.mark.parametrize("section", [{}, {"url": {}}, {"url": None, "headers": None}])
def test_with_the_section_https_is_required_unless_it_says_otherwise(tmp_path: Path, section: Any) -> None:
    assert load(tmp_path, webhooks=section).policy == WebhookPolicy(require_https=True)


def test_every_rule_is_taken(tmp_path: Path) -> None:
    url = {
        "require_https": False, "allowed_domains": ["*.example.com"], "allowed_ports": [443], "max_url_length": 100,
        "disable_loopback": False,
    }  # fmt: skip

    policy = load(tmp_path, webhooks={"url": url}, env={"ALLOW_PRIVATE_NETWORK": "true"}).policy

    assert policy == WebhookPolicy(
        require_https=False,
        allowed_domains=("*.example.com",),
        allowed_ports=frozenset({443}),
        max_url_length=100,
        disable_loopback=False,
        allow_private_network=True,
    )


@pytest.mark.parametrize(
    "section",
    [
        {"url": {"requires_https": True}}, {"urls": {}}, {"url": {"allowed_ports": [0]}},
        {"url": {"allowed_ports": "443"}},
        {"url": {"max_url_length": 0}}, {"url": {"allowed_domains": ["https://a.example"]}}, {"headers": {"a b": "x"}},
        {"headers": {"x": 7}}, {"headers": {"x\n": "y"}}, {"env_prefix": ""}, [],
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_read_stops_the_start(tmp_path: Path, section: Any) -> None:
    with pytest.raises(ProjectError, match="does not fit: webhooks"):
        load(tmp_path, webhooks=section)


def test_headers_are_filled_from_the_environment_several_to_a_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LG_WEBHOOK_USER", "me")
    monkeypatch.setenv("LG_WEBHOOK_EMPTY", "")
    headers = {
        "Authorization": "Basic ${{ env.LG_WEBHOOK_USER }}:${{env.LG_WEBHOOK_TOKEN}}",
        "X-Empty": "${{ env.LG_WEBHOOK_EMPTY }}",
        "X-Plain": "$HOME {{ x }}",
    }

    webhooks = load(tmp_path, webhooks={"headers": headers}, env={"LG_WEBHOOK_TOKEN": "s3cret"})

    assert webhooks.headers == {"Authorization": "Basic me:s3cret", "X-Empty": "", "X-Plain": "$HOME {{ x }}"}
    assert "s3cret" not in repr(webhooks)


def test_the_prefix_can_be_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_KEY", "k")
    headers = {"X-Key": "${{ env.HOOK_KEY }}"}

    assert load(tmp_path, webhooks={"env_prefix": "HOOK_", "headers": headers}).headers == {"X-Key": "k"}
    with pytest.raises(ProjectError, match=r"HOOK_KEY must begin with 'LG_WEBHOOK_'"):
        load(tmp_path, webhooks={"headers": headers})


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("${{ env.LG_WEBHOOK_GONE }}", "LG_WEBHOOK_GONE is not set"),
        ("${{ env.DATABASE_URI }}", "DATABASE_URI must begin with"),
        ("${{ LG_WEBHOOK_X }}", r"must be written \$\{\{ env.LG_WEBHOOK_NAME \}\}"),
        ("${{ env.LG_WEBHOOK_LINES }}", "no printable ASCII"),
    ],
)
def test_a_header_that_cannot_be_filled_stops_the_start_without_showing_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, advice: str
) -> None:
    monkeypatch.setenv("DATABASE_URI", "s3cret")
    monkeypatch.setenv("LG_WEBHOOK_LINES", "s3cret\r\nHost: evil")

    with pytest.raises(ProjectError, match=rf"webhooks\.headers\.X-Key: .*{advice}") as stopped:
        load(tmp_path, webhooks={"headers": {"X-Key": value}})

    assert "s3cret" not in str(stopped.value)


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding"])
def test_headers_of_the_request_itself_are_not_for_people(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProjectError, match="the server's own"):
        load(tmp_path, webhooks={"headers": {name: "x"}})


def test_the_switch_is_yes_or_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_PRIVATE_NETWORK", "perhaps")

    with pytest.raises(ProjectError, match="ALLOW_PRIVATE_NETWORK must be true or false"):
        load(tmp_path)
