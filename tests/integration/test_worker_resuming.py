"""Where the next attempt of a run begins, whatever its first one got to."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from ostinato_worker import finishing, firing
from ostinato_worker.runtime import Runtime
from worker_setting import Counted, Database, one_node, running

BEGUN: list[str] = []  # names of nodes, in the order in which they began


def noting(name: str) -> Any:
    async def work(_: Counted) -> Counted:
        BEGUN.append(name)
        return {"seen": [name]}

    return work


def ask_once(_: Counted) -> Counted:
    BEGUN.append("ask")
    return {"said": interrupt("go on?")}


def ask_twice(_: Counted) -> Counted:
    BEGUN.append("ask")
    return {"said": f"{interrupt('name?')} {interrupt('sure?')}"}


class Dying:
    """A node that dies at its first answer: its run's graph is cut off without a word, as by a kill."""

    def __init__(self) -> None:
        self.runtime: Runtime
        self.died = False

    async def __call__(self, _: Counted) -> Counted:
        BEGUN.append("dying")
        said = interrupt("the other one?")
        if not self.died:
            self.died = True
            await asyncio.sleep(0.2)  # its neighbour's answer is written meanwhile
            for under_way in self.runtime.under_way.values():
                under_way.cancel()
            await asyncio.Event().wait()
        return {"seen": [said]}


async def dying(state: Counted) -> Counted:
    return await DYING(state)


def ask_first(_: Counted) -> Counted:
    return {"seen": [interrupt("the one?")]}


DYING = Dying()


def line(*names: str) -> StateGraph[Any]:
    builder: StateGraph[Any] = StateGraph(Counted)
    for name in names:
        builder.add_node(name, noting(name))
    for one, other in zip((START, *names), (*names, END), strict=True):
        builder.add_edge(one, other)
    return builder


def parallel() -> StateGraph[Any]:
    builder: StateGraph[Any] = StateGraph(Counted)
    for name, node in (("one", ask_first), ("other", dying)):
        builder.add_node(name, node)
        builder.add_edge(START, name)
    return builder


OWN_GRAPHS: dict[str, Any] = {
    "line": line("a", "b", "c"),
    "stops_itself": line("a", "b", "c").compile(interrupt_before=["b"]),
    "stops_itself_after": line("a", "b", "c").compile(interrupt_after=["a"]),
    "ask_once": one_node(ask_once),
    "ask_twice": one_node(ask_twice),
    "dying": one_node(dying),
    "parallel": parallel(),
}


@pytest.fixture
def worker(database_uri: str, redis_uri: str) -> Iterator[Runtime]:
    BEGUN.clear()
    with running(database_uri, redis_uri, **OWN_GRAPHS) as runtime:
        DYING.runtime, DYING.died = runtime, False
        yield runtime


def play(db: Database, worker: Runtime, graph: str, thread: UUID, **payload: Any) -> Any:
    """A run that nothing happens to."""
    run_id = db.enqueue(thread, db.assistant(graph), **payload)
    worker.run(firing.start(worker, run_id))
    return db.run_row(run_id)


def play_twice(db: Database, worker: Runtime, graph: str, thread: UUID, **payload: Any) -> Any:
    """The row of a run whose worker died at the latest between graph and finish, after its second attempt."""
    run_id = db.enqueue(thread, db.assistant(graph), **payload)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finishing, "conclude", _die)
        worker.run(firing.start(worker, run_id))
    assert db.run_row(run_id)["status"] == "running"
    take_over(db, worker, run_id)
    worker.run(firing.start(worker, run_id))
    row = db.run_row(run_id)
    assert row["attempt"] == 2
    return row


def take_over(db: Database, worker: Runtime, run_id: UUID) -> None:
    """Take the run from the worker, as the sweep does once its lease is over."""
    db.do("UPDATE worker SET expires_at = now() - interval '1 s' WHERE worker_id = %s", worker.worker_id)
    assert db.one("SELECT verdict FROM ostinato_take_over(%s, 3)", run_id)["verdict"] == "pending"


async def _die(*_: object) -> None:
    pass


def values(db: Database, thread: UUID) -> Any:
    return db.thread_row(thread)["values"]


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_run_that_had_come_to_its_end_runs_nothing_again(db: Database, worker: Runtime, durability: str) -> None:
    thread = db.thread()

    run = play_twice(db, worker, "line", thread, durability=durability)

    assert run["status"] == "success"
    assert BEGUN == ["a", "b", "c"]
    assert values(db, thread) == {"seen": ["x", "a", "b", "c"]}
    assert db.thread_row(thread)["status"] == "idle"


def test_exit_run_that_had_come_to_its_end_runs_nothing_again(db: Database, worker: Runtime) -> None:
    thread = db.thread()

    assert play_twice(db, worker, "line", thread, durability="exit")["status"] == "success"

    assert BEGUN == ["a", "b", "c"]


def test_entrypoint_that_had_come_to_its_end_keeps_its_value(db: Database, worker: Runtime) -> None:
    thread = db.thread()

    assert play_twice(db, worker, "doubled", thread, input={"number": 21})["status"] == "success"

    assert values(db, thread) == 42


