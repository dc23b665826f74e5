"""The fenced checkpointer beside the stock one, and after its run was taken away."""

import asyncio
import random
import uuid
from typing import Annotated, Any

import langgraph.checkpoint.base.id as id_clock
import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from ostinato_shared.graphs import Graph
from ostinato_shared.ids import new_id
from ostinato_worker import firing
from ostinato_worker.checkpoints import FencedSaver, LeaseLostError
from ostinato_worker.runtime import Runtime
from worker_setting import Database, running

TABLES = {
    "checkpoints": "checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata",
    "checkpoint_blobs": "checkpoint_ns, channel, version, type, blob",
    "checkpoint_writes": "checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path",
}


class Mixed(MessagesState, total=False):
    number: int
    flag: bool | None
    items: Annotated[list[str], lambda old, new: (old or []) + new]
    tree: dict[str, Any]


def build_mixed() -> StateGraph[Any]:
    """A graph with inline and blob channels, sends, a subgraph and an interrupt."""

    def plan(_: Mixed) -> dict[str, Any]:
        return {"number": 7, "flag": None, "tree": {"a": [1, 2.5, None]}, "messages": [AIMessage("planned", id="m2")]}

    def fan(_: Mixed) -> list[Send]:
        return [Send("work", {"items": [name]}) for name in "abc"]

    def work(state: Mixed) -> dict[str, Any]:
        return {"items": [f"{state['items'][0]}!"]}

    def ask(_: Mixed) -> dict[str, Any]:
        return {"items": [interrupt("go on?")]}

    inner = StateGraph(Mixed)
    inner.add_node("ask", ask)
    inner.add_edge(START, "ask")
    builder = StateGraph(Mixed)
    builder.add_node("plan", plan)
    builder.add_node("work", work)
    builder.add_node("inner", inner.compile())
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", fan, ["work"])
    builder.add_edge("work", "inner")
    builder.add_edge("inner", END)
    return builder


async def play(graph: Graph, thread_id: str, durability: Any) -> None:
    config: Any = {
        "configurable": {"thread_id": thread_id, "run_id": "r"},
        "metadata": {"nested": {}, "step_name": "x"},
    }
    given = {"messages": [{"role": "user", "content": "hi", "id": "m1"}]}
    await graph.ainvoke(given, config, durability=durability)
    await graph.ainvoke(Command(resume="yes"), config, durability=durability)


