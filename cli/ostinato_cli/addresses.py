"""What `ostinato dev` runs with, noted in its data folder for an `ostinato doctor` in another terminal."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dotenv import dotenv_values, set_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FILE: Final = "addresses.env"
NAMES: Final = ("DATABASE_URI", "REDIS_URI", "OSTINATO_CONFIG")


@contextmanager
def noted(data_dir: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Keep them in a file that only its owner reads, passwords being in them, while the block runs."""
    file = data_dir / FILE
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    try:
        for name in NAMES:
            set_key(file, name, env[name])
        yield
    finally:
        file.unlink(missing_ok=True)


def adopt(data_dir: Path) -> None:
    """Put into this process's environment what it does not name itself."""
    for name, value in dotenv_values(data_dir / FILE).items():
        os.environ.setdefault(name, value or "")
