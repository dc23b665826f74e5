"""Crons as the file that means them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ostinato_cli.people.applying import assistant_names
from ostinato_cli.people.states import exported, state_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ostinato_cli.people.server import Json, Server


@dataclass(frozen=True)
class Export:
    document: dict[str, Any]
    left_out: list[str]  # which, and why


async def export(server: Server, crons: Sequence[Json], source: str | None = None) -> Export:
    """A document of all crons that have a name of their own; a file can find no others again."""
    names = await assistant_names(server, (cron["assistant_id"] for cron in crons))
    often = Counter(name for cron in crons if isinstance(name := cron["metadata"].get("name"), str))
    entries, left_out = [], []
    for cron in crons:
        name = cron["metadata"].get("name")
        if not (isinstance(name, str) and name):
            left_out.append(f"{cron['cron_id']} has no name; `ostinato crons edit {cron['cron_id']} --name NAME`")
        elif often[name] > 1:
            left_out.append(f"{cron['cron_id']} shares its name {name!r} with another")
        else:
            entries.append(exported(state_of(cron), names[cron["assistant_id"]]))
    head = {"source": source} if source else {}
    return Export({**head, "crons": entries}, left_out)
