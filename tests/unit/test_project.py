"""langgraph.json as people write it: what is taken, what stops the start, and the advice that comes with it."""

from __future__ import annotations

import json
import pickle
import sys
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from ostinato_shared.errors import ProjectError
from ostinato_shared.project import load_project

if TYPE_CHECKING:
    from pathlib import Path

    from ostinato_shared.graphs import GraphSource

pytestmark = pytest.mark.usefixtures("restored")
AGENT = """
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    word: str

graph = StateGraph(State)
graph.add_node("say", lambda _: {"word": WORD})
graph.add_edge(START, "say")
"""


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def project(root: Path, files: dict[str, str] | None = None, **sections: Any) -> Path:
    """A langgraph.json with `./agent.py:graph`, unless told otherwise."""
    write(root, {"agent.py": agent(), **(files or {})})
    path = root / "langgraph.json"
    path.write_text(json.dumps({"dependencies": ["."], "graphs": {"agent": "./agent.py:graph"}, **sections}))
    return path


def agent(word: str = "'tick'") -> str:
    return AGENT.replace("WORD", word)


async def word(source: GraphSource) -> Any:
    async with source.open({}, checkpointer=None) as graph:
        return (await graph.ainvoke({}))["word"]


async def test_graphs_come_with_name_and_description_from_files_and_modules(tmp_path: Path) -> None:
    graphs = {
        "a": "./agent.py:graph",
        "b": {"path": "pack.graphs:graph", "description": "Says tock."},
        "c": {"path": "pack/graphs.py:graph"},
    }
    files = {"pack/__init__.py": "", "pack/words.py": "WORD = 'tock'"}
    files["pack/graphs.py"] = "from .words import WORD\nfrom pack import words\n" + agent("words.WORD and WORD")

    loaded = load_project(project(tmp_path, files, graphs=graphs))

    assert loaded.root == tmp_path
    assert {name: (source.name, source.description) for name, source in loaded.graphs.items()} == {
        "a": ("a", None),
        "b": ("b", "Says tock."),
        "c": ("c", None),
    }
    assert [await word(source) for source in loaded.graphs.values()] == ["tick", "tock", "tock"]


async def test_a_file_that_python_finds_by_itself_is_not_loaded_twice(tmp_path: Path) -> None:
    files = {"pack/graphs.py": agent("id(State)"), "pack/other.py": "from pack.graphs import State, graph as g"}

    loaded = load_project(
        project(
            tmp_path, files, graphs={"a": "./pack/graphs.py:graph", "b": "./pack/other.py:g", "c": "pack.graphs:graph"}
        )
    )

    words = {await word(source) for source in loaded.graphs.values()}
    assert words == {id(sys.modules["pack.graphs"].State)}


@pytest.mark.parametrize("dependency", [".", "./mine", "./src"])
async def test_a_package_is_importable_by_its_name_however_its_folder_is_given(tmp_path: Path, dependency: str) -> None:
    for top in ("mine", "src/mine"):
        write(tmp_path, {f"{top}/__init__.py": "", f"{top}/words.py": "WORD = 'tock'"})
    place = "src/mine" if dependency == "./src" else "mine"
    write(tmp_path, {f"{place}/graphs.py": "from mine.words import WORD\n" + agent("WORD")})

    loaded = load_project(project(tmp_path, dependencies=[dependency], graphs={"a": f"./{place}/graphs.py:graph"}))

    assert await word(loaded.graphs["a"]) == "tock"


async def test_a_src_layout_is_importable_without_being_installed(tmp_path: Path) -> None:
    files = {
        "src/mine/words.py": "WORD = 'tock'",
        "src/mine/graphs.py": "from mine.words import WORD\n" + agent("WORD"),
    }

    loaded = load_project(project(tmp_path, files, graphs={"a": "./src/mine/graphs.py:graph"}))

    assert await word(loaded.graphs["a"]) == "tock"
    assert "mine.graphs" in sys.modules


@pytest.mark.parametrize("name", ["types.py", "json.py", "my-agent.py"])
async def test_a_file_named_like_a_module_of_python_or_like_none_gets_a_name_of_its_own(
    tmp_path: Path, name: str
) -> None:
    text = agent() + "class Thing: pass\n"
    there = set(sys.modules)

    loaded = load_project(project(tmp_path, {name: text}, graphs={"a": f"./{name}:graph"}))

    assert await word(loaded.graphs["a"]) == "tick"
    [module] = [sys.modules[new] for new in set(sys.modules) - there if new.startswith("ostinato_graph_")]
    assert isinstance(pickle.loads(pickle.dumps(module.Thing())), module.Thing)  # noqa: S301 - our own bytes


