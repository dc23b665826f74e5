"""Carrying a plan out: a few requests at once, nothing twice, whatever breaks off."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from ostinato_cli.people.exits import NOT_FOUND, PeopleError, RefusedError, UnclearError, UnreachableError, UsageError
from ostinato_cli.people.names import is_id
from ostinato_cli.people.output import say
from ostinato_cli.people.plans import MARK, Action, Plan, Step, make_plan
from ostinato_cli.people.server import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence

    from ostinato_cli.people.crons_file import CronsFile
    from ostinato_cli.people.server import Json, Server

SETTLE_SECONDS = 1.0  # what a request that was cut off gets before we look what became of it
LONG_WORK = 20  # items from which on a bar is shown

Item = TypeVar("Item")


async def plan_for(server: Server, file: CronsFile, *, prune: bool = False, replace: bool = False) -> Plan:
    """The plan of a file, from what the server has now."""
    names = {cron.assistant for cron in file.crons}
    crons, assistants = await asyncio.gather(server.crons(), assistant_ids(server, names))
    return make_plan(file, crons, assistants, prune=prune, replace=replace)


async def carry_out(server: Server, steps: Sequence[Step]) -> list[tuple[Step, PeopleError]]:
    """The steps that failed. Raises UnreachableError when the server has gone."""
    return await each(steps, lambda step: _do(server, step), "applying")


async def each(
    items: Sequence[Item], work: Callable[[Item], Awaitable[object]], title: str
) -> list[tuple[Item, PeopleError]]:
    """Work on all items, a few at once, under a bar; those that were refused. Raises UnreachableError at once."""
    from rich.console import Console  # noqa: PLC0415 - only long work needs it
    from rich.progress import Progress  # noqa: PLC0415 - likewise

    refused: list[tuple[Item, PeopleError]] = []
    waiting = iter(items)
    hidden = len(items) < LONG_WORK or not sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task(title, total=len(items))

        async def lane() -> None:
            for item in waiting:
                try:
                    await work(item)
                except UnreachableError:
                    raise
                except PeopleError as error:
                    refused.append((item, error))
                progress.advance(task)

        try:
            await _all_of(lane, min(AT_ONCE, len(items)))
        except (asyncio.CancelledError, UnreachableError):  # Ctrl-C, or the server has gone
            progress.stop()
            say(f"stopped: {progress.tasks[task].completed} of {len(items)} done")
            raise
    return refused


async def _all_of(lane: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    try:
        async with asyncio.TaskGroup() as lanes:
            for _ in range(count):
                lanes.create_task(lane())
    except* UnreachableError as gone:
        raise gone.exceptions[0] from None


async def assistant_ids(server: Server, names: Iterable[str]) -> dict[str, str]:
    """The ids behind graphs' names and ids. Raises UsageError for a name that is no graph's."""
    ids = {name: name.lower() for name in names if is_id(name)}
    graphs = [name for name in names if name not in ids]
    found = await asyncio.gather(*(_system_assistant(server, graph) for graph in graphs))
    return ids | dict(zip(graphs, found, strict=True))


async def assistant_names(server: Server, ids: Iterable[str]) -> dict[str, str]:
    """What people call assistants: by their graph's name where that means them, else by id."""
    distinct = sorted(set(ids))

    async def name(assistant_id: str) -> str:
        try:
            assistant = await server.call("GET", f"/assistants/{assistant_id}")
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise
            return assistant_id
        system = assistant["metadata"].get("created_by") == "system"
        return str(assistant["graph_id"]) if system else assistant_id

    return dict(zip(distinct, await asyncio.gather(*map(name, distinct)), strict=True))


async def make(server: Server, body: Json, thread_id: str | None, *, look: bool = True) -> Json:
    """The new cron. If the answer is lost, looks whether it was made before it is made again."""
    path = f"/threads/{thread_id}/runs/crons" if thread_id else "/runs/crons"
    try:
        return await server.create(path, body)
    except UnclearError:
        metadata = {key: value for key, value in body.get("metadata", {}).items() if key in {"name", MARK}}
        if not look or "name" not in metadata:
            raise
        await asyncio.sleep(SETTLE_SECONDS)
        found = await server.crons(metadata=metadata)
        return found[-1] if found else await server.create(path, body)


async def _do(server: Server, step: Step) -> Any:
    if step.action is Action.CHANGE:
        return await server.call("PATCH", f"/runs/crons/{step.cron_id}", step.body)
    if step.action in {Action.REPLACE, Action.DELETE}:
        await server.call("DELETE", f"/runs/crons/{step.cron_id}")
    return None if step.action is Action.DELETE else await make(server, step.body, step.thread_id)


async def _system_assistant(server: Server, graph: str) -> str:
    wanted = {"graph_id": graph, "metadata": {"created_by": "system"}}
    found = await server.search("/assistants/search", **wanted)
    if not found:
        every = await server.search("/assistants/search", metadata={"created_by": "system"})
        known = ", ".join(sorted(assistant["graph_id"] for assistant in every))
        raise UsageError(
            f"There is no assistant {graph!r}. The server's graphs: {known}. Others are named by their id."
        )
    return str(found[0]["assistant_id"])
