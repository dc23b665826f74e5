"""What a request's headers tell of who asks: a page of ours, a page from elsewhere, a program; a page or data."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.datastructures import Headers

READING: Final = frozenset({"GET", "HEAD"})
OWN_PAGES_ONLY: Final = "Only the dashboard's own pages may do that."


class Asker(Enum):
    OWN_PAGE = auto()
    OTHER_PAGE = auto()
    PROGRAM = auto()  # or so it seems: it names no page


def asker_of(headers: Headers) -> Asker:
    """Who asks, by what a browser adds and no page can change: Sec-Fetch-Site, else (without https) Origin."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return Asker.OWN_PAGE if site == "same-origin" else Asker.OTHER_PAGE
    if origin is not None:
        return Asker.OWN_PAGE if is_own_origin(origin, host=headers.get("host", "")) else Asker.OTHER_PAGE
    return Asker.PROGRAM


def is_own_origin(origin: str, *, host: str) -> bool:
    """Whether a page of this origin came from the host that it asks. A proxy may speak https for us: not compared."""
    try:
        url = urlsplit(origin)
    except ValueError:
        return False
    return bool(host) and url.scheme in {"http", "https"} and _plain(url.netloc) == _plain(host)


def wants_page(headers: Headers) -> bool:
    """Whether a person's browser asks: its Accept names HTML first."""
    return headers.get("accept", "").partition(",")[0].partition(";")[0].strip().lower() == "text/html"


def _plain(authority: str) -> str:
    return authority.lower().removesuffix(":80").removesuffix(":443")
