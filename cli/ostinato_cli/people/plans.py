"""What `apply` is going to do: found by comparing a file with the server's crons. Pure."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ostinato_cli.people import states
from ostinato_cli.people.exits import PeopleError, UsageError
from ostinato_cli.people.names import AmbiguousError
from ostinato_cli.people.output import counted, flat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ostinato_cli.people.crons_file import CronsFile, NamedCron

LONGEST_VALUE = 200  # characters of a value in a plan
MARK = "applied_by"

Json = dict[str, Any]


class Action(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    REPLACE = "replace"
    DELETE = "delete"


SIGNS = {Action.CREATE: "+", Action.CHANGE: "~", Action.REPLACE: "±", Action.DELETE: "-"}


@dataclass(frozen=True)
class Step:
    action: Action
    name: str
    cron_id: str | None = None  # of what is there already
    changes: states.Changes = field(default_factory=dict)
    body: Json = field(default_factory=dict)  # of the POST or the PATCH
    thread_id: str | None = None

    def lines(self) -> Iterable[str]:
        """The step for people: its sign and name, and each field that differs."""
        yield f"{SIGNS[self.action]} {flat(self.name)}"
        for changed, (before, after) in self.changes.items():
            yield f"    {changed}: {_short(before)} -> {_short(after)}"


@dataclass(frozen=True)
class Plan:
    steps: Sequence[Step]
    unchanged: int

    def summary(self) -> str:
        """`3 to create, 1 to change, 996 unchanged`, or `no change`."""
        counts = Counter(step.action for step in self.steps)
        said = [f"{counts[action]} to {action}" for action in Action if counts[action]]
        kept = f"{counted(self.unchanged, 'cron')} as described"
        return ", ".join([*said, f"{self.unchanged} unchanged"]) if said else f"no change: {kept}"

    def of(self, action: Action) -> list[Step]:
        return [step for step in self.steps if step.action is action]


class FixedFieldsError(PeopleError):
    def __init__(self, refused: Sequence[tuple[str, Sequence[str]]]) -> None:
        lines = [f"  {name}: {', '.join(fields)}" for name, fields in refused[:10]]
        super().__init__(
            "\n".join([
                "A cron cannot change these; --replace makes it anew (its history stays with the old id):",
                *lines,
            ])
        )  # fmt: skip


def make_plan(
    file: CronsFile, crons: Sequence[Json], assistants: Mapping[str, str], *, prune: bool = False, replace: bool = False
) -> Plan:
    """The steps from the server's crons to the file's. Raises PeopleError for what cannot be done."""
    known = _by_name(crons)
    steps, refused, unchanged = [], [], 0
    for cron in file.crons:
        step = _step(cron, known.get(cron.name, []), assistants, file.source)
        if step is None:
            unchanged += 1
            continue
        if step.action is Action.REPLACE and not replace:
            refused.append((step.name, states.needs_replacement(step.changes)))
        steps.append(step)
    if refused:
        raise FixedFieldsError(refused)
    return Plan([*steps, *(_gone(file, crons) if prune else [])], unchanged)


def _step(cron: NamedCron, named: list[Json], assistants: Mapping[str, str], source: str | None) -> Step | None:
    desired = states.wanted(cron, assistants[cron.assistant], source)
    body = states.creation_of(desired, enabled=cron.enabled)
    actual = _choose(cron.name, named, source)
    thread_id = desired["thread_id"]
    if actual is None:
        return Step(Action.CREATE, cron.name, body=body, thread_id=thread_id)
    changes = states.differences(cron, states.state_of(actual), desired)
    if not changes:
        return None
    if states.needs_replacement(changes):
        if cron.enabled is None and not actual["enabled"]:
            body["enabled"] = False  # a pause outlives the replacement
        return Step(Action.REPLACE, cron.name, actual["cron_id"], changes, body, thread_id)
    return Step(Action.CHANGE, cron.name, actual["cron_id"], changes, states.patch_of(changes))


def _by_name(crons: Iterable[Json]) -> Mapping[str, list[Json]]:
    found: defaultdict[str, list[Json]] = defaultdict(list)
    for cron in crons:
        if isinstance(name := cron["metadata"].get("name"), str):
            found[name].append(cron)
    return found


def _choose(name: str, named: list[Json], source: str | None) -> Json | None:
    """The cron that an entry means: one that this source made, else one that nobody's file made."""
    if source is not None:
        own = [cron for cron in named if cron["metadata"].get(MARK) == source]
        free = [cron for cron in named if cron["metadata"].get(MARK) is None]
        if named and not own and not free:
            other = named[0]["metadata"][MARK]
            raise PeopleError(f"{name}: a cron of this name was applied from source {other!r}; use another name.")
        named = own or free
    if len(named) > 1:
        raise AmbiguousError(name, named)
    return named[0] if named else None


def _gone(file: CronsFile, crons: Iterable[Json]) -> Iterable[Step]:
    if file.source is None:
        raise UsageError(
            "--prune deletes only what this file has made, and needs to know its name: write `source: ...`."
        )
    kept = {cron.name for cron in file.crons}
    for cron in crons:
        name = cron["metadata"].get("name")
        if cron["metadata"].get(MARK) == file.source and name not in kept:
            yield Step(Action.DELETE, str(name or cron["cron_id"]), cron["cron_id"])


def _short(value: Any) -> str:
    text = "(none)" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
