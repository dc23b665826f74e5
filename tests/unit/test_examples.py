"""The examples' agent: a real tool call without a key, a real model with one."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from ostinato_shared.project import load_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.runnables import RunnableConfig

    from ostinato_shared.project import Project

EXAMPLES = Path(__file__).parents[2] / "examples"
ASK = {"messages": [{"role": "user", "content": "What time is it?"}]}


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    modules, path = set(sys.modules), list(sys.path)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MODEL", "LANGGRAPH_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    yield load_project(EXAMPLES / "langgraph.json")
    for name in set(sys.modules) - modules:
        if (file := getattr(sys.modules[name], "__file__", None)) and Path(file).parent == EXAMPLES:
            del sys.modules[name]
    sys.path[:] = path


async def test_every_question_on_a_thread_is_answered_by_a_call_of_the_tool(project: Project) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}

    async with project.graphs["agent"].open(config, checkpointer=InMemorySaver()) as graph:
        for _ in range(3):
            values: dict[str, Any] = await graph.ainvoke(ASK, config)

    assert [message.type for message in values["messages"]] == ["human", "ai", "tool", "ai"] * 3
    for asked, told, answer in zip(*(values["messages"][start::4] for start in (1, 2, 3)), strict=True):
        assert isinstance(asked, AIMessage)
        assert isinstance(told, ToolMessage)
        assert [call["name"] for call in asked.tool_calls] == ["current_time"]
        assert told.tool_call_id == asked.tool_calls[0]["id"]
        assert answer.content == f"It is {told.content}."


async def test_other_questions_are_answered_without_a_tool(project: Project) -> None:
    async with project.graphs["agent"].open({}, checkpointer=None) as graph:
        values = await graph.ainvoke({"messages": [{"role": "user", "content": "Who are you?"}]})

    assert [message.type for message in values["messages"]] == ["human", "ai"]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("environ", "model"),
    [
        ({"OPENAI_API_KEY": "k"}, "openai:"),
        ({"ANTHROPIC_API_KEY": "k"}, "anthropic:"),
        ({"OPENAI_API_KEY": "k", "MODEL": "openai:mine"}, "openai:mine"),
    ],
)
def test_a_key_chooses_the_real_model(environ: dict[str, str], model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    models = importlib.import_module("chat_models")
    monkeypatch.setattr(models, "init_chat_model", lambda name: name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert models.chat_model().startswith(model)


@pytest.mark.usefixtures("project")
def test_a_key_without_its_package_says_so_and_the_scripted_model_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    models = importlib.import_module("chat_models")

    def refuse(name: str) -> None:
        raise ImportError(f"pip install the package of {name}")

    monkeypatch.setattr(models, "init_chat_model", refuse)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    caplog.set_level(logging.WARNING, logger=models.__name__)  # whatever other tests of this process have set

    assert isinstance(models.chat_model(), models.ScriptedModel)
    assert "pip install the package of openai:" in caplog.text

    monkeypatch.setenv("MODEL", "openai:mine")
    with pytest.raises(ImportError, match="openai:mine"):
        models.chat_model()
