"""One supervised process: started, watched line by line, asked to end."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, cast

from ostinato_cli.embedded.leash import bind_to_parent, watch

ANSWER_SECONDS = 2.0
LAST_WORDS_SECONDS = 1.0
LINE_LIMIT = 64 * 1024  # a longer line is shown in pieces


@dataclass(frozen=True)
class Program:
    """What to run under which name, and how one sees that it works: by a line of its output, or by asking it."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    ready_line: bytes | None = None
    is_ready: Callable[[], Awaitable[bool]] | None = None


def command(*words: str) -> list[str]:
    """Ourselves, in a process of its own."""
    # -P: a folder called `api` or `shared` where the user stands must not be imported.
    return [sys.executable, "-P", "-m", "ostinato_cli", *words]


async def answers(host: str, port: int, path: str) -> bool:
    """Whether a GET there is answered with 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(host.strip("[]"), port)
            try:
                writer.write(request.encode())
                return (await reader.readline()).split()[1:2] == [b"200"]
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


class Child(asyncio.SubprocessProtocol):
    """One life of a program. It ends with us, whatever happens to us, and takes its own children along."""

    def __init__(self, see: Callable[[bytes], None]) -> None:
        self._see = see
        self._pending = b""
        self._exited = asyncio.Event()
        self._closed = asyncio.Event()

    @classmethod
    async def start(cls, program: Program, see: Callable[[bytes], None]) -> Self:
        """The running program; every line that it says goes to `see`."""
        # Not create_subprocess_exec: its wait() goes on while a grandchild holds the pipe.
        _transport, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(see),
            *program.command,
            env=program.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # a terminal's Ctrl-C is for us: we decide the order
            preexec_fn=bind_to_parent(signal.SIGKILL),  # one prctl, nothing that could deadlock
        )
        return child

    async def ended(self) -> int:
        """The exit code, when all that it said has been seen."""
        await self._exited.wait()
        self.signal(signal.SIGKILL)  # what it has started and left behind
        if self._watchdog is not None:
            self._watchdog.release()
        with contextlib.suppress(TimeoutError):  # a grandchild in a session of its own may hold the pipe
            await asyncio.wait_for(self._closed.wait(), LAST_WORDS_SECONDS)
        self._transport.close()
        code = self._transport.get_returncode()
        return -1 if code is None else code

    def signal(self, number: signal.Signals) -> None:
        """Signal the process, or with SIGKILL its whole group."""
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self._transport.get_pid(), number)
            else:
                self._transport.send_signal(number)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._watchdog = watch(self._transport.get_pid(), signal.SIGKILL)

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - asyncio's signature
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > LINE_LIMIT:
            lines, self._pending = [*lines, self._pending], b""
        for line in lines:
            self._see(line.rstrip(b"\r"))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._pending:
            self._see(self._pending)
        self._pending = b""

    def process_exited(self) -> None:
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._closed.set()