async def test_modules_called_like_our_folders_live_beside_ours(tmp_path: Path) -> None:
    files = {f"{name}/__init__.py": f"WORD = {name!r}" for name in ("api", "shared", "worker", "beat", "cli")}
    files["agent.py"] = "import api, shared, worker, beat, cli\n" + agent("api.WORD + shared.WORD")

    loaded = load_project(project(tmp_path, files))

    assert await word(loaded.graphs["agent"]) == "apishared"


def test_paths_are_appended_and_once(tmp_path: Path) -> None:
    before = list(sys.path)

    load_project(project(tmp_path, {"libs/x.py": ""}, dependencies=[".", "./libs"]))
    load_project(tmp_path / "langgraph.json")

    assert sys.path == [*before, str(tmp_path), str(tmp_path / "libs")]


@pytest.mark.parametrize("env", [{"OSTI_A": "new", "OSTI_B": "new", "OSTI_N": 7}, "conf/.env"])
async def test_env_reaches_the_graphs_and_existing_variables_win(
    tmp_path: Path, env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTI_B", "old")
    files = {"conf/.env": "OSTI_A=new\nOSTI_B=new # comment\nexport OSTI_N='7'\nBARE\n"}
    files["agent.py"] = "import os\n" + agent("[os.environ[f'OSTI_{c}'] for c in 'ABN']")

    loaded = load_project(project(tmp_path, files, env=env))

    assert await word(loaded.graphs["agent"]) == ["new", "old", "7"]


def test_assistant_configs_come_from_langgraph_config_by_graph(tmp_path: Path) -> None:
    configs = {"agent": {"configurable": {"model": "m"}}, "gone": {}}

    with capture_logs() as logs:
        loaded = load_project(project(tmp_path, env={"LANGGRAPH_CONFIG": json.dumps(configs)}))

    assert loaded.assistant_configs == {"agent": {"configurable": {"model": "m"}}}
    assert [(entry["event"], entry["graph"]) for entry in logs] == [("project_config_without_graph", "gone")]


@pytest.mark.parametrize("text", ["/srv/langgraph.json", "[]", '{"agent": 3}'])
def test_a_langgraph_config_that_is_no_json_by_graph_says_where_the_file_is_named(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGGRAPH_CONFIG", text)

    with pytest.raises(ProjectError, match=r"LANGGRAPH_CONFIG must be JSON.*--config or OSTINATO_CONFIG"):
        load_project(project(tmp_path))


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"auth": {"path": "./auth.py:auth"}}, "auth"),
        ({"encryption": {"path": "./e.py:e"}}, "encryption"),
        ({"http": {}}, "http"),
        ({"store": {"ttl": {}}}, "store"),
        ({"checkpointer": {"ttl": {"strategy": "delete"}}}, r"checkpointer\.ttl"),
        ({"auth": {"path": "x"}, "http": {"app": "x"}}, "auth, http"),
    ],
)
def test_sections_that_are_not_built_stop_the_start_before_anything_is_imported(
    tmp_path: Path, sections: dict[str, Any], named: str
) -> None:
    path = project(tmp_path, {"agent.py": "raise SystemExit"}, **sections)

    with pytest.raises(ProjectError, match=rf"has {named}: not supported yet.*Remove it.*unsafe"):
        load_project(path)


def test_unknown_keys_warn_irrelevant_and_empty_ones_do_not(tmp_path: Path) -> None:
    sections: dict[str, Any] = {
        "python_version": "3.11",
        "dockerfile_lines": [],
        "$schema": "x",
        "ui": {},
        "auth": None,
    }
    sections |= {"grahps": {}, "checkpointer": {"serde": {}}}

    with capture_logs() as logs:
        load_project(project(tmp_path, **sections))

    assert [(entry["event"], entry["key"]) for entry in logs] == [
        ("project_key_unknown", "checkpointer.serde"),
        ("project_key_unknown", "grahps"),
    ]


