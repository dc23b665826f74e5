"""From a run's row to the call of its graph: config, input and options as LangGraph takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ostinato_shared.commands import build_command, says_something

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from ostinato_shared.graphs import Graph
    from ostinato_shared.queries.runs import RunRow

INTERNAL = "__"  # LangGraph's own keys of `configurable`: not for clients
COORDINATES = ("checkpoint_ns", "checkpoint_id", "checkpoint_map")
PASSED_ON = ("tags", "recursion_limit", "max_concurrency")


def build_config(run: RunRow, *, from_start: bool = True) -> RunnableConfig:
    """The config that the graph sees. A run that goes on (`from_start` False) goes on from the head."""
    given = _object(run.kwargs.get("config"))
    configurable = {
        key: value
        for key, value in _object(given.get("configurable")).items()
        if not key.startswith(INTERNAL) and (from_start or key not in COORDINATES)
    }
    if from_start:
        configurable |= _coordinates(run.kwargs)
    config: dict[str, Any] = {key: given[key] for key in PASSED_ON if given.get(key) is not None}
    config["configurable"] = configurable
    config["metadata"] = _object(given.get("metadata")) | run.metadata | _ids(run)
    config["run_id"] = run.run_id
    return config  # type: ignore[return-value]  # a TypedDict that is put together key by key


def build_input(run: RunRow) -> Any:
    """The graph's input: what the client gave, or its command."""
    command = run.kwargs.get("command")
    return build_command(command) if command and says_something(command) else run.kwargs.get("input")


def build_options(run: RunRow, graph: Graph) -> dict[str, Any]:
    """The other arguments of the graph's call."""
    kwargs = run.kwargs
    options = {key: kwargs[key] for key in ("interrupt_before", "interrupt_after") if kwargs.get(key)}
    context = kwargs.get("context")
    if context or graph.context_schema is not None:
        options["context"] = context or {}
    options["durability"] = kwargs.get("durability") or _durability(kwargs.get("checkpoint_during"))
    return options


def _durability(checkpoint_during: bool | None) -> str:  # noqa: FBT001 - the wire's own deprecated flag
    return "exit" if checkpoint_during is False else "async"


def _coordinates(kwargs: dict[str, Any]) -> dict[str, Any]:
    checkpoint = _object(kwargs.get("checkpoint"))
    if kwargs.get("checkpoint_id"):
        checkpoint = {**checkpoint, "checkpoint_id": kwargs["checkpoint_id"]}
    return {key: checkpoint[key] for key in COORDINATES if checkpoint.get(key)}


def _ids(run: RunRow) -> dict[str, Any]:
    """What tells a graph which run it is in, and a later attempt whether the head is this run's."""
    return {"run_id": str(run.run_id), "attempt": run.attempt}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
