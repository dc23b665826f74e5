"""How a firing's outcome looks: never by colour alone, each has a glyph and a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ostinato_shared.models import Outcome


@dataclass(frozen=True)
class Look:
    tone: str  # of the style sheet: ok, bad, run, warn, skip
    glyph: str
    word: str


LOOKS: Final = {
    Outcome.SUCCESS: Look("ok", "✓", "succeeded"),
    Outcome.ERROR: Look("bad", "✕", "failed"),
    Outcome.TIMEOUT: Look("bad", "✕", "timed out"),
    Outcome.INTERRUPTED: Look("skip", "◼", "cancelled"),
    Outcome.STARTED: Look("run", "◌", "running"),
    Outcome.DUE: Look("run", "◷", "due"),
    Outcome.SKIPPED: Look("skip", "▢", "skipped"),
}
WAITING: Final = Look("warn", "?", "asks a person")
FAILED: Final = {Outcome.ERROR, Outcome.TIMEOUT}


def look(outcome: str) -> Look:
    """The look of an outcome as it is stored."""
    return LOOKS[Outcome(outcome)]
