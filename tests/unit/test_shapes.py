import operator
import typing
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typing_extensions
from langgraph.func import entrypoint
from langgraph.graph import END, START, MessagesState, StateGraph

from ostinato_api import shapes
from ostinato_shared.errors import InvalidError


class Inner(typing.TypedDict):
    text: str


class State(typing.TypedDict, total=False):
    notes: Annotated[list[str], operator.add]
    inner: typing_extensions.Required[Inner]


class Answer(typing.TypedDict):
    notes: list[str]


@dataclass
class Context:
    model: str = "small"


class Odd:
    """No type that pydantic knows."""


def nested() -> Any:
    inner = StateGraph(State).add_node("node", _same).add_edge(START, "node").add_edge("node", END)
    outer = StateGraph(State).add_node("inner", inner.compile()).add_edge(START, "inner")
    top = StateGraph(State, context_schema=Context, output_schema=Answer).add_node("first", _same)
    top.add_node("outer", outer.compile()).add_edge(START, "first").add_edge("outer", END)
    return top.add_conditional_edges("first", lambda _: "go", {"go": "outer", "stop": END}).compile()


def _same(state: State) -> State:
    return state


@pytest.mark.parametrize(
    ("xray", "nodes"),
    [(False, {"outer"}), (1, {"outer:inner"}), (2, {"outer:inner:node"}), (True, {"outer:inner:node"})],
)
async def test_xray_opens_so_many_levels(*, xray: bool | int, nodes: set[str]) -> None:
    drawn = await shapes.draw(nested(), xray=xray)

    assert {node["id"] for node in drawn["nodes"]} == {"__start__", "first", "__end__"} | nodes
    conditional = [edge["source"] for edge in drawn["edges"] if edge.get("conditional")]
    assert conditional == ["first", "first"]
    assert all(edge.get("conditional") is not False for edge in drawn["edges"])


def test_schemas_follow_the_declared_types() -> None:
    described = shapes.schemas(nested())

    assert described["state_schema"]["required"] == ["inner"]
    assert set(described["state_schema"]["properties"]) == {"notes", "inner"}
    assert set(described["output_schema"]["properties"]) == {"notes"}
    assert described["context_schema"]["properties"]["model"]["default"] == "small"


def test_messages_and_functions_have_schemas() -> None:
    @entrypoint()
    def double(number: int) -> int:
        return number * 2

    messages = StateGraph(MessagesState).add_node("node", lambda _: {}).add_edge(START, "node").compile()

    assert "messages" in shapes.schemas(messages)["input_schema"]["properties"]
    assert shapes.schemas(double)["input_schema"]["type"] == "integer"


def test_what_has_no_schema_is_null() -> None:
    class Strange(typing.TypedDict):
        odd: Odd

    graph = StateGraph(Strange).add_node("node", _same).add_edge(START, "node").compile()

    assert shapes.schemas(graph)["state_schema"] is None


@pytest.mark.parametrize(
    ("namespace", "recurse", "names"),
    [
        (None, False, ["outer"]),
        (None, True, ["outer", "outer|inner"]),
        ("outer|inner", True, ["outer|inner"]),
        ("x", True, []),
    ],
)
async def test_subgraphs_are_named_by_their_path(namespace: str | None, names: list[str], *, recurse: bool) -> None:
    found = await shapes.subgraphs(nested(), namespace=namespace, recurse=recurse)

    assert list(found) == names
    assert all("notes" in described["state_schema"]["properties"] for described in found.values())


def test_depths() -> None:
    assert [shapes.parse_xray(text) for text in ("true", "False", "0", "1", "12")] == [True, False, False, 1, 12]
    for text in ("", "yes", "-1", "1.5", "\u0663\u00b2"):
        with pytest.raises(InvalidError):
            shapes.parse_xray(text)
