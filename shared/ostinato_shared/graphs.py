"""From what langgraph.json names (graph, builder or factory) to a graph with the server's checkpointer."""

from __future__ import annotations

import asyncio
import copy
import inspect
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, is_dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import structlog
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph_sdk.runtime import AccessContext, _ExecutionRuntime, _ReadRuntime
from pydantic import BaseModel

from ostinato_shared.errors import ProjectError, message_of
from ostinato_shared.user_modules import where

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.store.base import BaseStore

log = structlog.get_logger()

Graph = Pregel[Any, Any, Any, Any]
Wish = Literal["config", "runtime"]

DEFAULT_NAME = "LangGraph"  # what LangGraph calls a graph that was given no name
KINDS = "a compiled graph, a StateGraph, an @entrypoint, or a function or context manager that makes one of these"


class GraphLoadError(ProjectError):
    """A factory of the user's failed, or made something that is no graph."""


@dataclass(frozen=True)
class Call:
    """What one opening of a graph may hand to its factory."""

    config: RunnableConfig
    store: BaseStore | None
    access_context: AccessContext
    context: Any


@dataclass(frozen=True)
class Factory:
    """A function of the user's, and which of its parameters get what."""

    function: Callable[..., Any]
    parameters: tuple[tuple[inspect.Parameter, Wish], ...]
    quick: bool  # only makes a coroutine or an async context manager: it needs no thread

    async def __call__(self, call: Call) -> Any:
        given = [(parameter, _wish(parameter, wish, call)) for parameter, wish in self.parameters]
        ask = partial(
            self.function,
            *(value for parameter, value in given if parameter.kind is parameter.POSITIONAL_ONLY),
            **{p.name: value for p, value in given if p.kind is not p.POSITIONAL_ONLY},
        )
        return ask() if self.quick else await asyncio.to_thread(ask)


@dataclass(frozen=True)
class GraphSource:
    """One graph of the project, ready to be opened for each run."""

    name: str
    description: str | None
    target: Graph | Factory

    @asynccontextmanager
    async def open(
        self,
        config: RunnableConfig,
        *,
        checkpointer: BaseCheckpointSaver[Any] | None,
        store: BaseStore | None = None,
        access_context: AccessContext = "threads.create_run",
        context: Any = None,
    ) -> AsyncIterator[Graph]:
        """The compiled graph on this checkpointer and store, whatever it was compiled with.

        Args:
            config: handed to factories that ask for it.
            checkpointer: the server's; None for reading a graph's shape only.
            store: the server's.
            access_context: why the graph is opened, for factories that ask for a `ServerRuntime`.
            context: the run's context, likewise.

        Raises:
            GraphLoadError: the factory raised, or made something else.
        """
        async with AsyncExitStack() as stack:
            graph = self.target
            if isinstance(graph, Factory):
                call = Call(config, store, access_context, context)
                graph = await self._make(graph, call, stack)
            yield self._served(graph, checkpointer, store)

    async def _make(self, factory: Factory, call: Call, stack: AsyncExitStack) -> Graph:
        try:
            made = await factory(call)
            while (step := _step(made)) is not None:
                made = await step(stack)
            graph = _ready(made)
        except (Exception, SystemExit) as error:  # an exit would end the api too, which opens graphs to read them
            reason = f"{type(error).__name__}: {message_of(error)}"  # clients read it: the place goes to the log alone
            log.warning("graph_factory_failed", graph=self.name, at=where(error), error=type(error).__name__)
            raise GraphLoadError(f"Graph {self.name!r}: its factory failed: {reason}") from error
        if graph is None:
            raise GraphLoadError(f"Graph {self.name!r}: its factory made a {type(made).__name__}. Make {KINDS}.")
        return graph

    def _served(self, graph: Graph, checkpointer: BaseCheckpointSaver[Any] | None, store: BaseStore | None) -> Graph:
        # Not Pregel.copy(): it validates anew (20 us, not 3) and forgets which types the graph may read back.
        served = copy.copy(graph)
        served.checkpointer = checkpointer
        served.store = store
        if served.name == DEFAULT_NAME:
            served.name = self.name
        return served


