"""A run that stands in a gate until it is let through, for the tests of cancelling."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from langgraph.graph import END, START, StateGraph

from ostinato_worker import firing
from worker_setting import Counted

if TYPE_CHECKING:
    from uuid import UUID

    from ostinato_worker.runtime import Runtime
    from worker_setting import Database


class Gate:
    """A node that stands until it is let through, and says when it stands."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.stubborn = False

    async def node(self, _: Counted) -> Counted:
        self.entered.set()
        while True:
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                if not self.stubborn:
                    raise
            else:
                return {"seen": ["through"]}


def first(_: Counted) -> Counted:
    return {"seen": ["first"]}


def chain(**nodes: Any) -> Any:
    """A graph of these nodes, one after the other."""
    builder: StateGraph[Any] = StateGraph(Counted)
    names = list(nodes)
    for name, node in nodes.items():
        builder.add_node(name, node)
    for source, target in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(source, target)
    return builder.compile()


def cancel(db: Database, thread_id: UUID, run_id: UUID, *, action: str = "interrupt") -> tuple[str, UUID | None] | None:
    rows = db.all("SELECT * FROM ostinato_cancel(%s, %s, %s, 'cancelled')", thread_id, run_id, action)
    return (rows[0]["verdict"], rows[0]["next_run_id"]) if rows else None


async def standing(worker: Runtime, gate: Gate, run_id: UUID) -> asyncio.Task[None]:
    """The run under way, in its gate."""
    gate.entered.clear()
    task = asyncio.create_task(firing.start(worker, run_id))
    await gate.entered.wait()
    return task


def checkpoints(db: Database, thread_id: UUID) -> dict[str, list[Any]]:
    tables = ("checkpoints", "checkpoint_writes", "checkpoint_blobs")
    return {t: db.all(f"SELECT * FROM {t} WHERE thread_id = %s ORDER BY 1, 2, 3, 4", str(thread_id)) for t in tables}  # noqa: S608 - names from above


def head_of(db: Database, thread_id: UUID) -> dict[str, Any]:
    """The metadata of the thread's latest checkpoint."""
    newest = "SELECT metadata FROM checkpoints WHERE thread_id = %s ORDER BY checkpoint_id DESC LIMIT 1"
    metadata: dict[str, Any] = db.one(newest, str(thread_id))["metadata"]
    return metadata
