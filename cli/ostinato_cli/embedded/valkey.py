import os
import secrets
import signal
from glob import escape
from pathlib import Path
from typing import ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ostinato_cli.embedded.binaries import valkey_server
from ostinato_cli.embedded.server import HOST, EmbeddedServer, write_private

_CONFIG = """\
bind {host}
port {port}
requirepass {password}
dir "{folder}"
appendonly {appendonly}
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
logfile ""
"""


class EmbeddedValkey(EmbeddedServer):
    """Valkey (speaks Redis) from the wheel, with a new password in each life."""

    name: ClassVar[str] = "Valkey"
    stop_signals = ((signal.SIGTERM, 10.0),)
    death_signal = signal.SIGKILL  # every write is in the append-only file before it is answered

    def __init__(self, data_dir: Path, *, appendonly: bool = True) -> None:
        super().__init__(data_dir)
        self._appendonly = appendonly
        self._password = secrets.token_urlsafe(24)
        self._binary = Path()

    @property
    def uri(self) -> str:
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    def _prepare(self) -> None:
        self._binary = valkey_server()

    def _command(self, port: int) -> list[str]:
        config = self.data_dir / "valkey.conf"
        written = _CONFIG.format(
            host=HOST,
            port=port,
            password=self._password,
            folder=str(self.data_dir).replace("\\", "\\\\").replace('"', '\\"'),
            appendonly="yes" if self._appendonly else "no",
        )
        write_private(config, written)  # never on the command line, where everybody reads it
        return [
            str(self._binary),
            escape(str(config)),
        ]  # it takes a pattern, and starts with no settings when none matches

    def _environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name in {"PATH", "TMPDIR"}} | {"LC_ALL": "C"}

    def _is_ready(self) -> bool:
        client = redis.Redis.from_url(self.uri, socket_timeout=5, retry=Retry(NoBackoff(), retries=0))
        try:
            return bool(client.ping())
        except redis.ConnectionError:  # not listening yet, or still loading its data
            return False
        finally:
            client.close()
