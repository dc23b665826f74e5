from dataclasses import dataclass
from enum import StrEnum

from ostinato_shared.errors import UnavailableError


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"  # it works, but not for long or not well
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What one check has found; `advice` says what to do when that is not well."""

    check: str
    level: Level
    text: str
    advice: str = ""

    def __str__(self) -> str:
        shown = self.level if self.level is Level.OK else self.level.upper()
        return f"{shown:<4}  {self.check}: {self.text}{f'. {self.advice}' if self.advice else ''}"


class FaultError(UnavailableError):
    """What a check has found stands in the way of those that build on it."""

    def __init__(self, text: str, advice: str) -> None:
        super().__init__(f"{text}. {advice}")
        self.text = text
        self.advice = advice
