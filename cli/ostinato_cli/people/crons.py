"""`ostinato crons`: see them, make them, change them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato_cli.people.completion import complete_cron
from ostinato_cli.people.exits import Exit, UsageError
from ostinato_cli.people.output import Column, Format, Output, moment, show, show_one, utc
from ostinato_cli.people.talking import talks

# ruff: noqa: PLC0415 - `--help` is quick without what the commands need

if TYPE_CHECKING:
    from ostinato_cli.people.server import Json, Server

app = typer.Typer(no_args_is_help=True, help="See, make, change, pause and run crons.")

CronArgument = Annotated[
    str,
    typer.Argument(metavar="CRON", help="A name, an id, or the beginning of an id.", autocompletion=complete_cron),
]
Timezone = Annotated[str | None, typer.Option(help="An IANA name, such as Europe/Berlin.")]
Input = Annotated[str | None, typer.Option(help="What the assistant gets: JSON, @FILE, or - for the standard input.")]
LabelOption = Annotated[list[str] | None, typer.Option("--label", "-l", help="A label key=value; repeatable.")]
Timeout = Annotated[str | None, typer.Option(help="The longest that a run may take: 90s, 5m, 2h, 1d, or ISO 8601.")]
Overlap = Annotated[str | None, typer.Option(help="When the run before still runs: allow, or skip.")]
PauseAfter = Annotated[int | None, typer.Option("--pause-after-failures", help="Pause after so many in a row.")]
MaxRuns = Annotated[int | None, typer.Option(help="Pause after so many runs.")]
EndTime = Annotated[str | None, typer.Option(help="No run later than this ISO 8601 time.")]
Webhook = Annotated[str | None, typer.Option(help="A URL that is told of every run's end.")]


@talks(app)
async def ls(
    server: "Server",
    *,
    failing: Annotated[bool, typer.Option("--failing", help="Those whose last run failed.")] = False,
    paused: Annotated[bool, typer.Option("--paused", help="Those that are paused.")] = False,
    label: LabelOption = None,
    assistant: Annotated[str | None, typer.Option(help="Those of this graph, or assistant's id.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """List crons."""
    from ostinato_cli.people.applying import assistant_names
    from ostinato_cli.people.names import read_labels, shown_name

    wanted: dict[str, Any] = {"metadata": {"labels": read_labels(label)}} if label else {}
    if paused:
        wanted["enabled"] = False
    if failing:
        wanted["failing"] = True
    if assistant:
        wanted["assistant_id"] = assistant
    crons = await server.crons(**wanted)
    if output is Format.TABLE:
        names = await assistant_names(server, (cron["assistant_id"] for cron in crons))
        crons = [{**cron, "assistant": names[cron["assistant_id"]]} for cron in crons]
    show(crons, COLUMNS, output, shown_name)


@talks(app)
async def get(server: "Server", cron: CronArgument, *, output: Output = Format.TABLE) -> None:
    """Show one cron."""
    from ostinato_cli.people.applying import assistant_names
    from ostinato_cli.people.names import find, shown_name

    found = await find(server, cron)
    if output is Format.TABLE:
        names = await assistant_names(server, [found["assistant_id"]])
        status = await server.call("GET", f"/runs/crons/{found['cron_id']}/status")
        found = {**found, "assistant": names[found["assistant_id"]], "status": status}
    show_one(found, output, shown_name, _facts)


@talks(app)
async def create(
    server: "Server",
    assistant: Annotated[str, typer.Argument(metavar="AGENT", help="A graph's name, or an assistant's id.")],
    *,
    schedule: Annotated[str, typer.Option(help='When: a cron expression, such as "0 9 * * 1-5".')],
    input: Input = None,  # noqa: A002 - the option's name
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    label: LabelOption = None,
    timezone: Timezone = None,
    timeout: Timeout = None,  # noqa: ASYNC109 - of the cron's runs
    overlap: Overlap = None,
    pause_after_failures: PauseAfter = None,
    max_runs: MaxRuns = None,
    end_time: EndTime = None,
    webhook: Webhook = None,
    thread: Annotated[str | None, typer.Option(help="Fire on this thread, not on a new one each time.")] = None,
    keep_threads: Annotated[bool, typer.Option("--keep-threads", help="Keep the new threads.")] = False,
    paused: Annotated[bool, typer.Option("--paused", help="Do not fire until it is resumed.")] = False,
    strategy: Annotated[
        str | None, typer.Option(help="On a busy thread: reject, rollback, interrupt, enqueue.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Make a cron."""
    from ostinato_cli.people import making, names
    from ostinato_cli.people.applying import make

    if name and (same := await server.crons(metadata={"name": name})):
        raise UsageError(f"There is a cron {name!r} already: {same[0]['cron_id']}.")
    guards = making.guards(timeout, overlap, pause_after_failures, max_runs)
    metadata = making.given(name=name, labels=names.read_labels(label or ()), ostinato=guards)
    body = making.given(
        assistant_id=assistant, schedule=schedule, timezone=timezone, input=making.read_input(input), metadata=metadata,
        end_time=end_time, webhook=webhook, multitask_strategy=strategy,
        on_run_completed="keep" if keep_threads else None,
    )  # fmt: skip
    if paused:
        body["enabled"] = False
    made = await make(server, body, thread)
    if output is Format.TABLE:
        coming = _next_run(made)
        typer.echo(f"{names.shown_name(made)} ({made['cron_id']}): {f'next run {coming}' if coming else 'paused'}")
    else:
        show_one(made, output, names.shown_name, _facts)


