"""`ostinato crons pause|resume|trigger|rm`: what is done to crons."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from ostinato_cli.people.completion import complete_cron
from ostinato_cli.people.crons import CronArgument, Input, LabelOption, app
from ostinato_cli.people.exits import Exit, PeopleError
from ostinato_cli.people.output import Format, Output, confirm, counted, say, show_one
from ostinato_cli.people.runs import RUNNING, firing_facts
from ostinato_cli.people.talking import talks

# ruff: noqa: PLC0415 - `--help` is quick without what the commands need

if TYPE_CHECKING:
    from ostinato_cli.people.server import Json, Server

POLL_SECONDS = 0.5

Crons = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CRON]...", help="Names, ids, or their beginnings.", autocompletion=complete_cron),
]
Note = Annotated[str | None, typer.Option(help="Why; shown wherever the cron is.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]


@talks(app)
async def pause(
    server: "Server", crons: Crons = None, *, label: LabelOption = None, note: Note = None, yes: Yes = False
) -> Exit:
    """Stop schedules until they are resumed."""
    body = {"note": note} if note else {}
    return await _all(
        server, crons, label, "pause", "paused", yes, lambda cron: server.call("POST", f"{_path(cron)}/pause", body)
    )


@talks(app)
async def resume(
    server: "Server", crons: Crons = None, *, label: LabelOption = None, note: Note = None, yes: Yes = False
) -> Exit:
    """Let schedules go on from now; missed times are not made up for."""
    body = {"note": note} if note else {}
    return await _all(
        server, crons, label, "resume", "resumed", yes, lambda cron: server.call("POST", f"{_path(cron)}/resume", body)
    )


@talks(app)
async def rm(server: "Server", crons: Crons = None, *, label: LabelOption = None, yes: Yes = False) -> Exit:
    """Delete crons; their threads, runs and history stay."""
    return await _all(
        server, crons, label, "delete", "deleted", yes, lambda cron: server.call("DELETE", _path(cron)), always=True
    )


@talks(app)
async def trigger(
    server: "Server",
    cron: CronArgument,
    *,
    input: Input = None,  # noqa: A002 - the option's name
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; exit code 1 if it is no success.")] = False,
    output: Output = Format.TABLE,
) -> Exit:
    """Run a cron now, paused or not; its next run stays where it is."""
    from ostinato_cli.people.making import given, read_input
    from ostinato_cli.people.names import find

    found = await find(server, cron)
    body = given(input=read_input(input), request_id=str(uuid4()))
    firing = await server.call("POST", f"{_path(found)}/trigger", body)
    if wait:
        firing = await _ended(server, found, firing["firing_id"])
    show_one(firing, output, lambda row: str(row["firing_id"]), firing_facts)
    return Exit.REFUSED if wait and firing["outcome"] != "success" else Exit.OK


async def _ended(server: "Server", cron: "Json", firing_id: str) -> "Json":
    while True:
        newest = await server.call("GET", f"{_path(cron)}/firings", trigger="manual", limit=1000)
        firing: Json | None = next((row for row in newest if row["firing_id"] == firing_id), None)
        if firing is None:
            raise PeopleError("The firing is no longer in the ledger.")
        if firing["outcome"] not in RUNNING:
            return firing
        await asyncio.sleep(POLL_SECONDS)


async def _all(  # noqa: PLR0917 - three callers, below each other
    server: "Server",
    references: Sequence[str] | None,
    labels: Sequence[str] | None,
    verb: str,
    done: str,
    yes: bool,  # noqa: FBT001 - likewise
    work: Callable[[Any], Awaitable[object]],
    *,
    always: bool = False,
) -> Exit:
    """Do it to all that are meant; more than one, or what cannot be undone, is asked for first."""
    from ostinato_cli.people.applying import each
    from ostinato_cli.people.names import find_many, shown_name

    crons = await find_many(server, references or (), labels or ())
    if always or len(crons) > 1:
        confirm(f"{verb.capitalize()} {counted(len(crons), 'cron')}?", yes=yes)
    refused = await each(crons, work, f"{verb[:-1]}ing")
    for cron, error in refused:
        say(f"{shown_name(cron)}: {error}", fg=typer.colors.RED)
    failed = {cron["cron_id"] for cron, _ in refused}
    for cron in crons:
        if cron["cron_id"] not in failed:
            typer.echo(f"{done} {shown_name(cron)}")
    return Exit.REFUSED if refused else Exit.OK


def _path(cron: "Json") -> str:
    return f"/runs/crons/{cron['cron_id']}"
