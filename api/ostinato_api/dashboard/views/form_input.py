"""What a graph takes as its input, as a form tells it."""

from __future__ import annotations

import json
from typing import Any, Final

MOST: Final = 8  # fields that are told
EXAMPLES: Final[dict[str, Any]] = {
    "array": [], "object": {}, "string": "", "integer": 0, "number": 0, "boolean": False,
}  # fmt: skip
MESSAGES: Final = [{"role": "user", "content": "Hello"}]


def fields_of(schema: dict[str, Any] | None) -> dict[str, str]:
    """The first fields of an input by name, with their JSON type; empty for a schema that names none."""
    properties = (schema or {}).get("properties")
    if not isinstance(properties, dict):
        return {}
    return {name: _type(found) for name, found in list(properties.items())[:MOST]}


def example_of(fields: dict[str, str]) -> str | None:
    """An input to begin with, as JSON for people; None when nothing is known of the fields."""
    if not fields:
        return None
    if "messages" in fields:
        made: dict[str, Any] = {"messages": MESSAGES}
    else:
        made = {name: EXAMPLES.get(kind) for name, kind in fields.items()}
    return json.dumps(made, indent=2, ensure_ascii=False)


def _type(found: Any) -> str:
    kind = found.get("type") if isinstance(found, dict) else None
    return kind if isinstance(kind, str) else "any"