@talks(app)
async def edit(
    server: "Server",
    cron: CronArgument,
    *,
    schedule: Annotated[str | None, typer.Option(help="When: a cron expression.")] = None,
    input: Input = None,  # noqa: A002 - the option's name
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", help="Set a label key=value, or remove it: key=; repeatable.")
    ] = None,
    timezone: Timezone = None,
    timeout: Timeout = None,  # noqa: ASYNC109 - of the cron's runs
    overlap: Overlap = None,
    pause_after_failures: PauseAfter = None,
    max_runs: MaxRuns = None,
    end_time: Annotated[str | None, typer.Option(help="No run later than this ISO 8601 time; none lifts it.")] = None,
    webhook: Webhook = None,
) -> Exit:
    """Change a cron: by options, or without any as YAML in $EDITOR."""
    from ostinato_cli.people import making, names

    found = await names.find(server, cron)
    old = found["metadata"]
    guards = making.guards(timeout, overlap, pause_after_failures, max_runs)
    labels = {
        key: value for key, value in {**(old.get("labels") or {}), **names.read_labels(label or ())}.items() if value
    }
    body = making.given(
        schedule=schedule, input=making.read_input(input), timezone=timezone, webhook=webhook, end_time=end_time,
        metadata=making.given(
            name=name,
            labels=labels if label else None,
            ostinato={**(old.get("ostinato") or {}), **guards} if guards else None,
        ),
    )  # fmt: skip
    if label and not labels:
        body["metadata"] = {**body.get("metadata", {}), "labels": None}
    if end_time == "none":
        body["end_time"] = None
    if not body:
        from ostinato_cli.people.editing import edit_as_yaml

        body = await edit_as_yaml(server, found)
    if not body:
        typer.echo("nothing changed")
        return Exit.OK
    changed = await server.call("PATCH", f"/runs/crons/{found['cron_id']}", body)
    typer.echo(f"changed {names.shown_name(changed)}")
    return Exit.OK


def _labels(cron: "Json") -> str:
    labels = cron["metadata"].get("labels")
    return ",".join(f"{key}={value}" for key, value in labels.items()) if isinstance(labels, dict) else ""


def _name(cron: "Json") -> object:
    return cron["metadata"].get("name") or "-"


def _next_run(cron: "Json") -> str:
    return utc(cron["next_run_date"]) if cron["enabled"] else ""


def _facts(cron: "Json") -> list[tuple[str, object]]:
    status = cron.get("status", {})
    payload = cron["payload"]
    return [
        ("name", cron["metadata"].get("name")), ("id", cron["cron_id"]), ("schedule", cron["schedule"]),
        ("means", status.get("description")), ("timezone", cron["timezone"]),
        ("next run", _next_run(cron)),
        ("end", utc(cron["end_time"])), ("state", "on" if cron["enabled"] else "paused"),
        ("paused by", status.get("paused_by")), ("note", status.get("note")), ("fault", status.get("fault")),
        ("failures in a row", status.get("consecutive_failures")), ("assistant", cron["assistant"]),
        ("thread", cron["thread_id"]), ("labels", _labels(cron)), ("guards", cron["metadata"].get("ostinato")),
        ("input", payload.get("input")), ("webhook", payload.get("webhook")), ("made", utc(cron["created_at"])),
    ]  # fmt: skip


COLUMNS = [
    Column("NAME", _name),
    Column("SCHEDULE", lambda cron: cron["schedule"]),
    Column("TIMEZONE", lambda cron: cron["timezone"] or "UTC"),
    Column("STATE", lambda cron: "on" if cron["enabled"] else "paused"),
    Column("NEXT RUN (UTC)", lambda cron: moment(cron["next_run_date"]) if cron["enabled"] else ""),
    Column("ASSISTANT", lambda cron: cron["assistant"], spare=True),
    Column("LABELS", _labels, spare=True),
    Column("ID", lambda cron: cron["cron_id"], spare=True),
]
