"""What becomes of a run: every kind of graph, every kind of end."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.runtime import Runtime as GraphRuntime
from typing_extensions import TypedDict

from ostinato_worker import firing
from ostinato_worker.runtime import Runtime
from worker_setting import Counted, Database, count, one_node, running


@dataclass
class Tone:
    tone: str = "kind"


class Heard(TypedDict, total=False):
    heard: dict[str, Any]


def hear(_: Heard, config: RunnableConfig, runtime: GraphRuntime[Tone]) -> Heard:
    metadata, configurable = config["metadata"], config["configurable"]
    return {
        "heard": {
            "metadata": dict(metadata),
            "configurable": {key: value for key, value in configurable.items() if not key.startswith("__")},
            "tags": config.get("tags"),
            "limit": config.get("recursion_limit"),
            "tone": runtime.context.tone,
        }
    }


def from_factory(_: RunnableConfig) -> StateGraph[Any]:
    return one_node(count)


async def from_coroutine() -> Any:
    return one_node(count).compile()


@asynccontextmanager
async def from_context_manager(_: RunnableConfig) -> Any:
    yield one_node(count)


def broken_factory() -> StateGraph[Any]:
    raise RuntimeError("no key")


async def cancel_itself(_: Counted) -> Counted:
    raise asyncio.CancelledError


async def cancel_everything(_: Counted) -> Counted:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(0)
    return {}


class Panic(BaseException):
    """As libraries written in Rust raise it."""


class MuteError(Exception):
    def __str__(self) -> str:
        raise MuteError


async def panic(_: Counted) -> Counted:
    raise Panic("in Rust")


def fail_together(_: Counted) -> Counted:
    raise BaseExceptionGroup("all", [KeyboardInterrupt()])


def fail_mutely(_: Counted) -> Counted:
    raise MuteError


def exiting_factory() -> StateGraph[Any]:
    raise SystemExit("no key")


def loop_for_ever(_: Counted) -> Counted:
    return {"seen": ["again"]}


def deep(_: Counted) -> Counted:
    nested: Any = "bottom"
    for _level in range(20_000):
        nested = [nested]
    return {"said": nested}


endless = one_node(loop_for_ever)
endless.add_conditional_edges("node", lambda _: "node")

OWN_GRAPHS: dict[str, Any] = {
    "hear": one_node(hear, state=Heard, context_schema=Tone),
    "factory": from_factory,
    "coroutine": from_coroutine,
    "manager": from_context_manager,
    "broken": broken_factory,
    "cancel": one_node(cancel_itself),
    "cancel_all": one_node(cancel_everything),
    "panic": one_node(panic),
    "group": one_node(fail_together),
    "mute": one_node(fail_mutely),
    "exiting": exiting_factory,
    "endless": endless,
    "deep": one_node(deep),
}


@pytest.fixture
def worker(database_uri: str, redis_uri: str) -> Iterator[Runtime]:
    with running(database_uri, redis_uri, **OWN_GRAPHS) as runtime:
        yield runtime


def play(db: Database, worker: Runtime, graph: str, *, thread_id: UUID | None = None, **payload: Any) -> Any:
    """The ended run's row, its thread's under `thread`."""
    run_id = db.enqueue(thread_id or db.thread(), db.assistant(graph), **payload)
    worker.run(firing.start(worker, run_id))
    run = db.run_row(run_id)
    return {**run, "thread": db.thread_row(run["thread_id"])}


@pytest.mark.parametrize("graph", ["count", "factory", "coroutine", "manager"])
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_every_kind_of_graph_runs(db: Database, worker: Runtime, graph: str, durability: str) -> None:
    run = play(db, worker, graph, durability=durability)

    assert run["status"] == "success"
    assert run["thread"]["values"] == {"seen": ["x"], "said": "seen 1"}
    heads = db.all("SELECT metadata FROM checkpoints WHERE thread_id = %s", str(run["thread_id"]))
    assert len(heads) == (1 if durability == "exit" else 3)
    assert {head["metadata"]["run_id"] for head in heads} == {str(run["run_id"])}


def test_entrypoint_runs(db: Database, worker: Runtime) -> None:
    run = play(db, worker, "doubled", input={"number": 21})

    assert run["thread"]["values"] == 42


def test_messages_are_coerced_and_the_answer_is_kept(db: Database, worker: Runtime) -> None:
    cron = db.cron(db.assistant("answer"), input={"messages": [{"role": "user", "content": "What time is it?"}]})
    fired = db.firing(cron)

    worker.run(firing.fire(worker, fired))

    ledger = db.firing_row(fired)
    kinds = [
        (message["type"], message["content"]) for message in db.thread_row(ledger["thread_id"])["values"]["messages"]
    ]
    assert kinds == [("human", "What time is it?"), ("ai", "It is noon.")]
    assert ledger["output"] == "It is noon."


def test_graph_sees_config_metadata_and_context(db: Database, worker: Runtime) -> None:
    thread_id = db.thread(owner="me")
    run = play(
        db, worker, "hear", thread_id=thread_id, input={"heard": {}}, context={"tone": "stern"}, metadata={"team": "a"},
        config={
            "tags": ["nightly"], "recursion_limit": 7, "metadata": {"note": "n", "team": "b"},
            "configurable": {"mine": 1, "thread_id": "other", "__pregel_resuming": True},
        },
    )  # fmt: skip

    heard = run["thread"]["values"]["heard"]
    ids = {
        "run_id": str(run["run_id"]), "thread_id": str(thread_id), "assistant_id": str(run["assistant_id"]),
        "graph_id": "hear", "user_id": "",
    }  # fmt: skip
    assert heard["configurable"].items() >= {**ids, "mine": 1, "tone": "stern"}.items()
    assert heard["metadata"].items() >= {"created_by": "system", "owner": "me", "team": "a", "note": "n"}.items()
    assert (heard["metadata"]["run_id"], heard["metadata"]["attempt"]) == (str(run["run_id"]), 1)
    assert (heard["tags"], heard["limit"], heard["tone"]) == (["nightly"], 7, "stern")


def test_graph_with_a_context_schema_gets_its_defaults(db: Database, worker: Runtime) -> None:
    run = play(db, worker, "hear", input={"heard": {}})

    assert run["error"] is None
    assert run["thread"]["values"]["heard"]["tone"] == "kind"


def test_failed_run_says_why_everywhere(db: Database, worker: Runtime) -> None:
    cron = db.cron(db.assistant("error"))
    fired = db.firing(cron)

    worker.run(firing.fire(worker, fired))

    ledger = db.firing_row(fired)
    thread = db.thread_row(ledger["thread_id"])
    error = {"error": "ValueError", "message": "boom \ufffd of the node"}
    assert ledger["outcome"] == "error"
    assert ledger["error"] == thread["error"] == db.run_row(ledger["run_id"])["error"] == error
    assert thread["status"] == "error"
    assert thread["values"] == {"seen": ["x"]}  # where it got to
    assert db.one("SELECT consecutive_failures FROM cron WHERE cron_id = %s", cron)["consecutive_failures"] == 1


@pytest.mark.parametrize(
    ("graph", "error"),
    [
        ("exit", "SystemExit"),
        ("exit_async", "SystemExit"),
        ("cancel", "NodeCancelledError"),
        ("cancel_all", "CancelledError"),
        ("panic", "Panic"),
        ("group", "BaseExceptionGroup"),
        ("mute", "MuteError"),
        ("broken", "GraphLoadError"),
        ("exiting", "GraphLoadError"),
        ("endless", "GraphRecursionError"),
        ("gone", "UnknownGraphError"),
        ("deep", None),
    ],
)
def test_graph_that_misbehaves_ends_its_own_run_only(
    db: Database, worker: Runtime, graph: str, error: str | None
) -> None:
    run = play(db, worker, graph, config={"recursion_limit": 20})
    after = play(db, worker, "count")

    assert run["status"] == "error"
    assert error is None or run["error"]["error"] == error
    assert run["thread"]["status"] == "error"
    assert after["status"] == "success"


def test_long_messages_of_errors_are_capped(db: Database, worker: Runtime) -> None:
    run = play(db, worker, "x" * 6000)

    assert len(run["error"]["message"].encode()) == 4096


@pytest.mark.parametrize("given", [None, {}])
def test_run_without_input_fails_as_langgraph_has_it(db: Database, worker: Runtime, given: Any) -> None:
    run = play(db, worker, "count", input=given)

    assert run["error"]["error"] == "EmptyInputError" if given is None else run["status"] == "success"


def test_interrupt_ends_the_run_and_leaves_the_thread_waiting(db: Database, worker: Runtime) -> None:
    run = play(db, worker, "ask")

    [(task_id, interrupts)] = run["thread"]["interrupts"].items()
    assert run["status"] == "success"
    assert run["thread"]["status"] == "interrupted"
    assert run["thread"]["values"] == {"seen": ["x"]}
    assert UUID(task_id)
    assert [set(interrupt) for interrupt in interrupts] == [{"id", "value"}]
    assert interrupts[0]["value"] == {"question": "go on?"}


def test_answer_to_an_interrupt_finishes_the_graph(db: Database, worker: Runtime) -> None:
    thread_id = play(db, worker, "ask")["thread_id"]

    run = play(db, worker, "ask", thread_id=thread_id, input=None, command={"resume": "yes", "goto": []})

    assert run["thread"]["values"] == {"seen": ["x"], "said": "yes"}
    assert (run["thread"]["status"], run["thread"]["interrupts"]) == ("idle", {})


@pytest.mark.parametrize("where", [{"interrupt_before": ["node"]}, {"interrupt_before": "*"}])
def test_breakpoint_leaves_the_thread_interrupted_and_goes_on(db: Database, worker: Runtime, where: Any) -> None:
    stopped = play(db, worker, "count", **where)
    went_on = play(db, worker, "count", thread_id=stopped["thread_id"], input=None)

    assert (stopped["status"], stopped["thread"]["status"]) == ("success", "interrupted")
    assert stopped["thread"]["interrupts"] == {}
    assert stopped["thread"]["values"] == {"seen": ["x"]}
    assert went_on["thread"]["values"]["said"] == "seen 1"
    assert went_on["thread"]["status"] == "idle"


def test_run_can_go_on_from_an_earlier_checkpoint(db: Database, worker: Runtime) -> None:
    first = play(db, worker, "count")
    play(db, worker, "count", thread_id=first["thread_id"])
    start = db.one(
        "SELECT checkpoint_id FROM checkpoints WHERE thread_id = %s AND metadata ->> 'step' = '1'",
        str(first["thread_id"]),
    )["checkpoint_id"]

    run = play(db, worker, "count", thread_id=first["thread_id"], checkpoint={"checkpoint_id": start})

    assert run["thread"]["values"]["seen"] == ["x", "x"]  # of the first run and this one, not of the second


@pytest.mark.parametrize("change", ["attempt = 2", "owner = gen_random_uuid()", "status = 'interrupted'"])
def test_finish_of_a_worker_that_lost_the_run_changes_nothing(
    db: Database, database_uri: str, redis_uri: str, change: str
) -> None:

    class Id(TypedDict, total=False):
        run_id: str

    async def take_away(_: Id, config: RunnableConfig) -> Id:
        run_id = config["configurable"]["run_id"]
        await asyncio.to_thread(db.do, f"UPDATE run SET {change} WHERE run_id = %s", run_id)  # noqa: S608 - constants
        return {"run_id": run_id}

    with running(database_uri, redis_uri, victim=one_node(take_away, state=Id)) as worker:
        run = play(db, worker, "victim", input={"run_id": ""}, durability="exit")

    assert run["thread"]["values"] is None
    assert run["ended_at"] is None
    assert run["error"] is None


def test_second_attempt_goes_on_where_the_first_one_wrote_the_head(db: Database, worker: Runtime) -> None:
    thread_id = db.thread()
    run_id = db.enqueue(thread_id, db.assistant("count"), interrupt_before=["node"])
    worker.run(firing.start(worker, run_id))
    db.do("UPDATE run SET status = 'pending', kwargs = kwargs - 'interrupt_before' WHERE run_id = %s", run_id)

    worker.run(firing.start(worker, run_id))

    assert db.run_row(run_id)["attempt"] == 2
    assert db.thread_row(thread_id)["values"]["seen"] == ["x"]  # the input was not given twice


def test_cancelled_run_of_a_stopping_worker_is_handed_on(db: Database, database_uri: str, redis_uri: str) -> None:
    begun = asyncio.Event()

    async def wait(_: Counted) -> Counted:
        begun.set()
        await asyncio.Event().wait()
        return {}

    with running(database_uri, redis_uri, waiting=one_node(wait)) as worker:
        run_id = db.enqueue(db.thread(), db.assistant("waiting"))

        async def stop() -> None:
            run = asyncio.create_task(firing.start(worker, run_id))
            await begun.wait()
            worker.stopping.set()
            worker.under_way[run_id].cancel()
            await run

        worker.run(stop())
        worker.send_put_off()
        message = json.loads(worker.run(worker.redis.rpop("ostinato")))

    row = db.run_row(run_id)
    assert (row["status"], row["owner"], row["attempt"]) == ("pending", None, 1)
    assert str(run_id) in message["body"]
