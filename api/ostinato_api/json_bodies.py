"""Request bodies: JSON whatever their Content-Type says, with nothing in them that cannot be stored or given back."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.routing import APIRoute

from ostinato_api.errors import BodyTooLargeError
from ostinato_shared.errors import InvalidError
from ostinato_shared.serialization import UNSTORABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from fastapi import Response

MAX_BYTES = 10 * 2**20
DRAINED_BYTES = 64 * 2**20  # read and dropped, so that the client gets to read the 413
MAX_DEPTH = 100  # objects and lists in one another; serialisers give up at some 250
INVALID = "Invalid JSON in request body"

Place = tuple[Any, ...]  # (place of the parent, key), () for the body itself


class JsonRoute(APIRoute):
    """A route whose body has been read and judged as JSON before FastAPI sees it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler
        required = self.body_field.field_info.is_required()

        async def handle(request: Request) -> Response:
            raw = await read(request)
            left_out = not raw and not required
            return await handler(_Parsed(request, None if left_out else parse(raw)))

        return handle


class _Parsed(Request):
    """The request with its body in Python's terms, under the Content-Type that FastAPI looks for."""

    def __init__(self, request: Request, value: Any) -> None:
        others = [(name, content) for name, content in request.scope["headers"] if name != b"content-type"]
        super().__init__({**request.scope, "headers": [*others, (b"content-type", b"application/json")]})
        self._value = value

    async def body(self) -> bytes:
        return b"parsed"  # FastAPI only looks whether there is one

    async def json(self) -> Any:
        return self._value


async def read(request: Request) -> bytes:
    """The whole body. Raises BodyTooLargeError beyond 10 MiB, also when no length was announced."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BYTES:
            chunks.append(chunk)
        elif size > DRAINED_BYTES:
            break
    if size > MAX_BYTES:
        raise BodyTooLargeError(f"The request body is larger than {MAX_BYTES // 2**20} MiB.")
    return b"".join(chunks)


def parse(body: bytes) -> Any:
    """The JSON value of a body. Raises InvalidError, naming the place, for what could not be stored as it is."""
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidError(_too_deep()) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise InvalidError(INVALID) from None
    except ValueError:  # Python reads no integer of more than 4,300 digits
        raise InvalidError("The request body holds a number with too many digits.") from None
    for place, item in _walk(value):
        _check(place, item)
    return value


def _walk(value: Any) -> Iterator[tuple[Place, Any]]:
    """Every value in it, itself first, without recursion."""
    waiting: list[tuple[Place, Any, int]] = [((), value, 0)]
    while waiting:
        place, item, depth = waiting.pop()
        yield place, item
        if isinstance(item, dict):
            waiting.extend(((place, key), below, depth + 1) for key, below in item.items())
        elif isinstance(item, list):
            waiting.extend(((place, index), below, depth + 1) for index, below in enumerate(item))
        if depth > MAX_DEPTH:
            raise InvalidError(_too_deep())


def _check(place: Place, item: Any) -> None:
    if isinstance(item, str):
        _check_text(place, item)
    elif isinstance(item, float):
        if not math.isfinite(item):
            raise InvalidError(f"{_name(place)}: the number is too large.")
    elif isinstance(item, dict):
        for key in item:
            _check_text((place, key), key)


def _check_text(place: Place, text: str) -> None:
    if found := UNSTORABLE.search(text):
        what = "a NUL character" if found[0] == "\0" else "half of a surrogate pair"
        raise InvalidError(f"{_name(place)}: the text holds {what}, which cannot be stored.")


def _refuse_constant(name: str) -> Any:
    raise InvalidError(f"{name} is not a JSON number.")


def _too_deep() -> str:
    return f"The request body is nested too deep: at most {MAX_DEPTH} objects and lists in one another."


def _name(place: Place) -> str:
    """The path of a place, readable and safe to send whatever the keys hold."""
    parts: list[str] = []
    while place:
        place, key = place
        parts.append(str(key).encode("unicode_escape").decode()[:80] if isinstance(key, str) else str(key))
    return ".".join(reversed(parts)) or "body"
