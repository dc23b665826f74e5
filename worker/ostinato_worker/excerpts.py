"""What the ledger keeps of a run's output, also when its thread is deleted: short, and text that Postgres takes."""

from __future__ import annotations

from typing import Any, Final

from langchain_core.messages import BaseMessage

from ostinato_shared.serialization import to_json, to_plain

CAP_BYTES: Final = 4096
MORE: Final = "…"


def excerpt(values: Any, as_json: str) -> str:
    """The last message's text if there are messages, the message as JSON if it has none; else the values as JSON."""
    messages = values.get("messages") if isinstance(values, dict) else None
    if not isinstance(messages, list | tuple) or not messages:
        return cap(as_json)
    last = messages[-1]
    return cap(_text(last) or to_json(last))


def cap(text: str) -> str:
    """The text, or its beginning and an ellipsis: at most 4 KiB of UTF-8, no character cut."""
    clean = str(to_plain(text[: CAP_BYTES + 1]))  # a character has a byte at least
    encoded = clean.encode()
    if len(encoded) <= CAP_BYTES:
        return clean
    return encoded[: CAP_BYTES - len(MORE.encode())].decode(errors="ignore") + MORE


def _text(message: Any) -> str:
    if isinstance(message, BaseMessage):
        return str(message.text)
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(
        block if isinstance(block, str) else block["text"]
        for block in blocks
        if isinstance(block, str) or (isinstance(block, dict) and isinstance(block.get("text"), str))
    )
