"""New identifiers: UUIDv7, so that they sort by time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uuid_utils.compat import uuid7

if TYPE_CHECKING:
    from uuid import UUID


def new_id() -> UUID:
    """A fresh time-ordered id."""
    return uuid7()
