"""What people type, as the api wants it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from ostinato_cli.people.exits import UsageError

SHORT_DURATION = re.compile(r"([1-9][0-9]*)([smhd])")
ISO = {"s": "PT{}S", "m": "PT{}M", "h": "PT{}H", "d": "P{}D"}


def given(**values: Any) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in values.items() if value not in (None, {}, [])}


def read_input(text: str | None) -> Any:
    """The JSON of `--input`: a text, @FILE, or - for the standard input. Raises UsageError."""
    if text is None:
        return None
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        value = json.loads(text)
    except OSError as error:
        raise UsageError(f"--input: {error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"--input: not JSON: {error}") from None
    if not isinstance(value, dict | list):
        raise UsageError('--input: must be an object or an array of objects, such as {"topic": "news"}')
    return value


def guards(
    timeout: str | None, overlap: str | None, pause_after_failures: int | None, max_runs: int | None
) -> dict[str, Any]:
    """`metadata.ostinato` from the options."""
    if timeout is not None and (short := SHORT_DURATION.fullmatch(timeout)):
        timeout = ISO[short[2]].format(short[1])
    return given(timeout=timeout, overlap=overlap, pause_after_failures=pause_after_failures, max_runs=max_runs)
