"""What both embedded servers share: the folder's lock, a free port, start, readiness, stop."""

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from ostinato_cli.embedded.accounts import OURSELVES
from ostinato_cli.embedded.errors import EmbeddedServerError
from ostinato_cli.embedded.leash import Watchdog, bind_to_parent, watch
from ostinato_cli.embedded.lock import FolderLock

HOST = "127.0.0.1"
_ATTEMPTS = 3  # another program may take the port between our look and the server's bind
_POLL_SECONDS = 0.01
_READY_SECONDS = 120.0  # a crash recovery replays the log first
_LOG_TAIL = 1500  # characters of the server's own words in an error


class EmbeddedServer(ABC):
    """One server process in the foreground of ours, on 127.0.0.1; a context manager, or start() and stop()."""

    name: ClassVar[str]
    stop_signals: ClassVar[Sequence[tuple[signal.Signals, float]]]  # in turn, with the seconds that each one gets
    death_signal: ClassVar[signal.Signals]

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.port: int | None = None
        self.account = OURSELVES
        self._lock: FolderLock | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: Watchdog | None = None

    @property
    @abstractmethod
    def uri(self) -> str: ...

    @abstractmethod
    def _prepare(self) -> None:
        """Make what the server needs on disk. Runs under the folder's lock."""

    @abstractmethod
    def _command(self, port: int) -> list[str]: ...

    @abstractmethod
    def _is_ready(self) -> bool: ...

    @abstractmethod
    def _environment(self) -> dict[str, str]: ...

    @property
    def log_file(self) -> Path:
        return self.data_dir / "server.log"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns when the server answers; a second start, after a crash, keeps the port and the password."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            if self._lock is None:
                self._lock = FolderLock.acquire(self.data_dir)
            self._prepare()
            self._launch()
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError):
                raise EmbeddedServerError(f"{self.name} cannot use the data folder {self.data_dir}: {error}") from error
            raise

    def stop(self) -> None:
        if self._process is not None:
            for stop_signal, seconds in self.stop_signals:
                if self._ended_by(self._process, stop_signal, seconds):
                    break
            self._reaped()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _launch(self) -> None:
        pinned = self.port
        for attempt in range(1, _ATTEMPTS + 1):
            self.port = pinned or free_port()
            self._spawn(self.port)
            if self._became_ready():
                return
            self._reaped()
            if "in use" not in self._log_tail() or attempt == _ATTEMPTS:
                raise EmbeddedServerError(f"{self.name} did not start. Its last words:\n{self._log_tail()}")

    def _spawn(self, port: int) -> None:
        if self._lock is None:
            raise RuntimeError("start() takes the folder's lock first")
        write_private(self.log_file, "")  # Postgres writes statements that failed there, with what they hold
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a binary of our own wheel, no shell
                self._command(port),
                cwd="/",
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a terminal's Ctrl-C is for us: apps stop first, servers last
                pass_fds=(self._lock.fd,),
                preexec_fn=bind_to_parent(self.death_signal),  # noqa: PLW1509 - one prctl, nothing that could deadlock
                user=self.account.uid,
                group=self.account.gid,
                extra_groups=self.account.extra_groups,
                umask=0o077,  # Valkey's files hold the names of crons
            )
        self._watchdog = watch(self._process.pid, self.death_signal)

    def _became_ready(self) -> bool:
        deadline = time.monotonic() + _READY_SECONDS
        while self.is_alive() and time.monotonic() < deadline:
            if self._is_ready():
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _ended_by(self, process: subprocess.Popen[bytes], stop_signal: signal.Signals, seconds: float) -> bool:
        process.send_signal(stop_signal)  # Popen does not signal a process that it has reaped
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _reaped(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._watchdog is not None:
            self._watchdog.release()
        self._process = self._watchdog = None

    def _log_tail(self) -> str:
        return self.log_file.read_text(errors="replace")[-_LOG_TAIL:].strip() if self.log_file.exists() else ""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, in one step."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.rename(path)
