"""`apply`, `diff`, `export`, `schema`: crons as a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostinato_cli.people.completion import complete_cron
from ostinato_cli.people.exits import Exit, UsageError
from ostinato_cli.people.output import confirm, counted, say
from ostinato_cli.people.talking import talks

# ruff: noqa: PLC0415 - `--help` is quick without what the commands need

if TYPE_CHECKING:
    from ostinato_cli.people.crons_file import CronsFile
    from ostinato_cli.people.plans import Plan
    from ostinato_cli.people.server import Server

File = Annotated[str, typer.Option("--file", "-f", help="A crons.yaml; - reads it from the standard input.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete crons that an earlier version of this file made.")]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="Delete and make anew where a cron cannot be changed (assistant, thread, ...)."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]
SCHEMA = Path(__file__).parent / "crons.schema.json"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    talks(app)(apply)
    talks(app)(diff)
    talks(app)(export)
    app.command()(schema)


async def apply(
    server: "Server",
    file: File,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    prune: Prune = False,
    replace: Replace = False,
    yes: Yes = False,
) -> Exit:
    """Make the server's crons what a file says; a second time it changes nothing."""
    from ostinato_cli.people.applying import carry_out, plan_for
    from ostinato_cli.people.plans import Action

    wanted = _read(file)
    plan = await plan_for(server, wanted, prune=prune, replace=replace)
    _print(plan)
    if dry_run or not plan.steps:
        return Exit.OK
    for action in (Action.DELETE, Action.REPLACE):
        if steps := plan.of(action):
            confirm(f"{action.capitalize()} {counted(len(steps), 'cron')}?", yes=yes)
    failed = await carry_out(server, plan.steps)
    for step, error in failed:
        say(f"{step.name}: {error}", fg=typer.colors.RED)
    done = len(plan.steps) - len(failed)
    typer.echo(f"done: {done} of {len(plan.steps)}" if failed else f"done: {done}")
    return Exit.REFUSED if failed else Exit.OK


async def diff(server: "Server", file: File, *, prune: Prune = False) -> Exit:
    """Show what `apply` would change, field by field. Exit code 4 if anything differs."""
    from ostinato_cli.people.applying import plan_for

    plan = await plan_for(server, _read(file), prune=prune, replace=True)
    _print(plan)
    return Exit.DIFFERENT if plan.steps else Exit.OK


async def export(
    server: "Server",
    references: Annotated[
        list[str] | None, typer.Argument(metavar="[CRON]...", help="Names or ids.", autocompletion=complete_cron)
    ] = None,
    *,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="Those with key=value; repeatable.")] = None,
    source: Annotated[str | None, typer.Option(help="Those that a file with this `source` made.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Write there, not to the standard output.")] = None,
) -> Exit:
    """Write crons as a file that `apply` has nothing to change for."""
    from ostinato_cli.people import exporting, names
    from ostinato_cli.people.yaml_text import dump

    if references:
        crons = await names.find_many(server, references, label or ())
    else:
        metadata = {"labels": names.read_labels(label)} if label else {}
        crons = await server.crons(metadata={**metadata, "applied_by": source} if source else metadata)
    exported = await exporting.export(server, crons, source)
    for reason in exported.left_out:
        say(f"left out: {reason}", fg=typer.colors.YELLOW)
    text = dump(exported.document)
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write_text(text)
        say(f"{counted(len(exported.document['crons']), 'cron')} in {file}")
    return Exit.REFUSED if exported.left_out else Exit.OK


def schema() -> None:
    """Print the JSON Schema of crons.yaml, for editors and CI."""
    typer.echo(SCHEMA.read_text(), nl=False)


def _read(file: str) -> "CronsFile":
    from ostinato_cli.people.crons_file import read_file

    return read_file(read_text(file), "(stdin)" if file == "-" else file)


def read_text(file: str) -> str:
    """A file's text, or what comes in for `-`. Raises UsageError."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file}: not UTF-8 text") from None


def _print(plan: "Plan") -> None:
    for step in plan.steps:
        for line in step.lines():
            typer.echo(line)
    typer.echo(plan.summary())
