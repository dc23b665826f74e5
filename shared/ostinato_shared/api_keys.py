"""API keys: how they look, and how the setting that lists them is read. The server knows their digests only."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from ostinato_shared.errors import InvalidError

PREFIX: Final = "ost_"  # by which people, and programs that look for leaked secrets, know one
RANDOM_BYTES: Final = 32
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ENTRY: Final = re.compile(rf"({NAME.pattern}):([0-9a-fA-F]{{64}})")
_FORM: Final = "name:sha256-hex, as `ostinato keys new NAME` prints it"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the server knows it: whose it is, and its SHA-256. A name may have several, one to replace another."""

    name: str
    digest: bytes = field(repr=False)


def make_key() -> str:
    """A fresh key: 256 random bits, so that a plain digest of it cannot be guessed."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def digest_of(key: str) -> bytes:
    """What the server keeps of a key."""
    return sha256(key.encode()).digest()


def entry_of(name: str, key: str) -> str:
    """The setting's entry for a key. Raises InvalidError for a name that it cannot hold."""
    if not NAME.fullmatch(name):
        raise InvalidError("A key's name is 1 to 64 letters, digits, dots, dashes and underscores.")
    return f"{name}:{digest_of(key).hex()}"


def read_keys(setting: str) -> tuple[ApiKey, ...]:
    """The keys of the setting, comma-separated. Raises ValueError that says which entry is wrong, not what it holds."""
    entries = [entry.strip() for entry in setting.split(",") if entry.strip()]
    if not entries:
        raise ValueError(f"it holds no key; each is {_FORM}")
    keys = tuple(_read(number, entry) for number, entry in enumerate(entries, 1))
    if len({key.digest for key in keys}) < len(keys):
        raise ValueError("it holds the same key twice")
    return keys


def _read(number: int, entry: str) -> ApiKey:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise ValueError(f"entry {number} is not {_FORM}")
    return ApiKey(match[1], bytes.fromhex(match[2]))
