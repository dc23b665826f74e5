"""LangGraph's snapshots of a thread's state as the SDKs read them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.types import StateSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langgraph.types import Interrupt, PregelTask

Json = dict[str, Any]

PLACE = ("thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map")
ERROR_LIMIT = 4096  # characters of an error's text


def empty_state() -> Json:
    """The state of a thread that has none, or at a checkpoint that does not exist."""
    return {
        "values": {},
        "next": [],
        "tasks": [],
        "metadata": None,
        "created_at": None,
        "checkpoint": None,
        "parent_checkpoint": None,
        "interrupts": [],
        "checkpoint_id": None,
        "parent_checkpoint_id": None,
    }


def state(snapshot: StateSnapshot) -> Json:
    """The contract's thread state; its values are the graph's own objects still."""
    if snapshot.metadata is None:  # LangGraph found no checkpoint
        return empty_state()
    checkpoint = place(snapshot.config)
    parent = place(snapshot.parent_config)
    return {
        "values": snapshot.values,
        "next": list(snapshot.next),
        "tasks": [_task(task) for task in snapshot.tasks],
        "metadata": snapshot.metadata,
        "created_at": snapshot.created_at,
        "checkpoint": checkpoint,
        "parent_checkpoint": parent,
        "interrupts": questions(snapshot.interrupts),
        "checkpoint_id": checkpoint and checkpoint.get("checkpoint_id"),
        "parent_checkpoint_id": parent and parent.get("checkpoint_id"),
    }


def place(config: Mapping[str, Any] | None) -> Json | None:
    """Where a checkpoint lies: what of its config a client may see and send back."""
    if config is None:
        return None
    configurable = config.get("configurable", {})
    return {name: configurable[name] for name in PLACE if name in configurable}


def questions(interrupts: Iterable[Interrupt]) -> list[Json]:
    """What a graph that stopped asks."""
    return [{"id": interrupt.id, "value": interrupt.value} for interrupt in interrupts]


def pending_questions(snapshot: StateSnapshot) -> Json:
    """The same by the id of the task that asks: a thread's `interrupts`."""
    return {task.id: questions(task.interrupts) for task in snapshot.tasks if task.interrupts}


def _task(task: PregelTask) -> Json:
    inside = task.state
    return {
        "id": task.id,
        "name": task.name,
        "path": list(task.path),
        "error": _error(task.error),
        "interrupts": questions(task.interrupts),
        "checkpoint": None if isinstance(inside, StateSnapshot) else place(inside),
        "state": state(inside) if isinstance(inside, StateSnapshot) else None,
        "result": task.result,
    }


def _error(error: object) -> str | None:
    if error is None:
        return None
    text = repr(error) if isinstance(error, BaseException) else str(error)
    return text[:ERROR_LIMIT]
