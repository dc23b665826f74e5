"""Lines of many processes on one terminal, each with the name of its process before it."""

import itertools
import os
from collections.abc import Iterable
from typing import BinaryIO

COLOURS = (36, 35, 33, 32, 34, 96, 95, 93)  # ANSI foregrounds that read well on light and dark
OURSELVES = "ostinato"


class Console:
    """Writes `name | line`; names are padded to one width, coloured on a terminal only (and never under NO_COLOR)."""

    def __init__(self, stream: BinaryIO, names: Iterable[str]) -> None:
        everybody = [OURSELVES, *names]
        width = max(map(len, everybody))
        coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        colours = itertools.cycle(COLOURS)
        self._stream = stream
        self._prefixes = {
            name: f"\x1b[{next(colours)}m{name:{width}} |\x1b[0m " if coloured else f"{name:{width}} | "
            for name in everybody
        }
        self._reader_left = False

    def say(self, text: str) -> None:
        """A line of our own."""
        self.write(OURSELVES, text.encode())

    def write(self, name: str, line: bytes) -> None:
        if self._reader_left:
            return
        try:
            self._stream.write(self._prefixes[name].encode() + line + b"\n")
            self._stream.flush()
        except BrokenPipeError:  # `ostinato dev | head`: the reader has left, the work goes on
            self._reader_left = True
