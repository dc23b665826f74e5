"""One data folder, one owner: a flock that the server inherits, so it is held until the last process has ended."""

import fcntl
import os
import time
from pathlib import Path
from typing import Self

from ostinato_cli.embedded.errors import EmbeddedServerError

DYING_SECONDS = 20.0  # what the servers of a killed `dev` may take to end
KILLED_SECONDS = 1.0  # a process hit by kill -9 looks alive for a moment
_POLL_SECONDS = 0.02


class FolderLock:
    """The lock of one data folder; `fd` is passed on to the server."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def acquire(cls, folder: Path, *, patience: float = DYING_SECONDS) -> Self:
        """The folder's lock. Waits for servers whose owner is dead, raises soon when the owner lives."""
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        began = time.monotonic()
        try:
            while not _locked(fd):
                time.sleep(_POLL_SECONDS)
                waited = time.monotonic() - began
                if waited > KILLED_SECONDS:
                    _refuse_if_owned(folder, owner=_owner(fd), patient=waited < patience)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd)

    def release(self) -> None:
        os.close(self.fd)


def is_alive(pid: int) -> bool:
    """Whether the process runs: one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's process lives as well
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return not Path("/proc/self").exists()
    return state != "Z"


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _refuse_if_owned(folder: Path, *, owner: int | None, patient: bool) -> None:
    if owner is not None and is_alive(owner):
        raise EmbeddedServerError(
            f"The data folder {folder} is in use by process {owner}. "
            "Stop that one first, or use another folder (--data-dir)."
        )
    if not patient:
        raise EmbeddedServerError(
            f"A server from an earlier start still uses the data folder {folder} and does not end. "
            f"Find it with: fuser -v {folder / 'lock'}"
        )
