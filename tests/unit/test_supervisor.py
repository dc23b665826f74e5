"""The supervisor, with small programs in place of ours."""

import asyncio
import io
import os
import select
import signal
import sys
import time
from collections.abc import Callable

import pytest

from ostinato_cli import supervisor as supervising
from ostinato_cli.console import Console
from ostinato_cli.programs import Program
from ostinato_cli.supervisor import Supervisor
from screens import Screen

STAYS = "import time; print('up', flush=True); time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STAYS}"
DIES = "raise SystemExit(3)"
DEADLINE = 20.0


def program(name: str, code: str, *, ready_line: bytes | None = b"up") -> Program:
    return Program(name, [sys.executable, "-I", "-c", code], dict(os.environ), ready_line=ready_line)


def supervise(screen: Screen, *programs: Program, on_ready: Callable[[], None] = lambda: None) -> Supervisor:
    console = Console(screen, [each.name for each in programs])
    return Supervisor(programs, console=console, on_ready=on_ready, grace_seconds=1.0)


def ends_soon(pid: int) -> bool:
    """Killed processes need a moment to end: the kernel tells when."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], DEADLINE)[0])
    finally:
        os.close(handle)


async def run(supervisor: Supervisor) -> int:
    async with asyncio.timeout(DEADLINE):
        return await supervisor.run()


async def test_lines_carry_the_name_of_their_program_and_ready_is_said_once_all_are() -> None:
    screen, ready = Screen(), list[str]()

    def note_and_stop() -> None:
        ready.append(screen.text)
        supervisor.stop()

    supervisor = supervise(screen, program("api", STAYS), program("worker", STAYS), on_ready=note_and_stop)
    code = await run(supervisor)

    assert code == 0
    assert [text.count("| up\n") for text in ready] == [2]
    assert "api      | up\n" in screen.text
    assert "worker   | up\n" in screen.text


async def test_program_that_ends_is_started_again() -> None:
    screen = Screen()
    supervisor = supervise(screen, program("api", "print('up')"))

    def stop_when_twice() -> None:
        if screen.text.count("| up\n") < 2:
            screen.when(b"", stop_when_twice)
        else:
            supervisor.stop()

    screen.when(b"up", stop_when_twice)
    code = await run(supervisor)

    assert code == 0
    assert "api ended with exit code 0 unexpectedly; starting it again in 0.5 s" in screen.text


async def test_program_that_never_gets_ready_ends_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "FIRST_PAUSE", 0.01)
    screen = Screen()

    code = await run(supervise(screen, program("api", STAYS), program("beat", DIES)))

    assert code == 1
    assert "beat could not be started: it ended with exit code 3, three times" in screen.text


async def test_deaf_program_is_killed_after_its_grace() -> None:
    screen = Screen()
    supervisor = supervise(screen, program("worker", DEAF))
    screen.when(b"| up", supervisor.stop)

    await run(supervisor)

    assert "worker did not end within 1 s: killing" in screen.text


async def test_second_request_to_stop_kills_at_once() -> None:
    screen = Screen()
    supervisor = supervise(screen, program("worker", DEAF))
    supervisor._grace_seconds = 60.0
    screen.when(b"| up", lambda: os.kill(os.getpid(), signal.SIGINT))
    screen.when(b"again to kill", lambda: os.kill(os.getpid(), signal.SIGINT))
    began = time.monotonic()

    await run(supervisor)

    assert time.monotonic() - began < DEADLINE
    assert "killing what still runs" in screen.text


async def test_what_a_program_leaves_behind_ends_with_it() -> None:
    left = "import subprocess; print('left', subprocess.Popen(['sleep', '60']).pid); print('up', flush=True)"
    screen = Screen()
    supervisor = supervise(screen, program("worker", left))
    screen.when(b"unexpectedly", supervisor.stop)

    await run(supervisor)

    orphan = int(screen.text.partition("left ")[2].split()[0])
    assert ends_soon(orphan)


async def test_line_longer_than_any_buffer_is_shown() -> None:
    screen = Screen()
    supervisor = supervise(screen, program("worker", f"print('x' * 300_000); {STAYS}"))
    screen.when(b"| up", supervisor.stop)

    await run(supervisor)

    assert screen.text.count("x") == 300_000


def test_console_colours_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, file = Terminal(), io.BytesIO()
    for stream in (terminal, file):
        Console(stream, ["api"]).write("api", b"hello")

    assert b"\x1b[" in terminal.getvalue()
    assert file.getvalue() == b"api      | hello\n"
