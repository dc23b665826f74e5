"""What a command prints: tables that fit the terminal, plain lines in a pipe, JSON, YAML, names."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato_cli.people.exits import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = dict[str, Any]
WIDE = 110  # columns of a terminal that has room for ids


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


Output = Annotated[Format, typer.Option("--output", "-o", help="How to print it.")]


@dataclass(frozen=True)
class Column:
    title: str
    text: Callable[[Row], object]
    spare: bool = False  # left out on a narrow terminal


def show(rows: Sequence[Row], columns: Sequence[Column], output: Format, name: Callable[[Row], str]) -> None:
    """Print rows in the form that was asked for."""
    if output is Format.TABLE:
        _table(rows, columns)
    elif output is Format.NAME:
        for row in rows:
            typer.echo(name(row))
    else:
        typer.echo(as_text(list(rows), output))


def show_one(
    row: Row, output: Format, name: Callable[[Row], str], lines: Callable[[Row], Sequence[tuple[str, object]]]
) -> None:
    """Print one object; as a table it is a list of its facts."""
    if output is Format.NAME:
        typer.echo(name(row))
    elif output is Format.TABLE:
        facts = [(title, flat(value)) for title, value in lines(row) if value not in (None, "", {}, [])]
        width = max(len(title) for title, _ in facts)
        for title, value in facts:
            typer.echo(f"{title:{width}}  {value}")
    else:
        typer.echo(as_text(row, output))


def as_text(value: Any, output: Format) -> str:
    """JSON or YAML."""
    if output is Format.JSON:
        return json.dumps(value, indent=2, ensure_ascii=False)
    from ostinato_cli.people.yaml_text import dump  # noqa: PLC0415 - only YAML needs it

    return dump(value).rstrip("\n")


def utc(text: str | None) -> str:
    """An instant for people where no title says the zone."""
    return f"{moment(text)} UTC" if text else ""


def moment(text: str | None) -> str:
    """An instant for people, in UTC, to the second."""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if text else ""


def say(text: str, **style: Any) -> None:
    """A remark beside the output."""
    typer.secho(text, err=True, **style)


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if a person says so. Raises typer.Abort, KeyboardInterrupt, UsageError where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody can be asked here: add --yes.")
    # asyncio's own handler of Ctrl-C waits for an await, and there is none until the answer.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        typer.confirm(question, abort=True, err=True)
    except typer.Abort as answer:
        if isinstance(answer.__context__, KeyboardInterrupt):  # Typer makes one of both; the exit codes tell them apart
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, handler)


def counted(number: int, what: str) -> str:
    """`1 cron`, `3 crons`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _table(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    if not sys.stdout.isatty():
        _plain(rows, columns)
        return
    from rich.console import Console  # noqa: PLC0415 - a pipe does without
    from rich.table import Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    wide = shutil.get_terminal_size().columns >= WIDE
    shown = [column for column in columns if wide or not column.spare]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in shown:
        table.add_column(Text(column.title, no_wrap=True), overflow="ellipsis")
    for row in rows:  # no_wrap of the texts, not of the columns: then the widest column gives way first
        table.add_row(*(Text(flat(column.text(row)), no_wrap=True) for column in shown))
    Console().print(table)


def _plain(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    lines = [[column.title for column in columns], *([flat(column.text(row)) for column in columns] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def flat(value: object) -> str:
    """One line; control characters of other people's texts do nothing to a terminal."""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else " " for letter in text)
