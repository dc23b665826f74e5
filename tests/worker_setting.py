"""Rows, graphs and a runtime for the tests of the worker."""

from __future__ import annotations

import json
import operator
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

import psycopg
from langgraph.func import entrypoint
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt
from psycopg.rows import DictRow, dict_row
from typing_extensions import TypedDict

from ostinato_shared.graphs import graph_source
from ostinato_shared.ids import new_id
from ostinato_shared.policies import read_policy
from ostinato_shared.project import Project
from ostinato_shared.settings import Settings
from ostinato_shared.task_names import DONE_CHANNEL
from ostinato_worker import firing
from ostinato_worker.checkpoint_writes import Fence
from ostinato_worker.lease import Lease
from ostinato_worker.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator


class Counted(TypedDict, total=False):
    seen: Annotated[list[str], operator.add]
    said: str


def one_node(function: Any, *, state: type = Counted, **options: Any) -> StateGraph[Any]:
    """A builder whose only node is this function."""
    builder: StateGraph[Any] = StateGraph(state, **options)
    builder.add_node("node", function)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder


async def count(state: Counted) -> Counted:
    return {"said": f"seen {len(state['seen'])}"}


def raise_error(_: Counted) -> Counted:
    raise ValueError("boom \0 of the node")


def exit_process(_: Counted) -> Counted:
    sys.exit(3)


async def exit_process_async(_: Counted) -> Counted:
    raise SystemExit(3)


def ask(_: Counted) -> Counted:
    return {"said": interrupt({"question": "go on?"})}


def answer(_: MessagesState) -> dict[str, Any]:
    return {"messages": [{"role": "ai", "content": "It is noon."}]}


@entrypoint()
async def doubled(given: dict[str, int]) -> int:
    return given["number"] * 2


GRAPHS: dict[str, Any] = {
    "count": one_node(count).compile(),
    "error": one_node(raise_error),
    "exit": one_node(exit_process),
    "exit_async": one_node(exit_process_async),
    "ask": one_node(ask),
    "answer": one_node(answer, state=MessagesState),
    "doubled": doubled,
}


@contextmanager
def running(database_uri: str, redis_uri: str, **graphs: Any) -> Iterator[Runtime]:
    """A worker's runtime with these graphs beside the usual ones, its lease held."""
    settings = Settings(database_uri=database_uri, redis_uri=redis_uri, slots=20, drain_seconds=0.2)
    sources = {name: graph_source(name, graph) for name, graph in {**GRAPHS, **graphs}.items()}
    runtime = Runtime(settings, Project(root=Path(), graphs=sources))
    runtime.start()
    lease = Lease(runtime)
    lease.hold()
    try:
        yield runtime
    finally:
        lease.release()
        runtime.close()


def settle(worker: Runtime) -> None:
    """Wait until this worker has no webhook to call any more."""

    async def settled() -> None:
        for task in list(worker.courier.under_way.values()):
            await task

    worker.run(settled())


async def execute_and_listen(worker: Runtime, run_id: UUID) -> str:
    """The run that waiters are told has ended."""
    async with worker.redis.pubsub() as pubsub:
        await pubsub.subscribe(DONE_CHANNEL)
        await firing.start(worker, run_id)
        async for message in pubsub.listen():
            if message["type"] == "message":
                return str(message["data"])
    raise AssertionError("nobody told")


class Database:
    """A synchronous look at, and hand in, the tables."""

    def __init__(self, uri: str) -> None:
        self.connection = psycopg.connect(uri, autocommit=True, row_factory=dict_row)

    def one(self, statement: str, *arguments: object) -> DictRow:
        row = self.connection.execute(statement, arguments).fetchone()
        assert row is not None, "no such row"
        return row

    def all(self, statement: str, *arguments: object) -> list[DictRow]:
        return self.connection.execute(statement, arguments).fetchall()

    def do(self, statement: str, *arguments: object) -> int:
        return self.connection.execute(statement, arguments).rowcount

    def assistant(self, graph_id: str = "count", *, config: object = None, context: object = None) -> UUID:
        assistant_id = new_id()
        self.do(
            "INSERT INTO assistant (assistant_id, graph_id, name, config, context, metadata, version)"
            " VALUES (%s, %s, %s, %s, %s, '{}', 1)",
            assistant_id, graph_id, graph_id, json.dumps(config or {}), json.dumps(context or {}),
        )  # fmt: skip
        return assistant_id

    def thread(self, **metadata: object) -> UUID:
        thread_id = new_id()
        self.do("INSERT INTO thread (thread_id, metadata) VALUES (%s, %s)", thread_id, json.dumps(metadata))
        return thread_id

    def cron(
        self, assistant_id: UUID, *, thread_id: UUID | None = None, keep: bool = True, enabled: bool = True,
        end_time: datetime | None = None, metadata: dict[str, Any] | None = None, **payload: object,
    ) -> UUID:  # fmt: skip
        policy = read_policy(metadata or {}).stored()
        cron_id = new_id()
        payload.setdefault("input", {"seen": ["x"]})
        self.do(
            "INSERT INTO cron (cron_id, assistant_id, thread_id, schedule, end_time, enabled, on_run_completed,"
            " metadata, payload, policy) VALUES (%s, %s, %s, '* * * * *', %s, %s, %s, %s, %s, %s)",
            cron_id, assistant_id, thread_id, end_time, enabled,
            None if thread_id else "keep" if keep else "delete", json.dumps(metadata or {}), json.dumps(payload),
            policy and json.dumps(policy),
        )  # fmt: skip
        return cron_id

    def firing(self, cron_id: UUID, *, due_in: float = 0.0, trigger: str = "schedule") -> UUID:
        firing_id = new_id()
        self.do(
            "INSERT INTO firing (firing_id, cron_id, fire_time, outcome, trigger, cron_revision, assistant_id)"
            " VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s), 'due', %s, 1, %s)",
            firing_id, cron_id, due_in, trigger, uuid4(),
        )  # fmt: skip
        return firing_id

    def enqueue(
        self, thread_id: UUID, assistant_id: UUID, *, strategy: str = "enqueue", completion: str = "keep",
        delay: float = 0, **payload: object,
    ) -> UUID:  # fmt: skip
        run_id = new_id()
        payload.setdefault("input", {"seen": ["x"]})
        verdict = self.one(
            "SELECT * FROM ostinato_enqueue(%s, %s, %s, %s, %s, %s, '', %s)",
            run_id, thread_id, assistant_id, json.dumps(payload), strategy, completion, delay,
        )  # fmt: skip
        assert verdict["verdict"] == "made"
        return run_id

    def running(self, worker: Runtime) -> Fence:
        """A run that this worker executes, as far as the tables know."""
        run_id = self.enqueue(self.thread(), self.assistant())
        self.do(
            "UPDATE run SET status = 'running', owner = %s, attempt = 1 WHERE run_id = %s", worker.worker_id, run_id
        )
        return Fence(run_id, worker.worker_id, 1)

    def firing_row(self, firing_id: UUID) -> DictRow:
        return self.one("SELECT * FROM firing WHERE firing_id = %s", firing_id)

    def run_row(self, run_id: UUID) -> DictRow:
        return self.one("SELECT * FROM run WHERE run_id = %s", run_id)

    def thread_row(self, thread_id: UUID) -> DictRow:
        return self.one("SELECT * FROM thread WHERE thread_id = %s", thread_id)


def yesterday() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)
