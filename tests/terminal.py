"""A person at a real terminal: a command under a pty, what it shows, and what is typed."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from termios import tcsetwinsize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 60
CTRL_C = "\x03"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# A session leader that opens a terminal gets it as its own: Ctrl-C comes as a signal.
OWN = 'exec <"$0" >"$0" 2>&1; eval "$1"'


class Terminal:
    def __init__(self, command: str, folder: Path, *, columns: int, env: dict[str, str]) -> None:
        self.raw = b""
        self._changed = threading.Condition()
        self._ours, self._theirs = pty.openpty()
        tcsetwinsize(self._theirs, (24, columns))
        self._process = subprocess.Popen(
            ["sh", "-c", OWN, os.ttyname(self._theirs), command], cwd=folder, env=env, start_new_session=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def shown(self) -> str:
        """What was written, without colours and movements of the cursor."""
        return CONTROL.sub("", self.raw.decode(errors="replace")).replace("\r\n", "\n")

    def wait_for(self, text: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: text in self.shown, SECONDS), f"no {text!r} in {self.shown!r}"

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def code(self) -> int:
        """The exit code, when the command is over and all that it wrote was read."""
        code = self._process.wait(SECONDS)
        os.close(self._theirs)  # the reader gets what is left, and then an error
        self._reader.join()
        os.close(self._ours)
        return code

    def kill(self) -> None:
        if self._reader.is_alive():
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self.code()

    def _read(self) -> None:
        with suppress(OSError):
            while more := os.read(self._ours, 2**16):
                with self._changed:
                    self.raw += more
                    self._changed.notify_all()


@contextmanager
def at_terminal(command: str, folder: Path, *, columns: int, **env: str) -> Iterator[Terminal]:
    """A line for the shell, run at a terminal so wide."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", "TERM": "xterm-256color", **env}
    terminal = Terminal(command, folder, columns=columns, env=environment)
    try:
        yield terminal
    finally:
        terminal.kill()
