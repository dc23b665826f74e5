"""A stranger's own project: the wheel in an empty environment, beside a package of theirs, in their own folder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from langgraph_sdk import get_sync_client

from built_wheel import UV, build_wheel, run
from whole_stack import running_dev

if TYPE_CHECKING:
    from pathlib import Path

GRAPH = """
from typing import TypedDict
import cowsay
from langgraph.graph import START, StateGraph
class State(TypedDict):
    said: str
def say(state: State) -> State:
    return {"said": cowsay.get_output_string("cow", state["said"])}
graph = StateGraph(State).add_node(say).add_edge(START, "say").compile()
"""
HOSTILE = "raise ImportError('a package of the same plain name was imported instead of Ostinato')\n"
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def ostinato(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `ostinato` command of an environment that holds the built wheel and one package of the user's."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build_wheel(folder)
    run(UV, "venv", "--python", sys.executable, folder / "venv")
    run(UV, "pip", "install", "--python", folder / "venv" / "bin" / "python", f"{wheel}[embedded]", "cowsay")
    return folder / "venv" / "bin" / "ostinato"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "langgraph.json").write_text('{"dependencies": ["."], "graphs": {"cow": "./cow.py:graph"}, "env": {}}')
    (tmp_path / "cow.py").write_text(GRAPH)
    for name in ("api", "beat", "worker", "shared", "cli"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(HOSTILE)
    return tmp_path


def test_wheel_runs_a_graph_that_imports_the_users_package(ostinato: Path, project: Path) -> None:
    config = project / "langgraph.json"

    with (
        running_dev(project / "data", "--no-flower", config=config, program=(str(ostinato),), cwd=project) as dev,
        get_sync_client(url=dev.url) as client,
    ):
        values = client.runs.wait(None, "cow", input={"said": "moo"})

    assert "moo" in values["said"]
    assert "(oo)" in values["said"]
