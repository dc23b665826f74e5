"""Which crons a person means: by name, id, the beginning of an id, or labels."""

from __future__ import annotations

import asyncio
import difflib
import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ostinato_cli.people.exits import NOT_FOUND, RefusedError, UsageError
from ostinato_cli.people.output import flat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ostinato_cli.people.server import Json, Server

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
BEGINNING = re.compile(r"[0-9a-f][0-9a-f-]{0,35}", re.IGNORECASE)

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SHOWN = 10  # crons, when a reference means several


class AmbiguousError(UsageError):
    def __init__(self, reference: str, crons: list[dict[str, Any]]) -> None:
        shown = [f"  {cron['cron_id']}  {flat(cron['metadata'].get('name'))}".rstrip() for cron in crons[:SHOWN]]
        more = [f"  and {len(crons) - SHOWN} more"] if len(crons) > SHOWN else []
        super().__init__("\n".join([f"{reference!r} means {len(crons)} crons; say which:", *shown, *more]))


async def find(server: Server, reference: str) -> Json:
    """The one cron of this name, id, or beginning of an id. Raises UsageError, AmbiguousError."""
    if ID.fullmatch(reference):
        return await _of_id(server, reference)
    named = await server.crons(metadata={"name": reference})
    if not named:
        named = _beginning(await server.crons(select=["cron_id", "metadata"]), reference)
        if len(named) == 1:
            return await _of_id(server, named[0]["cron_id"])
    if len(named) > 1:
        raise AmbiguousError(reference, named)
    return named[0]


async def find_many(server: Server, references: Sequence[str], labels: Sequence[str] = ()) -> list[Json]:
    """The crons that are named and those that have all the labels, each once. Raises UsageError for none."""
    found = await asyncio.gather(*(find(server, reference) for reference in references))
    labelled = await server.crons(metadata={"labels": read_labels(labels)}) if labels else []
    crons = {cron["cron_id"]: cron for cron in (*found, *labelled)}
    if not crons:
        raise UsageError("No cron has these labels." if labels else "Name crons, or choose them with --label.")
    return list(crons.values())


def read_labels(given: Iterable[str]) -> dict[str, str]:
    """Labels from `key=value` words. Raises UsageError."""
    labels = {}
    for word in given:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise UsageError(f"--label {word!r}: write key=value, such as team=growth")
        labels[key] = value
    return labels


def shown_name(cron: dict[str, Any]) -> str:
    """What people call the cron: its name, else its id. A name that would do something to a terminal is none."""
    name = cron["metadata"].get("name")
    return name if isinstance(name, str) and name and not CONTROL.search(name) else str(cron["cron_id"])


def is_id(text: str) -> bool:
    return bool(ID.fullmatch(text))


async def _of_id(server: Server, cron_id: str) -> Json:
    try:
        cron: Json = await server.call("GET", f"/runs/crons/{UUID(cron_id)}")
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
        raise UsageError(f"There is no cron {cron_id}.") from None
    return cron


def _beginning(crons: list[Json], reference: str) -> list[Json]:
    if BEGINNING.fullmatch(reference):
        found = [cron for cron in crons if cron["cron_id"].startswith(reference.lower())]
        if found:
            return found
    names = sorted({shown_name(cron) for cron in crons})
    close = difflib.get_close_matches(reference, names, n=3)
    advice = f" Did you mean {' or '.join(map(repr, close))}?" if close else " `ostinato crons ls` shows them all."
    raise UsageError(f"There is no cron {reference!r}.{advice}")
