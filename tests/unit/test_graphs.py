"""Every kind of object that langgraph.json can name becomes a graph on the server's checkpointer."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator  # noqa: TC003 - the annotations are evaluated
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig  # noqa: TC002 - the annotations are evaluated
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.store.memory import InMemoryStore
from langgraph_sdk.runtime import ServerRuntime  # noqa: TC002 - the annotations are evaluated

from ostinato_shared.errors import ProjectError
from ostinato_shared.graphs import GraphLoadError, graph_source

Graph = CompiledStateGraph[Any, Any, Any, Any]
CONFIG: RunnableConfig = {"configurable": {"thread_id": "1", "word": "tick"}}


class State(TypedDict, total=False):
    word: str


@dataclass
class Context:
    endpoint: str


def builder(word: str = "tick") -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(State)
    graph.add_node("say", lambda _: {"word": word})
    graph.add_edge(START, "say")
    return graph


def compiled(word: str = "tick") -> Graph:
    return builder(word).compile()


def no_argument() -> Graph:
    return compiled()


def by_config(config: RunnableConfig) -> Graph:
    return compiled(config["configurable"]["word"])


def by_lone_argument(settings):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - as people write it
    return compiled(settings["configurable"]["word"])


def by_keyword(*, config: RunnableConfig | None = None, depth: int = 1) -> Graph:
    assert config
    assert depth == 1
    return compiled(config["configurable"]["word"])


def makes_a_builder() -> StateGraph[Any, Any, Any, Any]:
    return builder()


async def coroutine() -> Graph:
    await asyncio.sleep(0)
    return compiled()


async def coroutine_by_config(config: RunnableConfig) -> Graph:
    return compiled(config["configurable"]["word"])


@contextmanager
def manager() -> Iterator[Graph]:
    yield compiled()


@asynccontextmanager
async def async_manager(config: RunnableConfig) -> AsyncIterator[Graph]:
    yield compiled(config["configurable"]["word"])


def bare_generator() -> Iterator[Graph]:
    yield compiled()


async def bare_async_generator() -> AsyncIterator[Graph]:
    yield compiled()


async def coroutine_to_manager() -> Any:
    return async_manager(CONFIG)


def needs_more(model: str, tools: list[str]) -> Graph:
    return compiled(f"{model} {tools}")


def needs_more_than_config(config: RunnableConfig, model: str) -> Graph:
    return compiled(f"{config} {model}")


class Maker:
    def __call__(self, config: RunnableConfig) -> Graph:
        return compiled(config["configurable"]["word"])


def by_runtime(runtime: ServerRuntime[Context]) -> Graph:
    assert runtime.access_context == "threads.create_run"
    return compiled()


def by_config_and_runtime(config: RunnableConfig, rt: ServerRuntime) -> Graph:  # type: ignore[type-arg] # as documented
    assert rt.user is None
    return compiled(config["configurable"]["word"])


FACTORIES: list[Callable[..., Any]] = [
    *(no_argument, by_config, by_lone_argument, by_keyword, makes_a_builder, coroutine, coroutine_by_config),
    *(manager, async_manager, bare_generator, bare_async_generator, coroutine_to_manager),
    *(Maker(), partial(by_config), by_runtime, by_config_and_runtime),
]


@pytest.mark.parametrize(
    "target", [compiled(), builder(), *FACTORIES], ids=lambda t: getattr(t, "__name__", str(t))[:40]
)
async def test_any_kind_runs_on_the_servers_checkpointer_and_store(target: object) -> None:
    source = graph_source("agent", target)
    saver, store = InMemorySaver(), InMemoryStore()

    async with source.open(CONFIG, checkpointer=saver, store=store) as graph:
        values = await graph.ainvoke({}, CONFIG)

    assert values == {"word": "tick"}
    assert isinstance(graph, Pregel)
    assert (graph.checkpointer, graph.store, graph.name) == (saver, store, "agent")
    assert await saver.aget_tuple(CONFIG)


async def test_an_entrypoint_is_a_graph() -> None:
    @entrypoint()
    async def double(number: int) -> int:
        return number * 2

    async with graph_source("double", double).open(CONFIG, checkpointer=InMemorySaver()) as graph:
        assert await graph.ainvoke(21, CONFIG) == 42


async def test_own_checkpointer_and_default_name_give_way_but_a_given_name_stays() -> None:
    own, servers = InMemorySaver(), InMemorySaver()
    target = builder().compile(checkpointer=own, name="mine")

    async with graph_source("agent", target).open(CONFIG, checkpointer=servers) as graph:
        await graph.ainvoke({}, CONFIG)

    assert graph.name == "mine"
    assert await servers.aget_tuple(CONFIG)
    assert await own.aget_tuple(CONFIG) is None
    assert target.checkpointer is own


async def test_one_graph_opened_twice_keeps_its_checkpointers_apart() -> None:
    source = graph_source("agent", compiled())
    first, second = InMemorySaver(), InMemorySaver()

    async with source.open(CONFIG, checkpointer=first) as one, source.open(CONFIG, checkpointer=second) as other:
        assert (one.checkpointer, other.checkpointer) == (first, second)


async def test_the_types_that_a_graph_may_read_back_are_kept() -> None:
    target = compiled()
    target._serde_allowlist = {("mine", "Kind")}

    async with graph_source("agent", target).open(CONFIG, checkpointer=InMemorySaver()) as graph:
        assert graph._serde_allowlist == {("mine", "Kind")}


async def test_plain_factories_run_off_the_loop_and_coroutines_on_it() -> None:
    threads: list[int] = []

    def plain() -> Graph:
        threads.append(threading.get_ident())
        return compiled()

    async def cooperative() -> Graph:
        threads.append(threading.get_ident())
        return compiled()

    for factory in (plain, cooperative):
        async with graph_source("agent", factory).open(CONFIG, checkpointer=None):
            pass

    assert [thread == threading.get_ident() for thread in threads] == [False, True]


async def test_runtime_carries_the_context_as_its_class_in_runs_and_none_in_reads() -> None:
    seen: list[Any] = []

    def factory(runtime: ServerRuntime[Context]) -> Graph:
        seen.append(runtime.execution_runtime and runtime.execution_runtime.context)
        return compiled()

    source = graph_source("agent", factory)
    async with source.open(CONFIG, checkpointer=None, context={"endpoint": "e"}):
        pass
    async with source.open(CONFIG, checkpointer=None, access_context="threads.read"):
        pass

    assert seen == [Context("e"), None]


@pytest.mark.parametrize("kind", [contextmanager, asynccontextmanager])
async def test_a_manager_is_left_after_the_run_and_cannot_swallow_its_error(kind: Any) -> None:
    events: list[str] = []

    def plain() -> Iterator[Graph]:
        try:
            yield compiled()
        except ValueError:
            events.append("swallowed")
        finally:
            events.append("left")

    async def cooperative() -> AsyncIterator[Graph]:
        try:
            yield compiled()
        except ValueError:
            events.append("swallowed")
        finally:
            events.append("left")

    source = graph_source("agent", kind(plain if kind is contextmanager else cooperative))
    with pytest.raises(ValueError, match="of the run"):
        async with source.open(CONFIG, checkpointer=None):
            raise ValueError("of the run")

    assert events == ["swallowed", "left"]


async def test_a_failing_factory_is_named_without_the_servers_paths() -> None:
    def factory() -> Graph:
        raise ValueError("no model")

    with pytest.raises(GraphLoadError, match=r"^Graph 'agent': its factory failed: ValueError: no model$") as caught:
        async with graph_source("agent", factory).open(CONFIG, checkpointer=None):
            pass

    assert isinstance(caught.value, ProjectError)
    assert isinstance(caught.value.__cause__, ValueError)


async def test_a_factory_that_exits_has_failed() -> None:
    def factory() -> Graph:
        sys.exit("no key")

    with pytest.raises(GraphLoadError, match=r"^Graph 'agent': its factory failed: SystemExit: no key$"):
        async with graph_source("agent", factory).open(CONFIG, checkpointer=None):
            pass


async def test_a_factory_that_makes_something_else_is_told_what_to_make() -> None:
    with pytest.raises(GraphLoadError, match=r"'agent'.*made a dict\. Make a compiled graph"):
        async with graph_source("agent", dict).open(CONFIG, checkpointer=None):
            pass


def test_a_builder_that_cannot_be_compiled_says_why() -> None:
    graph = StateGraph(State)
    graph.add_edge(START, "nowhere")

    with pytest.raises(ProjectError, match=r"'agent' cannot be compiled: ValueError: .*nowhere"):
        graph_source("agent", graph)


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        (7, "is a int. Name a compiled graph"),
        (manager(), "name the function that makes the context manager"),
        (needs_more, "asks for model, tools, which nobody can give"),
        (needs_more_than_config, "asks for model, which nobody can give"),
    ],
)
def test_other_objects_are_refused_with_advice(target: object, advice: str) -> None:
    with pytest.raises(ProjectError, match=advice):
        graph_source("agent", target)
