"""The dashboard's sessions: a cookie that names a key and an end, signed with that key's digest. Nothing is stored.

A key that is taken out of the setting ends its sessions. The cookie is good for pages only, never for the API.
"""

from __future__ import annotations

import hmac
import re
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from ostinato_shared.api_keys import ApiKey

COOKIE: Final = "ostinato_session"
SECONDS: Final = 12 * 3600
PATH: Final = "/ui/sign-in"
_PURPOSE: Final = b"ostinato dashboard session 1"
_VALUE: Final = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9]{1,12}):([0-9a-f]{64})")
_PAGE: Final = re.compile(r"/(?:docs|ui(?:/[A-Za-z0-9._~:@%/-]*)?)?(?:\?[A-Za-z0-9._~:@%/?&=+,!*'();-]*)?")


def session_of(key: ApiKey, *, now: float | None = None) -> str:
    """The cookie's value for who has shown this key."""
    ends = int((time.time() if now is None else now) + SECONDS)
    return f"{key.name}:{ends}:{_signature(key, ends)}"


def key_of(value: str, keys: Iterable[ApiKey]) -> ApiKey | None:
    """The key whose session this is; None for one that is forged, over, or of a key that is no more."""
    match = _VALUE.fullmatch(value)
    if match is None or int(match[2]) <= time.time():
        return None
    found = None
    for key in keys:
        if key.name == match[1] and hmac.compare_digest(_signature(key, int(match[2])), match[3]):
            found = key
    return found


def is_secure(request: Request) -> bool:
    """Whether the browser speaks https, to us or to a proxy before us."""
    forwarded = request.headers.get("x-forwarded-proto", "").rpartition(",")[2].strip()
    return "https" in {request.url.scheme, forwarded}


def local_page(path: str | None) -> str:
    """The path if it is one of our pages, else the first page: nobody is sent elsewhere after signing in."""
    return path if path and _PAGE.fullmatch(path) and not path.startswith("/ui/sign-") else "/"


def is_page(path: str) -> bool:
    """Whether a path is for people."""
    return bool(_PAGE.fullmatch(quote(path)))


def sign_in_path(wanted: str) -> str:
    """Where to sign in, coming back to what was wanted."""
    page = local_page(wanted)
    return PATH if page == "/" else f"{PATH}?next={quote(page, safe='')}"


def path_within(url: str) -> str:
    """Path and query of a URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "/"
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _signature(key: ApiKey, ends: int) -> str:
    secret = hmac.digest(key.digest, _PURPOSE, "sha256")
    return hmac.new(secret, f"{key.name}:{ends}".encode(), "sha256").hexdigest()