@pytest.fixture
def same_ids(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the ids, the times and the channel versions of two plays the same."""

    def reset() -> None:
        numbers, generator = iter(range(1, 10_000)), random.Random(1)  # noqa: S311 - to have the same twice
        monkeypatch.setattr(
            "langgraph.pregel._checkpoint.uuid6",
            lambda **_: id_clock.UUID(int=(0x1F << 120) | (next(numbers) << 80) | (6 << 76) | (1 << 63)),
        )
        monkeypatch.setattr("langgraph.checkpoint.postgres.base.random.random", generator.random)

    return reset


def rows_of(db: Database, thread_id: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for table, columns in TABLES.items():
        statement = f"SELECT {columns} FROM {table} WHERE thread_id = %s ORDER BY {columns.replace('metadata', 'type')}"  # noqa: S608 - constants
        found[table] = [tuple(row.values()) for row in db.connection.execute(statement, (thread_id,), prepare=False)]
    for row in found["checkpoints"]:
        row[4].pop("ts")
    return found


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_rows_are_those_of_the_stock_saver(
    db: Database, database_uri: str, worker: Runtime, same_ids: Any, durability: str
) -> None:
    fence = db.running(worker)

    async def both() -> None:
        connection = await AsyncConnection.connect(database_uri, autocommit=True, row_factory=dict_row)
        async with connection:
            savers: dict[str, BaseCheckpointSaver[str]] = {
                f"stock-{durability}": AsyncPostgresSaver(connection),
                f"fenced-{durability}": FencedSaver(worker.writer, fence, on_lost=lambda: None),
            }
            for thread_id, saver in savers.items():
                same_ids()
                await play(build_mixed().compile(checkpointer=saver), thread_id, durability)

    worker.run(both())

    stock, fenced = (rows_of(db, f"{name}-{durability}") for name in ("stock", "fenced"))
    assert {table: len(rows) for table, rows in stock.items()} == {table: len(rows) for table, rows in fenced.items()}
    assert fenced == stock
    assert all(stock.values())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE run SET owner = gen_random_uuid() WHERE run_id = %s",
        "UPDATE run SET attempt = 2 WHERE run_id = %s",
        "UPDATE run SET status = 'interrupted' WHERE run_id = %s",
        "DELETE FROM run WHERE run_id = %s",
    ],
)
def test_nothing_is_written_once_the_run_row_changed(db: Database, worker: Runtime, change: str) -> None:
    fence = db.running(worker)
    lost: list[bool] = []

    async def write() -> None:
        saver = FencedSaver(worker.writer, fence, on_lost=lambda: lost.append(True))
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"big": [1, 2]}
        place: Any = {"configurable": {"thread_id": f"t-{fence.run_id}", "checkpoint_ns": ""}}
        with pytest.raises(LeaseLostError):
            await saver.aput(place, checkpoint, {"source": "input", "step": -1}, {"big": "1.0"})
        place["configurable"]["checkpoint_id"] = checkpoint["id"]
        for channel in ("x", "__interrupt__"):
            with pytest.raises(LeaseLostError):
                await saver.aput_writes(place, [(channel, 1)], str(uuid.uuid4()))

    db.do(change, fence.run_id)
    worker.run(write())

    assert lost == [True, True, True]
    assert not any(rows_of(db, f"t-{fence.run_id}").values())


def test_run_that_was_taken_over_stops_at_once_and_changes_nothing(
    db: Database, database_uri: str, redis_uri: str
) -> None:
    begun, reached_the_end = asyncio.Event(), False

    async def first(_: Mixed) -> dict[str, Any]:
        begun.set()
        await taken.wait()
        return {"number": 1}

    async def second(_: Mixed) -> dict[str, Any]:
        nonlocal reached_the_end
        await asyncio.sleep(30)
        reached_the_end = True
        return {"number": 2}

    builder = StateGraph(Mixed).add_node("first", first).add_node("second", second)
    builder.add_edge(START, "first").add_edge("first", "second")
    taken = asyncio.Event()
    with running(database_uri, redis_uri, slow=builder) as worker:
        run_id = db.enqueue(db.thread(), db.assistant("slow"), input={"number": 0})

        async def lose() -> None:
            under_way = asyncio.create_task(firing.start(worker, run_id))
            await begun.wait()
            await asyncio.to_thread(db.do, "UPDATE run SET owner = %s, attempt = 2 WHERE run_id = %s", new_id(), run_id)
            taken.set()
            await asyncio.wait_for(under_way, 10)

        worker.run(lose())

    assert not reached_the_end
    assert db.run_row(run_id)["status"] == "running"
    assert db.thread_row(db.run_row(run_id)["thread_id"])["values"] is None


def test_values_that_jsonb_has_not_come_back_whole(db: Database, worker: Runtime) -> None:
    fence = db.running(worker)

    async def there_and_back() -> Any:
        saver = FencedSaver(worker.writer, fence, on_lost=lambda: None)
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"text": "a\0b", "half": "a\ud83d", "number": float("inf"), "plain": 1}
        checkpoint["channel_versions"] = dict.fromkeys(checkpoint["channel_values"], "1.0")
        place: Any = {"configurable": {"thread_id": "odd", "checkpoint_ns": ""}}
        await saver.aput(place, checkpoint, {}, checkpoint["channel_versions"])
        found = await saver.aget_tuple(place)
        assert found is not None
        return found.checkpoint["channel_values"]

    # A lone surrogate is no text in UTF-8: LangGraph's own serializer makes a question mark of it.
    assert worker.run(there_and_back()) == {"text": "a\0b", "half": "a?", "number": float("inf"), "plain": 1}


def test_ids_made_after_reading_a_head_are_newer_than_it(
    db: Database, worker: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence = db.running(worker)
    monkeypatch.setattr(id_clock, "_last_v6_timestamp", None)
    now = id_clock.uuid6().time
    ahead = now + 50_000_000  # five seconds, in steps of 100 ns
    monkeypatch.setattr(id_clock, "_last_v6_timestamp", ahead)
    head = empty_checkpoint()
    monkeypatch.setattr(id_clock, "_last_v6_timestamp", None)

    async def read() -> None:
        saver = FencedSaver(worker.writer, fence, on_lost=lambda: None)
        place: Any = {"configurable": {"thread_id": "ahead", "checkpoint_ns": ""}}
        await saver.aput(place, head, {}, {})
        assert str(id_clock.uuid6()) < head["id"]
        await saver.aget_tuple(place)

    worker.run(read())

    assert str(id_clock.uuid6()) > head["id"]
