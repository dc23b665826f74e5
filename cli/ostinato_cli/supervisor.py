"""Keeps the programs of `ostinato dev` alive, shows what they say, and ends them in order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Sequence

from ostinato_cli.console import Console
from ostinato_cli.embedded import EmbeddedServer, EmbeddedServerError
from ostinato_cli.programs import Child, Program

FIRST_PAUSE = 0.5  # seconds before a program that ended is started again; doubled each time
LONGEST_PAUSE = 30.0
STABLE_SECONDS = 30.0  # a life so long clears the record
STILLBORN_LIMIT = 3  # lives that ended before the program was ready even once: no fourth try helps
POLL_SECONDS = 0.1
SERVER_POLL_SECONDS = 0.5


class Supervisor:
    """Runs all programs until a signal, or until one of them cannot be started at all."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        console: Console,
        servers: Sequence[EmbeddedServer] = (),
        on_ready: Callable[[], None] = lambda: None,
        grace_seconds: float = 30.0,
    ) -> None:
        self._programs = programs
        self._console = console
        self._servers = servers
        self._on_ready = on_ready
        self._grace_seconds = grace_seconds
        self._children: dict[str, Child] = {}
        self._ready = {program.name: asyncio.Event() for program in programs}
        self._stopping = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        """The exit code: 0 after a signal, 1 when something could not be kept alive."""
        self._listen()
        lives = [asyncio.create_task(self._keep_alive(program)) for program in self._programs]
        watchers = [asyncio.create_task(self._watch_servers()), asyncio.create_task(self._announce())]
        for task in [*lives, *watchers]:
            task.add_done_callback(self._stop_on_error)
        await self._stopping.wait()
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        await self._end(lives)
        return self._exit_code

    def stop(self) -> None:
        """Ask for an orderly end; the second time, kill."""
        if self._stopping.is_set():
            self._console.say("killing what still runs")
            self._signal_all(signal.SIGKILL)
            return
        self._console.say("stopping (press Ctrl-C again to kill)")
        self._stopping.set()

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)

    async def _keep_alive(self, program: Program) -> None:
        pause, stillborn = FIRST_PAUSE, 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._live(program)
            if self._stopping.is_set():
                return
            stillborn = 0 if self._ready[program.name].is_set() else stillborn + 1
            if stillborn == STILLBORN_LIMIT:
                self._give_up(f"{program.name} could not be started: it {_ending(code)}, three times; see above")
                return
            pause = FIRST_PAUSE if time.monotonic() - began > STABLE_SECONDS else pause
            self._console.say(f"{program.name} {_ending(code)} unexpectedly; starting it again in {pause:g} s")
            await _wait(self._stopping, seconds=pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _live(self, program: Program) -> int:
        ready = self._ready[program.name]

        def see(line: bytes) -> None:
            if program.ready_line is not None and program.ready_line in line:
                ready.set()
            self._console.write(program.name, line)

        child = self._children[program.name] = await Child.start(program, see)
        if self._stopping.is_set():
            child.signal(signal.SIGTERM)  # asked to stop while it was being started
        asking = asyncio.create_task(_ask(program, ready))
        if program.ready_line is None and program.is_ready is None:
            ready.set()
        try:
            return await child.ended()
        finally:
            asking.cancel()
            del self._children[program.name]

    async def _announce(self) -> None:
        for ready in self._ready.values():
            await ready.wait()
        self._on_ready()

    async def _watch_servers(self) -> None:
        while True:
            await asyncio.sleep(SERVER_POLL_SECONDS)
            for server in self._servers:
                if not server.is_alive():
                    self._revive(server)

    def _revive(self, server: EmbeddedServer) -> None:
        self._console.say(f"{server.name} ended unexpectedly; starting it again")
        try:
            server.start()  # in the main thread: a server dies with the thread that made it
        except EmbeddedServerError as error:
            self._give_up(str(error))
        else:
            self._console.say(f"{server.name} is back")

    def _give_up(self, reason: str) -> None:
        self._console.say(reason)
        self._exit_code = 1
        self._stopping.set()

    async def _end(self, lives: Sequence[asyncio.Task[None]]) -> None:
        self._signal_all(signal.SIGTERM)
        await asyncio.wait(lives, timeout=self._grace_seconds)
        if self._children:
            self._console.say(f"{', '.join(self._children)} did not end within {self._grace_seconds:g} s: killing")
            self._signal_all(signal.SIGKILL)
        await asyncio.gather(*lives)

    def _stop_on_error(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._give_up(f"{type(error).__name__}: {error}")

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._children.values():
            child.signal(number)


async def _ask(program: Program, ready: asyncio.Event) -> None:
    if program.is_ready is None:
        return
    while not ready.is_set():
        if await program.is_ready():
            ready.set()
        await asyncio.sleep(POLL_SECONDS)


async def _wait(event: asyncio.Event, *, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def _ending(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
