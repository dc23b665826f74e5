"""A thread as a conversation: its messages, what else it holds, what it asks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from ostinato_api.dashboard.views.cron import REASONS, pretty
from ostinato_api.dashboard.views.outcomes import LOOKS, WAITING, Look
from ostinato_api.dashboard.views.runs import spoken
from ostinato_shared.models import Outcome, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ostinato_shared.models import Thread

MESSAGES: Final = 100  # the last ones
LONGEST: Final = 6000  # characters of a message
LONGEST_VALUE: Final = 20_000  # characters of a value
ROLES: Final = {
    "human": ("human", "Human"),
    "user": ("human", "Human"),
    "ai": ("ai", "AI"),
    "assistant": ("ai", "AI"),
    "AIMessageChunk": ("ai", "AI"),
    "tool": ("tool", "Tool"),
    "function": ("tool", "Tool"),
    "system": ("system", "System"),
    "developer": ("system", "System"),
}
PENDING: Final = Look("run", "◷", "waits for its turn")
REST: Final = Look("skip", "·", "at rest")


@dataclass(frozen=True)
class Call:
    name: str
    given: str


@dataclass(frozen=True)
class Message:
    role: str  # of the style sheet: human, ai, tool, system
    who: str
    text: str
    calls: Sequence[Call]
    left_out: int  # characters


@dataclass(frozen=True)
class Question:
    id: str
    text: str
    value: str | None  # all of it, when there is more than the text


@dataclass(frozen=True)
class Value:
    name: str
    text: str
    left_out: int


def messages(values: Any) -> tuple[list[Message], int]:
    """The last messages, oldest first, and how many there were before."""
    found = values.get("messages") if isinstance(values, dict) else None
    if not isinstance(found, list):
        return [], 0
    return [_message(each) for each in found[-MESSAGES:]], max(0, len(found) - MESSAGES)


def others(values: Any) -> list[Value]:
    """All but the messages."""
    if not isinstance(values, dict):
        return [] if values is None else [_value("", values)]
    has_messages = isinstance(values.get("messages"), list)
    return [_value(name, value) for name, value in values.items() if name != "messages" or not has_messages]


def questions(thread: Thread) -> list[Question]:
    """What the thread waits for; nothing while a run goes on."""
    if thread.status != "interrupted":
        return []
    return [_question(each) for asked in thread.interrupts.values() for each in (asked or ()) if isinstance(each, dict)]


def asked_key(questions: Sequence[Question]) -> str:
    """Names what is asked: it changes when something else is."""
    return _digest([question.id for question in questions]) if questions else ""


def version(thread: Thread, runs: Sequence[Any]) -> str:
    """Changes with everything that the page shows."""
    stamps = [(run.run_id, run.status, run.updated_at) for run in runs]
    return _digest([thread.status, thread.updated_at, thread.state_updated_at, stamps])


def status(runs: Sequence[Any], asked: Sequence[Question]) -> Look:
    """How it stands: as its last run, unless it waits for a person."""
    if asked:
        return WAITING
    return run_look(runs[0].status) if runs else REST


def run_look(status: str) -> Look:
    """The look of a run's status."""
    if status == RunStatus.PENDING:
        return PENDING
    return LOOKS[Outcome.STARTED if status == RunStatus.RUNNING else Outcome(status)]


def cut_short(run: Any) -> str | None:
    """Why a run was cancelled, for people."""
    return REASONS.get(run.cancel_reason, run.cancel_reason) if run.status == RunStatus.INTERRUPTED else None


def text_of(content: Any) -> str:
    """A message's content as text: its text blocks, a word for each other one."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(part for part in map(_block, content) if part)
    return "" if content is None else _json(content)


def _message(message: Any) -> Message:
    if not isinstance(message, dict):
        return _made("system", "", text_of(message), [])
    kind = str(message.get("type") or message.get("role") or "")
    role, who = ROLES.get(kind, ("system", kind[:40] or "Message"))
    name = message.get("name")
    if isinstance(name, str) and name:
        who = f"{who} · {name[:80]}"
    return _made(role, who, text_of(message.get("content")), list(_calls(message)))


def _made(role: str, who: str, text: str, calls: Sequence[Call]) -> Message:
    return Message(role, who, text[:LONGEST], calls, max(0, len(text) - LONGEST))


def _calls(message: Mapping[str, Any]) -> Iterator[Call]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if not isinstance(call, dict):
            continue
        inside = call.get("function")
        function = inside if isinstance(inside, dict) else call  # OpenAI's form
        given = function.get("args", function.get("arguments", {}))
        yield Call(str(function.get("name", ""))[:200], (given if isinstance(given, str) else pretty(given))[:LONGEST])


def _block(block: Any) -> str:
    if isinstance(block, str):
        return block
    if not isinstance(block, dict):
        return _json(block)
    kind = block.get("type")
    if isinstance(block.get("text"), str):
        return str(block["text"])
    if kind in {"tool_use", "tool_call"}:  # shown with its arguments
        return ""
    return f"[{kind}]" if isinstance(kind, str) else _json(block)


def _question(asked: Mapping[str, Any]) -> Question:
    value = asked.get("value")
    text = spoken(value)
    more = None if isinstance(value, str) or text == _json(value) else pretty(value)[:LONGEST]
    return Question(str(asked.get("id", ""))[:200], text[:LONGEST], more)


def _value(name: str, value: Any) -> Value:
    text = value if isinstance(value, str) else pretty(value)
    return Value(name[:200], text[:LONGEST_VALUE], max(0, len(text) - LONGEST_VALUE))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _digest(value: Any) -> str:
    return sha256(repr(value).encode()).hexdigest()[:16]
