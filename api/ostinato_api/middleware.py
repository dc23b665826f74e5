"""What stands before every route: who may ask at all, how browsers may read the answer, and a line in the log."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from ostinato_api.askers import is_own_origin
from ostinato_api.errors import answer, unexpected
from ostinato_api.json_bodies import DRAINED_BYTES, MAX_BYTES
from ostinato_shared.ids import new_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

EXPOSED = "x-pagination-total, x-pagination-next, content-location, location, x-request-id"
METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
ANSWER_SECONDS = 60.0  # then the usual proxy gives up, too
QUIET = {"/ok"}  # asked every few seconds by whoever supervises the server


@dataclass(frozen=True)
class Doors:
    """Who is let in: loopback names, the origins that the operator named, and with API keys any host's own pages."""

    origins: frozenset[str]
    keyed: bool = False

    def host(self, header: str) -> bool:
        """A page that rebinds its own DNS name to this machine still sends that name; no key comes with it."""
        name = _hostname(f"//{header}")
        named = {_hostname(origin) for origin in self.origins}
        return self.keyed or is_loopback(name) or "*" in self.origins or name in named

    def origin(self, header: str, *, host: str) -> bool:
        """Any page that a person visits can send requests to their machine: only known ones are answered."""
        if header.rstrip("/") in self.origins or "*" in self.origins or is_loopback(_hostname(header)):
            return True
        return self.keyed and is_own_origin(header, host=host)


def is_loopback(name: str) -> bool:
    """Whether a host's name or address means this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _hostname(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


class Gate:
    """The Host and Origin rules, CORS, and the size that a request announces."""

    def __init__(self, app: ASGIApp, *, origins: list[str], keyed: bool) -> None:
        self.app = app
        self.doors = Doors(frozenset(origin.rstrip("/") for origin in origins), keyed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        origin = headers.get("origin")
        cors = _cors(origin) if origin else {}
        scope["ostinato.cors"] = cors
        if origin and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await Response(status_code=204, headers={**cors, **_preflight(headers)})(scope, receive, send)
            return

        async def send_readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(cors)
            await send(message)

        await self.app(scope, receive, send_readable)

    def _refusal(self, headers: Headers) -> Response | None:
        hosts = headers.getlist("host") or [""]
        if not all(map(self.doors.host, hosts)):
            return answer(
                403,
                "Without API keys this server answers on loopback names only. --allow-origin can name another host.",
            )
        if not all(self.doors.origin(origin, host=hosts[0]) for origin in headers.getlist("origin")):
            return answer(403, "Pages of this origin may not use the server. --allow-origin can name it.")
        length = headers.get("content-length", "")
        # Small excesses are read to their end by the route, so that the client sees the answer.
        if length.isdecimal() and int(length[:19]) > DRAINED_BYTES:
            return answer(413, f"The request body is larger than {MAX_BYTES // 2**20} MiB.")
        return None


def _cors(origin: str) -> dict[str, str]:
    return {"access-control-allow-origin": origin, "access-control-expose-headers": EXPOSED, "vary": "Origin"}


def _preflight(headers: Headers) -> dict[str, str]:
    allowed = {
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": headers.get("access-control-request-headers", "*"),
        "access-control-max-age": "600",
    }
    if headers.get("access-control-request-private-network") == "true":
        allowed["access-control-allow-private-network"] = "true"
    return allowed


class RequestLog:
    """A request id on every answer and event, and one event a request: no bodies, no keys, no query.

    What nobody has caught ends here. The server would close the connection on it, though the 500 has not said so, and
    reset what the client still sends: the rest of a body, or its next request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else str(new_id())
        started = time.perf_counter()
        status, ended = None, False

        async def send_marked(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            elif message["type"] == "http.response.body":
                ended = not message.get("more_body", False)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_marked)
            except Exception as error:
                failure = unexpected(scope, error)
                if status is None:
                    await failure(scope, receive, send_marked)
                elif not ended:
                    raise  # only the end of the connection tells that the answer is not whole
            finally:
                level = log.debug if scope["path"] in QUIET else log.info
                milliseconds = round((time.perf_counter() - started) * 1000, 1)
                level("request", method=scope["method"], path=scope["path"], status=status, ms=milliseconds)


class Patience:
    """503 instead of a route that says nothing for so long: a Postgres that hangs would be waited for for ever.

    The body may take its time to come, and an answer that has begun its time to end: waits, streams of events.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        def wait_until(when: float | None) -> None:
            if not limit.expired():
                limit.reschedule(when)

        async def receive_unhurried() -> Message:
            wait_until(None)
            message = await receive()
            if not begun:
                wait_until(asyncio.get_running_loop().time() + ANSWER_SECONDS)
            return message

        async def send_unhurried(message: Message) -> None:
            nonlocal begun
            begun = True
            wait_until(None)
            await send(message)

        try:
            async with asyncio.timeout(ANSWER_SECONDS) as limit:
                await self.app(scope, receive_unhurried, send_unhurried)
        except TimeoutError:
            if begun or not limit.expired():
                raise
            log.warning("request_given_up", method=scope["method"], path=scope["path"], seconds=ANSWER_SECONDS)
            detail = f"The database, or a graph, has not answered within {ANSWER_SECONDS:g} s. Try again."
            await answer(503, detail, headers={"retry-after": "1"})(scope, receive, send)
