"""Commands to a graph: from the JSON that the SDKs send to LangGraph's own."""

from __future__ import annotations

from typing import Any

from langgraph.types import Command, Send


def says_something(command: dict[str, Any]) -> bool:
    """Whether there is anything in the command: SDKs drop what is None, but send an empty `goto`."""
    return any((command.get("goto"), command.get("update") is not None, "resume" in command))


def build_command(command: dict[str, Any]) -> Command[Any]:
    """A command from its JSON; an empty `goto` is nowhere."""
    goto = command.get("goto") or ()
    targets = goto if isinstance(goto, list | tuple) else [goto]
    return Command(
        resume=command.get("resume"),
        update=command.get("update"),
        goto=[Send(target["node"], target.get("input")) if isinstance(target, dict) else target for target in targets],
    )