def graph_source(name: str, target: object, *, description: str | None = None) -> GraphSource:
    """The source of a graph, whatever kind of object the user names; a builder is compiled here, once.

    Raises:
        ProjectError: the object is none of the kinds, cannot be compiled, or asks for arguments that nobody has.
    """
    try:
        graph = _ready(target)
    except Exception as error:
        raise ProjectError(f"Graph {name!r} cannot be compiled: {type(error).__name__}: {error}") from error
    if graph is not None:
        return GraphSource(name, description, graph)
    if isinstance(target, AbstractContextManager | AbstractAsyncContextManager):
        raise ProjectError(f"Graph {name!r}: name the function that makes the context manager, not its result.")
    if not callable(target):
        raise ProjectError(f"Graph {name!r} is a {type(target).__name__}. Name {KINDS}.")
    return GraphSource(name, description, _factory(name, target))


def _ready(made: object) -> Graph | None:
    """The compiled graph, if this is one or can be compiled to one."""
    if isinstance(made, Pregel):
        return made
    return cast("Graph", made.compile()) if isinstance(made, StateGraph) else None


def _step(made: object) -> Callable[[AsyncExitStack], Any] | None:
    """How to get from this to a graph: await it, or enter it."""
    if inspect.isawaitable(made):
        return lambda _: made
    if isinstance(made, AbstractAsyncContextManager):
        return partial(_enter_async, made)
    return partial(_enter, made) if isinstance(made, AbstractContextManager) else None


async def _enter_async(manager: AbstractAsyncContextManager[Any], stack: AsyncExitStack) -> Any:
    made = await manager.__aenter__()

    async def leave(*error: Any) -> None:
        # The answer is dropped: a manager that swallows errors must not turn a cancelled run into a success.
        await manager.__aexit__(*error)

    stack.push_async_exit(leave)
    return made


async def _enter(manager: AbstractContextManager[Any], stack: AsyncExitStack) -> Any:
    made = await asyncio.to_thread(manager.__enter__)

    async def leave(*error: Any) -> None:
        await asyncio.to_thread(manager.__exit__, *error)

    stack.push_async_exit(leave)
    return made


def _factory(name: str, function: Callable[..., Any]) -> Factory:
    if inspect.isasyncgenfunction(function):
        function = asynccontextmanager(function)
    elif inspect.isgeneratorfunction(function):
        function = contextmanager(function)
    quick = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(inspect.unwrap(function))
    wishes: list[tuple[inspect.Parameter, Wish]] = []
    unknown: list[inspect.Parameter] = []
    for parameter in _signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        if wish := _asked(parameter):
            wishes.append((parameter, wish))
        elif parameter.default is parameter.empty:
            unknown.append(parameter)
    if len(unknown) == 1 and not wishes:
        return Factory(function, ((unknown[0], "config"),), quick)  # by custom a lone argument is the config
    if unknown:
        names = ", ".join(parameter.name for parameter in unknown)
        raise ProjectError(
            f"Graph {name!r}: its factory asks for {names}, which nobody can give. "
            "It may ask for `config: RunnableConfig` and `runtime: ServerRuntime`."
        )
    return Factory(function, tuple(wishes), quick)


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except (NameError, AttributeError, TypeError, SyntaxError):  # an annotation of TYPE_CHECKING only
        return inspect.signature(function)
    except ValueError:  # a builtin type, such as dict, that does not tell
        return inspect.Signature()


def _asked(parameter: inspect.Parameter) -> Wish | None:
    annotation = str(parameter.annotation)
    if "ServerRuntime" in annotation:
        return "runtime"
    if "RunnableConfig" in annotation:
        return "config"
    return cast("Wish", parameter.name) if parameter.name in {"config", "runtime"} else None


def _wish(parameter: inspect.Parameter, wish: Wish, call: Call) -> Any:
    if wish == "config":
        return call.config
    common: Mapping[str, Any] = {
        "access_context": call.access_context,
        "user": call.config.get("configurable", {}).get("langgraph_auth_user"),
        "store": call.store,
    }
    if call.access_context == "threads.create_run":
        return _ExecutionRuntime(**common, context=_typed(call.context, parameter))
    return _ReadRuntime(**common)


def _typed(context: Any, parameter: inspect.Parameter) -> Any:
    """The context as the class that `ServerRuntime[Class]` names, as LangGraph does it for the nodes."""
    schema = next(iter(get_args(parameter.annotation)), None)
    if (
        isinstance(context, dict)
        and isinstance(schema, type)
        and (is_dataclass(schema) or issubclass(schema, BaseModel))
    ):
        return schema(**context)
    return context
