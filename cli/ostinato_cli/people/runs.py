"""`ostinato runs`: what ran, and what came of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ostinato_cli.people.completion import complete_cron
from ostinato_cli.people.exits import NOT_FOUND, UNFIT, Exit, PeopleError, RefusedError, UsageError
from ostinato_cli.people.output import Column, Format, Output, confirm, counted, moment, say, show, show_one, utc
from ostinato_cli.people.talking import talks

# ruff: noqa: PLC0415 - `--help` is quick without what the commands need

if TYPE_CHECKING:
    from ostinato_cli.people.server import Json, Server

app = typer.Typer(no_args_is_help=True, help="See and cancel what crons have run.")

SHOWN = 10  # runs, when an id's beginning means several
RUNNING = frozenset({"due", "started"})

Thread = Annotated[str | None, typer.Option(help="The run's thread: for runs that no cron has made.")]


@talks(app)
async def ls(
    server: "Server",
    cron: Annotated[
        str | None, typer.Argument(metavar="[CRON]", help="Those of one cron.", autocompletion=complete_cron)
    ] = None,
    *,
    outcome: Annotated[
        list[str] | None, typer.Option(help="success, error, timeout, interrupted, skipped, started, due; repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many at most.")] = 20,
    output: Output = Format.TABLE,
) -> None:
    """List what became of fire times, newest first; runs of deleted crons and threads too."""
    from ostinato_cli.people.names import find

    path = f"/runs/crons/{(await find(server, cron))['cron_id']}/firings" if cron else "/crons/firings"
    firings = await server.call("GET", path, outcome=outcome, limit=limit)
    show(firings, COLUMNS, output, lambda row: str(row["run_id"] or row["firing_id"]))


@talks(app)
async def get(
    server: "Server",
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or its first 8 characters or more.")],
    *,
    thread: Thread = None,
    output: Output = Format.TABLE,
) -> None:
    """Show one run: when, how long, what came out."""
    firing = {"run_id": run, "thread_id": thread} if thread else await _find(server, run)
    try:
        found = await server.call("GET", f"/threads/{firing['thread_id']}/runs/{firing['run_id']}")
    except RefusedError as error:
        if thread or error.status != NOT_FOUND:
            raise
        found = None  # its thread was deleted; the ledger knows
    show_one({**firing, "run": found}, output, lambda row: str(row["run_id"]), firing_facts)


@talks(app)
async def cancel(
    server: "Server",
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Ids of runs, or their first 8 characters or more.")
    ],
    *,
    thread: Thread = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> Exit:
    """Ask runs to end."""
    from ostinato_cli.people.applying import each

    found = [{"run_id": run, "thread_id": thread} if thread else await _find(server, run) for run in runs]
    if len(found) > 1:
        confirm(f"Cancel {counted(len(found), 'run')}?", yes=yes)

    async def stop(firing: "Json") -> None:
        if firing.get("outcome", "started") not in RUNNING:  # the api knows of live runs only
            raise PeopleError(f"has ended already: {firing['outcome']}")
        await server.call("POST", f"/threads/{firing['thread_id']}/runs/{firing['run_id']}/cancel")
        typer.echo(f"asked {firing['run_id']} to end")

    refused = await each(found, stop, "cancelling")
    for firing, error in refused:
        say(f"{firing['run_id']}: {error}", fg=typer.colors.RED)
    return Exit.REFUSED if refused else Exit.OK


async def _find(server: "Server", reference: str) -> "Json":
    """The firing whose run's id begins so. Raises UsageError for none, for several, and for what is no id."""
    try:
        found: list[Json] = await server.call("GET", "/crons/firings", run_id=reference, limit=SHOWN)
    except RefusedError as error:
        if error.status != UNFIT:
            raise
        raise UsageError(str(error)) from None
    if len(found) > 1:
        shown = [f"  {row['run_id']}  {row['name'] or ''}  {utc(row['fire_time'])}" for row in found]
        raise UsageError("\n".join([f"{reference!r} means several runs; say which:", *shown]))
    if not found:
        raise UsageError(f"No cron has a run {reference!r}. Runs of others need --thread.")
    return found[0]


def firing_facts(row: "Json") -> Sequence[tuple[str, object]]:
    """A firing for people."""
    run = row.get("run") or {}
    return [
        ("cron", row.get("name") or row.get("cron_id")), ("outcome", row.get("outcome") or run.get("status")),
        ("reason", row.get("reason")), ("fire time", utc(row.get("fire_time"))), ("trigger", row.get("trigger")),
        ("started", utc(row.get("started_at"))), ("took", took(row)), ("run", row.get("run_id")),
        ("thread", row.get("thread_id")), ("output", row.get("output")), ("error", _error(row)),
        ("firing", row.get("firing_id")),
    ]  # fmt: skip


def took(row: "Json") -> str:
    """How long it ran."""
    from datetime import datetime

    if not (row.get("started_at") and row.get("ended_at")):
        return ""
    seconds = (datetime.fromisoformat(row["ended_at"]) - datetime.fromisoformat(row["started_at"])).total_seconds()
    return f"{seconds:.1f} s"


def _error(row: "Json") -> str:
    error = row.get("error")
    return f"{error.get('error')}: {error.get('message')}" if error else ""


COLUMNS = [
    Column("FIRE TIME (UTC)", lambda row: moment(row["fire_time"])),
    Column("CRON", lambda row: row["name"] or row["cron_id"]),
    Column("OUTCOME", lambda row: row["outcome"]),
    Column("TOOK", took),
    Column("WHAT CAME OUT", lambda row: (row["reason"] or _error(row) or row["output"] or "")[:60]),
    Column("RUN", lambda row: row["run_id"], spare=True),
]
