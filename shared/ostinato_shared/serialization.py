"""A graph's values as JSON that Postgres can store: messages become plain objects, oddities become text."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson
from langgraph.types import Interrupt
from pydantic import BaseModel

from ostinato_shared.errors import message_of

OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # what jsonb refuses of a text: NUL and lone surrogates
MISFITS = ("\\u0000", "\\ud")  # how these may show in JSON


def to_json(value: Any) -> str:
    """JSON text that jsonb accepts: NaN is null, NUL and lone surrogates are U+FFFD, unknown objects their str()."""
    try:
        text = orjson.dumps(value, default=_plain, option=OPTIONS).decode()
    except (TypeError, ValueError):  # huge integers, lone surrogates, deep nesting, keys of odd types
        text = json.dumps(_scrub(value))
    return json.dumps(_scrub(json.loads(text))) if any(misfit in text for misfit in MISFITS) else text


def to_plain(value: Any) -> Any:
    """The same as Python dicts and lists."""
    return json.loads(to_json(value))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Interrupt):
        return {"value": value.value, "id": value.id}
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "message": message_of(value)}
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def _scrub(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {_scrub(str(key)): _scrub(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_scrub(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, int) else _scrub(_plain(value))
