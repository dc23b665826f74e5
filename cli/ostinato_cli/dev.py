"""`ostinato dev`: servers, api, beat, workers and Flower in one terminal."""

import asyncio
import os
import signal
import subprocess
import sys
import webbrowser
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ostinato_cli import addresses
from ostinato_cli.console import Console
from ostinato_cli.embedded import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
from ostinato_cli.embedded.leash import bind_to_parent
from ostinato_cli.flower import FlowerAccess, flower_access
from ostinato_cli.ports import claim_port, shown_host
from ostinato_cli.programs import Program, answers, command
from ostinato_cli.supervisor import Supervisor
from ostinato_shared.errors import OstinatoError

DRAIN_SECONDS = 20.0  # what Settings gives a worker when the environment names nothing
GRACE_BEYOND_DRAIN = 10.0  # seconds for what a worker does after its drain


@dataclass(frozen=True)
class DevOptions:
    config: Path
    host: str
    port: int
    data_dir: Path
    workers: int
    flower: bool
    browser: bool
    allow_origin: tuple[str, ...]


class StepFailedError(OstinatoError):
    """A step of the start failed, and has said why."""


class DataDirError(OstinatoError):
    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(f"The data folder {folder} cannot be used: {error.strerror}. Name another by --data-dir.")


def run_dev(options: DevOptions) -> int:
    """The exit code, when everything that was started has ended."""
    port = claim_port(options.host, options.port)
    _make_data_dir(options.data_dir)
    env = _environment(options, port)
    with ExitStack() as running:
        check = _step(running, env, "check")  # imports the user's graphs while the servers start
        servers = _start_servers(options.data_dir, env, running)
        running.enter_context(addresses.noted(options.data_dir, env))
        for step in (check, _step(running, env, "db", "upgrade")):
            if step.wait() != 0:
                raise StepFailedError("Nothing was started: see above.")
        flower = flower_access(options.data_dir) if options.flower else None
        return asyncio.run(_supervise(options, env, port, servers, flower))


async def _supervise(
    options: DevOptions, env: Mapping[str, str], port: int, servers: list[EmbeddedServer], flower: FlowerAccess | None
) -> int:
    programs = _programs(options, env, port, flower)
    console = Console(sys.stdout.buffer, [program.name for program in programs])
    url = f"http://{shown_host(options.host)}:{port}"

    def announce() -> None:
        console.say(f"ready: api {url}  docs {url}/docs" + (f"  Flower {flower}" if flower else ""))
        if options.browser and sys.stdout.isatty() and (os.environ.get("DISPLAY") or sys.platform == "darwin"):
            webbrowser.open(url)

    grace = float(env.get("OSTINATO_DRAIN_SECONDS") or DRAIN_SECONDS) + GRACE_BEYOND_DRAIN
    supervisor = Supervisor(programs, console=console, servers=servers, on_ready=announce, grace_seconds=grace)
    return await supervisor.run()


def _programs(options: DevOptions, env: Mapping[str, str], port: int, flower: FlowerAccess | None) -> list[Program]:
    """The api first: it is what people wait for."""
    host = shown_host(options.host)
    workers = ["worker"] if options.workers == 1 else [f"worker-{n}" for n in range(1, options.workers + 1)]
    api_env = {**env, "OSTINATO_FLOWER_URL": flower.url} if flower else env
    programs = [
        Program("api", command("api"), api_env, is_ready=partial(answers, host, port, "/ok")),
        Program("beat", command("beat"), env, ready_line=b"beat_ready"),
        *(Program(name, command("worker"), env, ready_line=b"worker_ready") for name in workers),
    ]
    if flower:
        is_ready = partial(answers, flower.host, flower.port, "/healthcheck")
        programs.append(Program("flower", command("flower"), {**env, **flower.environment()}, is_ready=is_ready))
    return programs


def _environment(options: DevOptions, port: int) -> dict[str, str]:
    env = {
        **os.environ,
        "OSTINATO_CONFIG": str(options.config.absolute()),
        "OSTINATO_HOST": options.host,
        "OSTINATO_PORT": str(port),
        "PYTHONUNBUFFERED": "1",  # each line is shown when it is said
    }
    if options.allow_origin:
        env["OSTINATO_ALLOW_ORIGIN"] = ",".join(options.allow_origin)
    return env


def _make_data_dir(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
    except OSError as error:
        raise DataDirError(folder, error) from None


def _start_servers(data_dir: Path, env: dict[str, str], running: ExitStack) -> list[EmbeddedServer]:
    """Start the servers that the environment does not name, and name them there."""
    servers: list[EmbeddedServer] = []
    kinds: dict[str, Callable[[], EmbeddedServer]] = {
        "DATABASE_URI": lambda: EmbeddedPostgres(data_dir / "postgres"),
        "REDIS_URI": lambda: EmbeddedValkey(data_dir / "valkey"),
    }
    for name, make in kinds.items():
        if not env.get(name):
            server = running.enter_context(make())
            env[name] = server.uri
            servers.append(server)
    return servers


def _step(running: ExitStack, env: Mapping[str, str], *words: str) -> subprocess.Popen[bytes]:
    """A command of ours that has to succeed before anything starts; what it says is shown as it is."""
    process = subprocess.Popen(  # noqa: S603 - ourselves
        command(*words),
        env=dict(env),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=bind_to_parent(signal.SIGKILL),  # noqa: PLW1509 - one prctl, nothing that could deadlock
    )
    running.callback(process.wait)
    running.callback(process.kill)
    return process
