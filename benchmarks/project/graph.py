"""A graph that does nothing but write down when its node started, and in which process."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TypedDict

from langchain_core.runnables import RunnableConfig  # noqa: TC002 - LangGraph reads the annotation
from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    n: int


async def stamp(state: State, config: RunnableConfig) -> State:
    started = time.time()
    line = f"{config['configurable']['cron_id']} {started:.6f} {os.getpid()}\n"
    out = os.open(Path(os.environ["STAMPS"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(out, line.encode())
    os.close(out)
    return {"n": state.get("n", 0) + 1}


graph = StateGraph(State).add_node("stamp", stamp).add_edge(START, "stamp").add_edge("stamp", END).compile()
