"""Postgres' clock, as this host can read it without asking."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """This host's clock plus its distance to the server's, in seconds."""

    def __init__(self, local: Callable[[], float] = time.time) -> None:
        self._local = local
        self.offset = 0.0

    def now(self) -> float:
        """The server's time in seconds since the epoch."""
        return self._local() + self.offset

    def ask(self, server: Callable[[], float]) -> None:
        """Measure the distance by one question, and keep it unless the answer contradicts it.

        The server has read its clock somewhere between question and answer: a slow answer says little.
        """
        asked = self._local()
        answer = server()
        low, high = answer - self._local(), answer - asked
        if not low <= self.offset <= high:
            self.offset = (low + high) / 2
