"""Where Flower answers and who may look: made by `dev`, handed to the process in its environment."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ostinato_cli.embedded.server import write_private
from ostinato_cli.ports import preferred_port
from ostinato_shared.errors import UnavailableError

HOST = "127.0.0.1"
PORT = 5555
MAX_PORT = 65535
USER = "ostinato"


@dataclass(frozen=True)
class FlowerAccess:
    host: str
    port: int
    user: str
    password: str

    def __str__(self) -> str:
        return f"{self.url} (user {self.user}, password {self.password})"

    @property
    def url(self) -> str:
        """Where people find it."""
        return f"http://{self.host}:{self.port}"

    def environment(self) -> dict[str, str]:
        """The variables that Flower itself knows: on a command line everybody would read the password."""
        return {
            "FLOWER_ADDRESS": self.host,
            "FLOWER_PORT": str(self.port),
            "FLOWER_BASIC_AUTH": f"{self.user}:{self.password}",
        }

    @classmethod
    def from_environment(cls) -> Self:
        """What `environment` wrote, or an operator did."""
        user, colon, password = os.environ.get("FLOWER_BASIC_AUTH", "").partition(":")
        if not (user and colon and password):
            raise UnavailableError(
                "Flower shows and stops workers, so it needs a password: set FLOWER_BASIC_AUTH=user:password."
            )
        host, port = os.environ.get("FLOWER_ADDRESS", HOST), os.environ.get("FLOWER_PORT", str(PORT))
        if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= MAX_PORT):
            raise UnavailableError(f"FLOWER_PORT must be a port, from 1 to {MAX_PORT}.")
        return cls(host=host, port=int(port), user=user, password=password)


def flower_access(data_dir: Path) -> FlowerAccess:
    """Flower's usual port, else a free one, and the password of this data folder, made on the first start."""
    path = data_dir / "flower.password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(12))
    return FlowerAccess(HOST, preferred_port(HOST, PORT), USER, path.read_text().strip())