def test_a_package_that_is_not_installed_is_warned_of_by_name_and_the_others_are_not(tmp_path: Path) -> None:
    needs = ["langgraph>=1", "langchain_core[x] ; python_version>'3'", "pyyaml", "no-such-thing>=2", "git+https://x/y"]

    with capture_logs() as logs:
        load_project(project(tmp_path, dependencies=[".", *needs]))

    assert [(entry["event"], entry["dependency"]) for entry in logs] == [
        ("project_dependency_missing", "no-such-thing>=2")
    ]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ('{"graphs": {\n  "a": }', r"line 2, column 8"),
        ("[]", "does not fit"),
        ("{}", "names no graphs. Add"),
        ('{"graphs": {}}', "names no graphs. Add"),
        ('{"graphs": {"a": 3}}', r"does not fit: graphs\.a"),
        ('{"graphs": {"a": {"description": "x"}}}', r"graphs\.a\.GraphEntry\.path: Field required"),
        ('{"graphs": {"a": "x:y"}, "dependencies": "."}', "dependencies"),
        ('{"graphs": {"a": "x:y"}, "env": {"A": "1\\u0000"}}', r"env\..*A"),
        ('{"graphs": {"a": "x:y"}, "env": "no.env"}', r"no .*no\.env.*Make it, or remove"),
        ('{"graphs": {"a": "x:y"}, "dependencies": ["./no"]}', "no folder .*/no"),
        ("\xff", "UTF-8"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_file_that_does_not_fit_says_where_and_what(tmp_path: Path, text: str, advice: str) -> None:
    path = tmp_path / "langgraph.json"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(ProjectError, match=advice) as caught:
        load_project(path)

    assert str(tmp_path) in str(caught.value)


def test_a_missing_file_and_a_folder_name_the_path_and_the_option(tmp_path: Path) -> None:
    for path in (tmp_path / "langgraph.json", tmp_path):
        with pytest.raises(ProjectError, match=rf"{path}.*--config"):
            load_project(path)


@pytest.mark.parametrize(
    ("reference", "text", "advice"),
    [
        ("./agent.py", "", "not a place of a graph"),
        ("./agent.py:", "", "not a place of a graph"),
        ("./agent.py:a.b", "", "not a place of a graph"),
        ("./nope.py:graph", "", r"no file .*nope\.py"),
        ("./agent.ts:graph", "", "JavaScript"),
        ("./agent.txt:graph", "", "no file"),
        ("./agent.py:grahp", "graph = 1", r"has no 'grahp'. Did you mean 'graph'\?"),
        ("./agent.py:graph", "graph = 1", "is a int. Name a compiled graph"),
        ("./agent.py:graph", "x = 1\nimport absent_thing", r"agent\.py:2: .*`pip install absent_thing` in the environ"),
        ("./agent.py:graph", "import declared_thing.sub", "`pip install declared-thing>=2`"),
        ("./agent.py:graph", "import langgraph.absent", "langgraph is there, but has no langgraph.absent"),
        ("./agent.py:graph", "\n\n1 / 0", r"agent\.py:3: ZeroDivisionError: division by zero"),
        ("./agent.py:graph", "def f(:", r"agent\.py:1: SyntaxError"),
        ("./agent.py:graph", "import sys\nsys.exit('bye')", r"agent\.py:2: SystemExit: bye"),
        ("./agent.py:graph", "from . import x", r"agent\.py:1.*folder that holds the file's package"),
        ("./agent.py:graph", "import json\njson.loads('?')", r"agent\.py:2: JSONDecodeError"),
        ("absent_thing.mod:graph", "", "`pip install absent_thing`"),
        ("./broken/inner.py:graph", "", r"broken/__init__\.py:1: .*`pip install absent_thing`"),
    ],
)
def test_a_graph_that_cannot_be_loaded_says_what_to_do(tmp_path: Path, reference: str, text: str, advice: str) -> None:
    files = {"agent.py": text, "broken/__init__.py": "import absent_thing", "broken/inner.py": ""}
    path = project(tmp_path, files, graphs={"mine": reference}, dependencies=[".", "declared-thing>=2"])

    with pytest.raises(ProjectError, match=advice) as caught:
        load_project(path)

    assert "'mine'" in str(caught.value)


def test_a_file_that_failed_can_be_repaired_and_loaded_again(tmp_path: Path) -> None:
    path = project(tmp_path, {"my-agent.py": "1 / 0"}, graphs={"a": "./my-agent.py:graph"})
    with pytest.raises(ProjectError):
        load_project(path)

    write(tmp_path, {"my-agent.py": agent()})

    assert set(load_project(path).graphs) == {"a"}
