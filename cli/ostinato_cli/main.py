"""The `ostinato` command. Each command imports what it needs when it runs, so that `--help` is quick."""

import json
import os
import signal
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from ostinato_cli.keys import keys
from ostinato_cli.people import commands as people
from ostinato_cli.settings_advice import settings_advice
from ostinato_shared.errors import OstinatoError

# ruff: noqa: PLC0415 - see above


class Commands(TyperGroup):
    """Tells people what to do; a traceback is for faults of ours."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OstinatoError as error:
            reason, code = str(error), getattr(error, "exit_code", 1)
        except ValidationError as error:
            reason, code = settings_advice(error), 1
        typer.secho(f"Error: {reason}", err=True, fg=typer.colors.RED)
        raise typer.Exit(code)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they print variables, and with them passwords
    help=(
        "A self-hosted cron server for LangGraph assistants.\n\n"
        "Start here: `ostinato dev` in the folder of your langgraph.json. In production run `api`, `beat` and any "
        "number of `worker`s, with DATABASE_URI and REDIS_URI set, after `ostinato db upgrade`. `crons`, `runs`, "
        "`apply`, `diff` and `export` talk to a running api: --url, or OSTINATO_URL."
    ),
)
db = typer.Typer(no_args_is_help=True, help="Look after the database.")
app.add_typer(db, name="db")
app.add_typer(keys, name="keys")
people.add_to(app)

Config = Annotated[Path, typer.Option("--config", envvar="OSTINATO_CONFIG", help="The langgraph.json of your project.")]
CONFIG = Path("langgraph.json")
DATA_DIR = Path(".ostinato")


@app.command()
def dev(  # noqa: PLR0917 - Typer calls it by name
    config: Config = CONFIG,
    host: Annotated[str, typer.Option(envvar="OSTINATO_HOST", help="Where the api listens.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="OSTINATO_PORT", min=0, max=65535, help="The api's port; 0 takes any that is free.")
    ] = 2024,
    data_dir: Annotated[Path, typer.Option(help="Where the embedded servers keep their data.")] = DATA_DIR,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes; one per processor core is plenty.")] = 1,
    flower: Annotated[bool, typer.Option(help="Run Flower, the view of workers and tasks.")] = True,  # noqa: FBT002 - Typer's form of a flag
    browser: Annotated[bool, typer.Option(help="Open the dashboard when all is ready (only from a desktop).")] = True,  # noqa: FBT002 - likewise
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="A browser origin to let in, such as https://app.example.com; repeatable.")
    ] = None,
) -> None:
    """Run everything on this machine: Postgres, Valkey, api, beat, workers, Flower.

    DATABASE_URI or REDIS_URI in the environment replace the embedded servers, each by itself. Ctrl-C stops everything,
    the data stays in the data folder. The servers come with the extra `embedded`.
    """
    from ostinato_cli.dev import DevOptions, run_dev

    options = DevOptions(
        config=config, host=host, port=port, data_dir=data_dir, workers=workers, flower=flower, browser=browser,
        allow_origin=tuple(allow_origin or ()),
    )  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # while the servers start, end as with Ctrl-C
    try:
        code = run_dev(options)
    except KeyboardInterrupt:  # before the supervisor listens, or once more while the servers end
        code = 130
    raise typer.Exit(code)


@app.command()
def api(
    config: Config = CONFIG,
    host: Annotated[str | None, typer.Option(help="Where to listen [default: 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="The port [default: 2024].")] = None,
) -> None:
    """Run the HTTP api: the LangGraph contract, and Ostinato's own endpoints. Run as many as you like."""
    _set(config=config, host=host, port=port)
    from ostinato_api.main import run
    from ostinato_shared.settings import Settings

    run(Settings())


@app.command()
def beat() -> None:
    """Run the scheduler. Run two or more: one leads, the others take over within seconds."""
    from ostinato_beat.main import run
    from ostinato_shared.settings import Settings

    run(Settings())


@app.command()
def worker(
    config: Config = CONFIG,
    slots: Annotated[int | None, typer.Option(help="Runs at a time in this process [default: 200].")] = None,
) -> None:
    """Run the assistants of your project. Run one per processor core."""
    _set(config=config, slots=slots)
    from ostinato_shared.settings import Settings
    from ostinato_worker.main import run

    run(Settings())


@app.command()
def flower() -> None:
    """Run Flower. FLOWER_BASIC_AUTH=user:password must be set; FLOWER_ADDRESS and FLOWER_PORT may be."""
    from ostinato_cli.flower import FlowerAccess

    access = FlowerAccess.from_environment()
    from ostinato_cli.flower_process import run
    from ostinato_shared.settings import Settings

    run(Settings(), access)


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


@app.command()
def doctor(
    config: Annotated[
        Path | None,
        typer.Option(envvar="OSTINATO_CONFIG", help="The langgraph.json of your project [default: langgraph.json]."),
    ] = None,
    data_dir: Annotated[
        Path, typer.Option(help="Of an `ostinato dev`: its servers are examined where the environment names none.")
    ] = DATA_DIR,
    output: Annotated[Output, typer.Option("--output", "-o", help="For people, or for programs.")] = Output.TEXT,
) -> None:
    """Check settings, servers, clocks, beat, workers, schedule, project; say what to do. Exit code 1 if one fails."""
    from ostinato_cli import addresses
    from ostinato_cli.doctor import examine
    from ostinato_shared import logs
    from ostinato_shared.checks import Level

    _set(config=config)
    addresses.adopt(data_dir)
    with redirect_stdout(sys.stderr):  # what the user's graphs print is no finding
        logs.configure(level="WARNING")
        findings = list(examine())
    failed = any(finding.level is Level.FAIL for finding in findings)
    if output is Output.JSON:
        typer.echo(json.dumps({"ok": not failed, "checks": [asdict(finding) for finding in findings]}, indent=2))
    else:
        colours = {Level.WARN: typer.colors.YELLOW, Level.FAIL: typer.colors.RED}
        for finding in findings:
            typer.secho(str(finding), fg=colours.get(finding.level))
    raise typer.Exit(1 if failed else 0)


@app.command(hidden=True)
def check(config: Config = CONFIG) -> None:
    """Import the project's graphs, as api and workers will."""
    from ostinato_shared import logs
    from ostinato_shared.project import load_project

    logs.configure(level="WARNING")
    load_project(config)


@db.command()
def upgrade() -> None:
    """Create or migrate the tables in DATABASE_URI. Safe to run again, and beside a running server."""
    from ostinato_cli.doctor import reach_database
    from ostinato_shared import logs, migrate
    from ostinato_shared.settings import Settings

    settings = Settings()
    logs.configure(level="WARNING", as_json=settings.log_json)
    reach_database(settings)
    migrate.upgrade(settings.database_dsn)
    typer.echo(f"The database is at revision {migrate.head()}.")


def _set(**values: object) -> None:
    """What the command line says goes where every process reads it."""
    for name, value in values.items():
        if value is not None:
            os.environ[f"OSTINATO_{name.upper()}"] = str(value)
