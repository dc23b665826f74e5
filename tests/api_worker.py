"""An api with graphs of many kinds, and a worker that does what a test tells it to."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis

from api_setting import fetch
from ostinato_shared.project import load_project
from ostinato_shared.task_names import LATE_QUEUE, QUEUE
from ostinato_worker.lease import Lease
from ostinato_worker.runtime import Runtime
from ostinato_worker.tasks import FireTask, RunTask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ostinato_shared.settings import Settings

GRAPHS = """
import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt


class Parts(TypedDict, total=False):
    parts: Annotated[list, operator.add]
    answer: Any


def first(state: Parts) -> Parts:
    return {"parts": ["first"]}


def second(state: Parts) -> Parts:
    return {"parts": ["second"]}


def ask(state: Parts) -> Parts:
    return {"answer": interrupt({"question": "go on?"})}


def keep_or_exit(old: Any, new: Any) -> Any:
    if new == "exit":
        raise SystemExit(3)
    return new


class Exiting(TypedDict, total=False):
    word: Annotated[Any, keep_or_exit]


def ask_left(state: Parts) -> Parts:
    return {"parts": [interrupt("left?")]}


def ask_right(state: Parts) -> Parts:
    return {"parts": [interrupt("right?")]}


def fail(state: Parts) -> Parts:
    raise ValueError("boom: x")


async def doze(state: Parts) -> Parts:
    await asyncio.sleep(60)
    return {"parts": ["dozed"]}


def chat(state: MessagesState) -> Any:
    return {"messages": [{"role": "ai", "content": "It is noon."}]}


def chain(state: Any, **nodes: Any) -> Any:
    builder = StateGraph(state)
    names = list(nodes)
    for name, node in nodes.items():
        builder.add_node(name, node)
    for source, target in zip([START, *names], [*names, END]):
        builder.add_edge(source, target)
    return builder.compile()


steps = chain(Parts, first=first, second=second)
asker = chain(Parts, first=first, ask=ask)
dozing = chain(Parts, first=first, doze=doze)
failing = chain(Parts, first=first, fail=fail)
askers = StateGraph(Parts)
for ask_aside in (ask_left, ask_right):
    askers.add_node(ask_aside)
    askers.add_edge(START, ask_aside.__name__)
outer = chain(Parts, before=first, inner=chain(Parts, first=first, ask=ask))
chatter = chain(MessagesState, chat=chat)
exiting = chain(Exiting, say=lambda state: {"word": "said"})


def factory(config: dict) -> Any:
    assert config["configurable"]["thread_id"]
    return chain(Parts, first=first)


def picky(config: dict) -> Any:
    assert config["configurable"]["model"]
    return chain(Parts, first=first)
"""
NAMES = ("steps", "asker", "askers", "failing", "outer", "chatter", "dozing", "factory", "picky", "exiting")


def write_graphs(folder: Path) -> Path:
    """A langgraph.json with a graph for each kind of ending."""
    (folder / "graphs_of_all_kinds.py").write_text(GRAPHS)
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {name: f"./graphs_of_all_kinds.py:{name}" for name in NAMES}}))
    return config


@dataclass
class Worker:
    """Runs what lies in the queue, one message at a time, when asked to."""

    runtime: Runtime
    broker: redis.Redis

    def work(self, messages: int = 1, *, seconds: float = 20) -> None:
        """Take so many messages, waiting for each, and do what they say."""
        for _ in range(messages):
            taken: Any = self.broker.brpop([QUEUE, LATE_QUEUE], timeout=seconds)
            assert taken is not None, "nothing was sent"
            hint = json.loads(json.loads(taken[1])["body"])[0][0]
            task = FireTask if "firing_id" in hint else RunTask
            task(self.runtime).run(hint)

    def waiting(self) -> int:
        """How many messages lie in the queue."""
        length: Any = self.broker.llen(QUEUE)
        return int(length)


@contextmanager
def open_worker(settings: Settings) -> Iterator[Worker]:
    runtime = Runtime(settings, load_project(settings.config))
    runtime.start()
    lease = Lease(runtime)
    lease.hold()
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as broker:
        try:
            yield Worker(runtime, broker)
        finally:
            lease.release()
            runtime.close()


def rows(settings: Settings, table: str) -> list[dict[str, Any]]:
    return fetch(settings.database_dsn, f"SELECT * FROM {table}")  # noqa: S608 - a name of ours
