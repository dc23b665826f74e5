"""The shape of an assistant's graph: nodes and edges, JSON Schemas, subgraphs."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

import typing_extensions
from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from ostinato_shared.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ostinato_shared.graphs import Graph
    from ostinato_shared.models import Assistant
    from ostinato_shared.project import Project

# What pydantic raises for types that have no JSON Schema: a graph may have such a state, and still runs.
NO_SCHEMA = (PydanticUserError, PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, NameError, TypeError)


class GraphGoneError(NotFoundError):
    def __init__(self, graph_id: str) -> None:
        super().__init__(f"Graph '{graph_id}' is not in the project any more")


def open_graph(assistant: Assistant, project: Project) -> AbstractAsyncContextManager[Graph]:
    """The assistant's graph, to be looked at only."""
    source = project.graphs.get(assistant.graph_id)
    if source is None:
        raise GraphGoneError(assistant.graph_id)
    configurable = {**(assistant.config.get("configurable") or {}), "assistant_id": str(assistant.assistant_id)}
    config: Any = {**assistant.config, "configurable": configurable}
    return source.open(config, checkpointer=None, access_context="assistants.read")


async def draw(graph: Graph, *, xray: bool | int) -> dict[str, Any]:
    """Nodes and edges as `{"nodes": [...], "edges": [...]}`; `xray` opens subgraphs, so many levels or all."""
    drawn = await graph.aget_graph(xray=xray)
    nodes = [_node(node) for node in drawn.to_json()["nodes"]]
    return {"nodes": nodes, "edges": drawn.to_json()["edges"]}


def _node(node: dict[str, Any]) -> dict[str, Any]:
    if node["id"] == "__start__":
        return {**node, "data": {"name": "__start__"}}
    return node


def schemas(graph: Graph) -> dict[str, Any]:
    """The JSON Schemas of a graph; null for what pydantic cannot describe."""
    builder = getattr(graph, "builder", None)  # only a compiled StateGraph has one
    state = getattr(builder, "state_schema", None)
    context = _described(graph.context_schema)
    given = _described(getattr(builder, "input_schema", None) or graph.get_input_schema())
    made = _described(getattr(builder, "output_schema", None) or graph.get_output_schema())
    return {
        "input_schema": given,
        "output_schema": made,
        "state_schema": _described(state) if state is not None else made,
        "config_schema": context,
        "context_schema": context,
    }


async def subgraphs(graph: Graph, *, namespace: str | None, recurse: bool) -> dict[str, Any]:
    """The JSON Schemas of a graph's subgraphs by their namespace."""
    found = graph.aget_subgraphs(namespace=namespace, recurse=recurse)
    return {name: schemas(typing.cast("Graph", subgraph)) async for name, subgraph in found}


def parse_xray(text: str) -> bool | int:
    """How deep to look: `true`, `false` or a number of levels."""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if text.isdecimal() and len(text) <= 3:  # noqa: PLR2004 - digits: no graph is a thousand levels deep
        return int(text) or False
    raise InvalidError("xray: must be true, false, or a number of levels")


def _described(kind: Any) -> dict[str, Any] | None:
    if kind is None:
        return None
    try:
        return TypeAdapter(_known(kind)).json_schema()
    except NO_SCHEMA:
        return None


def _known(kind: Any) -> Any:
    """The type as pydantic knows it: before Python 3.12 it refuses the standard library's TypedDict."""
    if not typing.is_typeddict(kind):
        return kind
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {
        name: _known(_bare(hint))
        if name in kind.__required_keys__
        else typing_extensions.NotRequired[_known(_bare(hint))]
        for name, hint in hints.items()
    }
    return typing_extensions.TypedDict(kind.__name__, fields)  # type: ignore[operator]  # made at run time


def _bare(hint: Any) -> Any:
    """A field's type without its mark of being required or not."""
    marked = typing.get_origin(hint) in {typing.Required, typing.NotRequired}
    return typing.get_args(hint)[0] if marked else hint
