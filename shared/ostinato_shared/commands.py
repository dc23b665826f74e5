"""Commands to a graph: from the JSON that the SDKs send to LangGraph's own."""

from __future__ import annotations

from typing import Any

from langgraph.types import Command, Send


def build_command(command: dict[str, Any]) -> Command[Any]:
    """A command from its JSON; an empty `goto` is nowhere."""
    goto = command.get("goto") or ()
    targets = goto if isinstance(goto, list | tuple) else [goto]
    return Command(
        resume=command.get("resume"),
        update=command.get("update"),
        goto=[Send(target["node"], target.get("input")) if isinstance(target, dict) else target for target in targets],
    )
