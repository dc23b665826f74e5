"""All commands for people, on the `ostinato` command."""

import typer

from ostinato_cli.people import acts, crons, files, runs, times


def add_to(app: typer.Typer) -> None:
    """Register them."""
    app.add_typer(crons.app, name="crons")
    app.add_typer(runs.app, name="runs")
    files.add_to(app)


__all__ = ["acts", "add_to", "times"]  # the first and the last add to `crons`
