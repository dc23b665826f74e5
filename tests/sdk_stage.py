"""An api that is served, its official client, and a worker that works when it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from langgraph_sdk.client import LangGraphClient

from api_worker import Worker
from ostinato_shared.settings import Settings


@dataclass
class Stage:
    client: LangGraphClient
    worker: Worker
    url: str
    settings: Settings

    async def work(self, messages: int = 1) -> None:
        await asyncio.to_thread(self.worker.work, messages)

    async def thread(self) -> str:
        return str((await self.client.threads.create())["thread_id"])

    async def status(self, thread_id: str) -> str:
        return (await self.client.threads.get(thread_id))["status"]

    async def wait(self, thread_id: str, graph: str, **fields: Any) -> Any:
        waiting = asyncio.create_task(self.client.runs.wait(thread_id, graph, **fields))
        await asyncio.to_thread(self.worker.work)
        return await waiting

    async def asked(self, graph: str) -> tuple[str, dict[str, str]]:
        """A thread that waits for answers, and the ids of its interrupts by what they ask."""
        thread_id = (await self.client.threads.create())["thread_id"]
        stopped = await self.wait(thread_id, graph, input={"parts": []})
        return thread_id, {str(one["value"]): one["id"] for one in stopped["__interrupt__"]}

    async def pending(self, thread_id: str) -> list[str]:
        """The ids of the interrupts that the thread shows."""
        thread = await self.client.threads.get(thread_id)
        return [question["id"] for questions in thread["interrupts"].values() for question in questions]

    @asynccontextmanager
    async def dozing(self, thread_id: str, run_id: str) -> AsyncIterator[asyncio.Task[None]]:
        """The worker executes the run, whose first node is over; it must be brought to its end meanwhile."""
        work = asyncio.create_task(self.work())
        while (await self.client.threads.get_state(thread_id))["values"].get("parts", [])[-1:] != ["first"]:  # noqa: ASYNC110 - of a worker, which tells nobody
            await asyncio.sleep(0.02)
        assert (await self.client.runs.get(thread_id, run_id))["status"] == "running"
        yield work
        await work
