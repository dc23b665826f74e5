"""Where a run begins: at its input, or where an earlier attempt of it got to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ostinato_worker.calls import build_input

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.types import Command, StateSnapshot

    from ostinato_shared.graphs import Graph
    from ostinato_shared.queries.runs import RunRow
    from ostinato_worker.checkpoints import FencedSaver

STEP = "loop"  # LangGraph's word for a checkpoint that a step wrote
OWN_STOPS = (STEP, "input")  # a fork is written on the way past a breakpoint


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the graph is given; or, if the run had come to its stop already, the state that it left there."""

    given: Any = None
    stop: StateSnapshot | None = None


async def head_is_of(saver: FencedSaver, run: RunRow) -> bool:
    """Whether an earlier attempt of this run wrote the thread's head."""
    head = await saver.aget_tuple({"configurable": {"thread_id": str(run.thread_id)}})
    return head is not None and head.metadata.get("run_id") == str(run.run_id)


async def go_on(graph: Graph, run: RunRow, config: RunnableConfig) -> Beginning:
    """The beginning of a run whose earlier attempt wrote the head."""
    head = await graph.aget_state(config)
    return Beginning(stop=head if _asks(head) or await _stands_at_breakpoint(graph, run, head) else None)


async def begin(
    graph: Graph, run: RunRow, config: RunnableConfig, *, record: Callable[[list[str]], Awaitable[None]]
) -> Beginning:
    """The beginning of a run that starts from its input. One that answers interrupts first records which.

    An answer goes to the interrupt that it was given for, and to no later one.
    """
    given = build_input(run)
    resume = (run.kwargs.get("command") or {}).get("resume")
    if resume is None or config["configurable"].get("checkpoint_id"):
        return Beginning(given)
    head = await graph.aget_state(config)
    pending = {interrupt.id for interrupt in head.interrupts}
    if run.answers is not None:
        return _answer_again(given, head, answers=pending & set(run.answers))
    answers = pending & resume.keys() if isinstance(resume, dict) and pending & resume.keys() else pending
    if answers:
        await record(sorted(answers))
    return Beginning(_addressed(given, answers) if len(pending) == 1 else given)


def _answer_again(given: Command[Any], head: StateSnapshot, *, answers: set[str]) -> Beginning:
    """Nothing to answer any more: the answers were used, by an attempt that asked anew or got past all questions."""
    if answers:
        return Beginning(_addressed(given, answers))
    return Beginning(stop=head if head.interrupts else None)


def _addressed(command: Command[Any], answers: set[str]) -> Command[Any]:
    """The command with the answers by the ids of their interrupts."""
    resume = command.resume
    if isinstance(resume, dict) and answers & resume.keys():
        return replace(command, resume={key: resume[key] for key in answers & resume.keys()})
    return replace(command, resume=dict.fromkeys(answers, resume))


def _asks(head: StateSnapshot) -> bool:
    """Whether all that is left to do waits for answers."""
    asking = sorted(task.name for task in head.tasks if task.interrupts)
    return bool(asking) and asking == sorted(head.next)


async def _stands_at_breakpoint(graph: Graph, run: RunRow, head: StateSnapshot) -> bool:
    source = (head.metadata or {}).get("source")
    before = run.kwargs.get("interrupt_before") or graph.interrupt_before_nodes
    if source in OWN_STOPS and _meet(head.next, before):
        return True
    after = run.kwargs.get("interrupt_after") or graph.interrupt_after_nodes
    if source != STEP or not after or head.parent_config is None:
        return False
    return _meet((await graph.aget_state(head.parent_config)).next, after)


def _meet(nodes: Sequence[str], named: str | Sequence[str]) -> bool:
    return bool(nodes) and (named == "*" or any(node in named for node in nodes))
