"""A tour of cron jobs with the official Python SDK: `python tour.py [URL]`, against `ostinato dev`.

The calls are those of the official page "Use cron jobs". Three things differ: the URL, the schedule (six fields, the
last is seconds: it fires every five seconds, so that you see it happen), and `on_run_completed="keep"` for the
stateless cron, whose threads would otherwise be deleted before you can read the answer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import httpx
from langgraph_sdk import get_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langgraph_sdk.client import LangGraphClient

ASSISTANT_ID = "agent"
EVERY_FIVE_SECONDS = "* * * * * */5"
QUESTION: dict[str, Any] = {"messages": [{"role": "user", "content": "What time is it?"}]}
PATIENCE = 30  # seconds


async def tour(client: LangGraphClient) -> None:
    thread = await client.threads.create()
    print(thread)
    await on_a_thread(client, thread["thread_id"])
    await stateless(client)


async def on_a_thread(client: LangGraphClient, thread_id: str) -> None:
    """Each firing asks its question on the same thread."""
    cron_job: Any = await client.crons.create_for_thread(
        thread_id,
        ASSISTANT_ID,
        schedule=EVERY_FIVE_SECONDS,
        input=QUESTION,
    )
    try:
        print(f"\nCron {cron_job['cron_id']} on thread {thread_id}: next at {cron_job['next_run_date']}")
        print("Answer:", await patiently(lambda: answer_on(client, thread_id)))
    finally:
        await client.crons.delete(cron_job["cron_id"])
        print("Deleted the cron.")


async def stateless(client: LangGraphClient) -> None:
    """Each firing asks its question on a thread of its own."""
    cron_job_stateless: Any = await client.crons.create(
        ASSISTANT_ID,
        schedule=EVERY_FIVE_SECONDS,
        input=QUESTION,
        on_run_completed="keep",
    )
    cron_id = cron_job_stateless["cron_id"]

    async def answer() -> str | None:
        threads = await client.threads.search(metadata={"cron_id": cron_id})
        return await answer_on(client, threads[-1]["thread_id"]) if threads else None

    try:
        print(f"\nStateless cron {cron_id}: next at {cron_job_stateless['next_run_date']}")
        print("Answer:", await patiently(answer))
    finally:
        await client.crons.delete(cron_id)
        print("Deleted the cron.")


async def answer_on(client: LangGraphClient, thread_id: str) -> str | None:
    """The assistant's last words on this thread, None before it has spoken."""
    state: Any = await client.threads.get_state(thread_id)
    messages = (state["values"] or {}).get("messages") or [{"type": None}]
    last = messages[-1]
    return str(last["content"]) if last["type"] == "ai" and not last.get("tool_calls") else None


async def patiently(look: Callable[[], Awaitable[str | None]]) -> str:
    for _ in range(PATIENCE * 2):
        if answer := await look():
            return answer
        await asyncio.sleep(0.5)
    sys.exit(f"No answer within {PATIENCE} s: are beat and a worker running? `ostinato dev` starts both and shows why.")


async def main(url: str) -> None:
    async with get_client(url=url) as client:
        try:
            await tour(client)
        except httpx.ConnectError:
            sys.exit(f"Nobody answers at {url}: start the server by `ostinato dev`, or give its URL.")


if __name__ == "__main__":
    # Either signal cancels the tour, so that the crons are deleted on the way out.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("OSTINATO_URL", "http://127.0.0.1:2024")))
    except KeyboardInterrupt:
        sys.exit(130)
