"""Paths into threads, such as `values.messages[-1].content`, for searches that want a part only. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ostinato_shared.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOTS = ("values", "metadata", "config", "interrupts")
MAX_PATHS = 10
MAX_PATH_LENGTH = 512
PART = re.compile(r"(?P<name>[^.\[\]]+)(?P<indexes>(\[-?\d{1,9}\])*)")
INDEX = re.compile(r"-?\d+")

Path = tuple[str | int, ...]


def parse_paths(given: Mapping[str, str]) -> dict[str, Path]:
    """The paths by alias. Raises InvalidError for more than ten, and for one that cannot be read."""
    if len(given) > MAX_PATHS:
        raise InvalidError(f"extract: at most {MAX_PATHS} paths")
    return {alias: parse_path(text) for alias, text in given.items()}


def parse_path(text: str) -> Path:
    """The steps of one path: names and indexes."""
    steps: list[str | int] = []
    for part in text.split(".") if len(text) <= MAX_PATH_LENGTH else []:
        found = PART.fullmatch(part)
        if found is None:
            break
        steps += [found["name"], *(int(index) for index in INDEX.findall(found["indexes"]))]
    else:
        if steps and steps[0] in ROOTS:
            return tuple(steps)
    raise InvalidError(
        f"extract: {text[:80]!r} is no path. Write e.g. `values.messages[-1].content`; "
        f"the first part is one of {', '.join(ROOTS)}."
    )


def extract(source: Any, path: Path) -> Any:
    """What lies at the path, None if nothing does."""
    for step in path:
        if isinstance(step, str):
            source = source.get(step) if isinstance(source, dict) else None
        elif isinstance(source, list) and -len(source) <= step < len(source):
            source = source[step]
        else:
            return None
    return source
