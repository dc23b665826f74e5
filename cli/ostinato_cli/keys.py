"""`ostinato keys`: what an operator does about API keys. Needs no server: the setting holds them all."""

from typing import Annotated

import typer

# ruff: noqa: PLC0415 - as in main.py

keys = typer.Typer(no_args_is_help=True, help="Make API keys.")


@keys.callback()
def _group() -> None:
    """A group, though it has one command."""


@keys.command()
def new(name: Annotated[str, typer.Argument(help="Whose key it is: what is made with it carries this name.")]) -> None:
    """Print a fresh API key, which is shown this once, and the setting that lets it in.

    A name may have several keys: add the new one, change over, remove the old one.
    """
    from ostinato_shared.api_keys import entry_of, make_key

    key = make_key()
    entry = entry_of(name, key)
    typer.echo(f"key:      {key}")
    typer.echo(f"setting:  OSTINATO_API_KEYS={entry}")
    typer.echo(
        "The key is shown this once. Add the entry to the api's setting (commas between entries) and restart the api.",
        err=True,
    )
