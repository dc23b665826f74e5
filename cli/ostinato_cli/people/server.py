"""The api over HTTP: a few requests at once, errors as people's errors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import httpx

from ostinato_cli.people.exits import PeopleError, RefusedError, UnclearError, UnreachableError, UsageError

if TYPE_CHECKING:
    from types import TracebackType

AT_ONCE = 16  # requests
PAGE = 1000  # rows; the most that a search gives
TIMEOUT = httpx.Timeout(60, connect=5)  # seconds
TRIES = 3
PAUSE_SECONDS = 0.5  # before a request is repeated
BUSY = 503

Json = dict[str, Any]


class Server:
    """Open it with `async with`. Every method raises PeopleError."""

    def __init__(self, url: str, api_key: str | None = None, *, timeout: httpx.Timeout = TIMEOUT) -> None:
        self.url = url.rstrip("/")
        headers = {"x-api-key": api_key} if api_key else {}
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        try:
            self._client = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=timeout, limits=limits)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise UsageError(f"--url or --api-key: {error}") from None
        self._room = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The answer's JSON, None if it has none. For what may be done twice: it is repeated when unclear."""
        return _read(await self.answer(method, path, body, **query))

    async def answer(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        """The whole answer, for its headers."""
        for attempt in range(1, TRIES + 1):
            try:
                return await self._send(method, path, body, query)
            except PeopleError as error:
                if attempt > 1 and method == "DELETE" and isinstance(error, RefusedError) and error.status == 404:  # noqa: PLR2004 - HTTP's
                    return httpx.Response(204)  # the try before had done it
                passing = isinstance(error, UnclearError) or (isinstance(error, RefusedError) and error.status == BUSY)
                if not passing or attempt == TRIES:
                    raise
            await asyncio.sleep(PAUSE_SECONDS * attempt)
        raise AssertionError

    async def create(self, path: str, body: Json) -> Json:
        """What was made. Sent once: raises UnclearError if it may have been made all the same."""
        try:
            made: Json = _read(await self._send("POST", path, body, {}))
        except RefusedError as error:
            if error.status < 500:  # noqa: PLR2004 - HTTP's
                raise
            raise UnclearError(self.url) from error
        return made

    async def crons(self, **wanted: Any) -> list[Json]:
        """All crons that a search finds, oldest first."""
        return await self.search("/runs/crons/search", sort_by="cron_id", sort_order="asc", **wanted)

    async def search(self, path: str, **wanted: Any) -> list[Json]:
        """All that a search finds, however many pages it is."""
        first = await self.answer("POST", path, {**wanted, "limit": PAGE})
        total = int(first.headers.get("x-pagination-total", 0))
        bodies = [{**wanted, "limit": PAGE, "offset": offset} for offset in range(PAGE, total, PAGE)]
        others = await asyncio.gather(*(self.call("POST", path, body) for body in bodies))
        return [item for page in (_read(first), *others) for item in page]

    async def _send(self, method: str, path: str, body: Any, query: Json) -> httpx.Response:
        given = {name: value for name, value in query.items() if value not in (None, [])}
        try:
            async with self._room:
                answer = await self._client.request(method, path, json=body, params=given)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise UnreachableError(self.url) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise UsageError(f"--url: {error}") from None
        except httpx.TransportError:
            raise UnclearError(self.url) from None
        if answer.is_success:
            return answer
        raise RefusedError(answer.status_code, _detail(answer))


def _read(answer: httpx.Response) -> Any:
    try:
        return answer.json() if answer.content.strip() else None
    except ValueError:
        raise RefusedError(answer.status_code, "The answer is not JSON: is this an Ostinato server?") from None


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The server answered {answer.status_code} {answer.reason_phrase}."
