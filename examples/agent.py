"""An agent that tells the time with a tool: by a scripted model, or by a real one when a key is in the environment."""

from __future__ import annotations

from datetime import UTC, datetime

from chat_models import chat_model
from langchain.agents import create_agent
from langchain_core.tools import tool


@tool
def current_time() -> str:
    """The current date and time in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


graph = create_agent(chat_model(), tools=[current_time], name="agent")
