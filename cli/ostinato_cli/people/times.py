"""`ostinato crons preview|next`: what a schedule means, and what comes."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from ostinato_cli.people.completion import complete_cron
from ostinato_cli.people.crons import Timezone, app
from ostinato_cli.people.output import Column, Format, Output, as_text, moment, show
from ostinato_cli.people.talking import talks

# ruff: noqa: PLC0415 - `--help` is quick without what the commands need

if TYPE_CHECKING:
    from ostinato_cli.people.server import Json, Server

Count = Annotated[int, typer.Option("--count", "-n", min=1, max=100, help="How many fire times.")]


@talks(app)
async def preview(
    server: "Server",
    schedule: Annotated[str, typer.Argument(help='A cron expression, such as "0 9 * * 1-5".')],
    *,
    timezone: Timezone = None,
    count: Count = 5,
    output: Output = Format.TABLE,
) -> None:
    """Say what a schedule means: in words, its next fire times, its traps. Nothing is stored."""
    from ostinato_cli.people.making import given

    _show(await server.call("POST", "/crons/preview", given(schedule=schedule, timezone=timezone, count=count)), output)


@talks(app, "next")
async def next_(
    server: "Server",
    cron: Annotated[
        str | None, typer.Argument(metavar="[CRON]", help="One cron; all without it.", autocompletion=complete_cron)
    ] = None,
    *,
    count: Count = 10,
    days: Annotated[int, typer.Option(min=1, max=31, help="Of all crons: how far to look.")] = 1,
    output: Output = Format.TABLE,
) -> None:
    """Show what will run next: of one cron, or of all."""
    from ostinato_cli.people.names import find

    if cron is not None:
        found = await find(server, cron)
        _show(await _coming(server, found, count), output)
        return
    until = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    coming = await server.call("GET", "/crons/upcoming", to=until, limit=count)
    show(coming, UPCOMING, output, lambda row: str(row["name"] or row["cron_id"]))


async def _coming(server: "Server", cron: "Json", count: int) -> "Json":
    """The preview of its schedule, without what a pause, `end_time` or `max_runs` keeps from running."""
    from ostinato_cli.people.making import given
    from ostinato_shared.policies import runs_left

    wanted = given(schedule=cron["schedule"], timezone=cron["timezone"], count=count)
    shown: Json = await server.call("POST", "/crons/preview", wanted)
    status = await server.call("GET", f"/runs/crons/{cron['cron_id']}/status")
    left = runs_left(cron["metadata"].get("ostinato"), status["run_count"]) if cron["enabled"] else 0
    end = datetime.fromisoformat(cron["end_time"]) if cron["end_time"] else datetime.max.replace(tzinfo=UTC)
    coming = [at for at in shown["next"] if datetime.fromisoformat(at["at"]) <= end]
    return {**shown, "next": coming[: int(min(left, count))]}


def _show(shown: "Json", output: Format) -> None:
    if output in {Format.JSON, Format.YAML}:
        typer.echo(as_text(shown, output))
    elif output is Format.NAME:
        for coming in shown["next"]:
            typer.echo(coming["at"])
    else:
        typer.echo(shown["description"])
        for coming in shown["next"]:
            typer.echo(f"  {moment(coming['at'])} UTC" + (f"  {coming['note']}" if coming["note"] else ""))
        if not shown["next"]:
            typer.echo("  nothing to come")
        for trap in shown["lint"]:
            typer.secho(f"mind: {trap['text']}", fg=typer.colors.YELLOW)


UPCOMING = [
    Column("AT (UTC)", lambda row: moment(row["at"])),
    Column("CRON", lambda row: row["name"] or row["cron_id"]),
    Column("SCHEDULE", lambda row: row["schedule"]),
    Column("TIMEZONE", lambda row: row["timezone"] or "UTC"),
]