@pytest.mark.parametrize(
    ("graph", "where", "begun"),
    [
        ("line", {"interrupt_before": ["b"]}, ["a"]),
        ("line", {"interrupt_before": ["a"]}, []),
        ("line", {"interrupt_before": "*"}, []),
        ("line", {"interrupt_after": ["a", "b"]}, ["a"]),
        ("line", {"interrupt_after": "*"}, ["a"]),
        ("stops_itself", {}, ["a"]),
        ("stops_itself_after", {}, ["a"]),
    ],
)
def test_run_that_stood_at_its_breakpoint_does_not_cross_it(
    db: Database, worker: Runtime, graph: str, where: Any, begun: list[str]
) -> None:
    thread = db.thread()

    run = play_twice(db, worker, graph, thread, **where)

    assert begun == BEGUN
    assert run["status"] == "success"
    assert db.thread_row(thread)["status"] == "interrupted"
    assert values(db, thread) == {"seen": ["x", *begun]}


def test_run_that_went_on_from_a_breakpoint_stops_at_the_next_one(db: Database, worker: Runtime) -> None:
    thread = db.thread()
    play(db, worker, "line", thread, interrupt_before="*")
    BEGUN.clear()

    play_twice(db, worker, "line", thread, input=None, interrupt_before="*")

    assert BEGUN == ["a"]
    assert values(db, thread) == {"seen": ["x", "a"]}
    assert db.thread_row(thread)["status"] == "interrupted"


def test_last_node_in_interrupt_after_leaves_the_thread_idle(db: Database, worker: Runtime) -> None:
    thread = db.thread()

    play_twice(db, worker, "line", thread, interrupt_after=["c"])

    assert BEGUN == ["a", "b", "c"]
    assert db.thread_row(thread)["status"] == "idle"


def test_run_that_had_asked_does_not_ask_again(db: Database, worker: Runtime) -> None:
    thread = db.thread()

    run = play_twice(db, worker, "ask_once", thread)

    [[asked]] = db.thread_row(thread)["interrupts"].values()
    assert BEGUN == ["ask"]
    assert asked["value"] == "go on?"
    assert (run["status"], db.thread_row(thread)["status"]) == ("success", "interrupted")


def test_answer_is_not_given_to_the_next_question(db: Database, worker: Runtime) -> None:
    thread = db.thread()
    play(db, worker, "ask_twice", thread)

    run = play_twice(db, worker, "ask_twice", thread, input=None, command={"resume": "Ann"})

    [[asked]] = db.thread_row(thread)["interrupts"].values()
    assert asked["value"] == "sure?"
    assert run["status"] == "success"
    assert BEGUN == ["ask", "ask"]

    play(db, worker, "ask_twice", thread, input=None, command={"resume": "yes"})

    assert values(db, thread)["said"] == "Ann yes"


def test_answer_that_was_used_to_the_end_is_not_used_again(db: Database, worker: Runtime) -> None:
    thread = db.thread()
    play(db, worker, "ask_once", thread)

    play_twice(db, worker, "ask_once", thread, input=None, command={"resume": "yes"})

    assert BEGUN == ["ask", "ask"]
    assert values(db, thread) == {"seen": ["x"], "said": "yes"}
    assert db.thread_row(thread)["status"] == "idle"


@pytest.mark.parametrize("answer", ["yes", {"a": "dict"}, False, 0, ["many"]])
def test_answer_that_was_not_used_is_given_again(db: Database, worker: Runtime, answer: Any) -> None:
    thread = db.thread()
    play(db, worker, "dying", thread)

    run = play_twice(db, worker, "dying", thread, input=None, command={"resume": answer})

    assert run["status"] == "success"
    assert values(db, thread)["seen"] == ["x", answer]
    assert db.thread_row(thread)["status"] == "idle"


def test_each_of_several_answers_reaches_its_own_question(db: Database, worker: Runtime) -> None:
    thread = db.thread()
    play(db, worker, "parallel", thread)
    asked = [one for task in db.thread_row(thread)["interrupts"].values() for one in task]
    answers = {one["id"]: one["value"].upper() for one in asked}
    assert len(answers) == 2

    run = play_twice(db, worker, "parallel", thread, input=None, command={"resume": answers})

    assert run["status"] == "success"
    assert values(db, thread)["seen"] == ["x", "THE ONE?", "THE OTHER ONE?"]
    assert db.thread_row(thread)["status"] == "idle"


def test_worker_that_gets_back_a_run_that_it_had_lost_executes_it(
    db: Database, database_uri: str, redis_uri: str
) -> None:
    begun = asyncio.Event()

    async def hang_once(_: Counted, config: RunnableConfig) -> Counted:
        if config["metadata"]["attempt"] == 1:
            begun.set()
            await asyncio.Event().wait()
        return {"said": "done"}

    with running(database_uri, redis_uri, hanging=one_node(hang_once)) as worker:
        run_id = db.enqueue(db.thread(), db.assistant("hanging"))

        async def lose_and_get_back() -> None:
            first = asyncio.create_task(firing.start(worker, run_id))
            await begun.wait()
            await asyncio.to_thread(take_over, db, worker, run_id)
            await firing.start(worker, run_id)
            await first

        worker.run(lose_and_get_back())
        assert worker.under_way == {}

    run = db.run_row(run_id)
    assert (run["status"], run["attempt"]) == ("success", 2)
    assert values(db, run["thread_id"])["said"] == "done"
