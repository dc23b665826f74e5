"""What a cron's `metadata.ostinato` asks of its firings. Pure."""

from __future__ import annotations

from typing import Any

from ostinato_shared.errors import InvalidError

KEY = "ostinato"


def check_policy(metadata: dict[str, Any]) -> None:
    """Raises InvalidError, naming the field, for a policy that this version does not know: none is ever ignored."""
    policy = metadata.get(KEY)
    if policy is None:
        return
    if not isinstance(policy, dict):
        raise InvalidError(f"metadata.{KEY}: must be an object")
    for field in policy:
        raise InvalidError(f"metadata.{KEY}.{field[:80]}: not supported yet by this version of Ostinato")


def merge_metadata(stored: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The stored metadata overlaid by the change; a null policy removes the stored one."""
    merged = {**stored, **change}
    if merged.get(KEY, {}) is None:
        del merged[KEY]
    return merged
