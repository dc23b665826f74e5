"""The chat model of the examples: scripted, so that no key is needed, or a real one."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import CallbackManagerForLLMRun

DEFAULT_MODELS = {"OPENAI_API_KEY": "openai:gpt-4.1-mini", "ANTHROPIC_API_KEY": "anthropic:claude-haiku-4-5"}


def chat_model() -> BaseChatModel:
    """The model that MODEL names, or the default of the provider whose key is set; without a key the scripted one."""
    default = next((model for key, model in DEFAULT_MODELS.items() if os.environ.get(key)), None)
    if default is None:
        return ScriptedModel()
    chosen = os.environ.get("MODEL")
    try:
        return init_chat_model(chosen or default)
    except ImportError as error:
        if chosen:
            raise
        logging.getLogger(__name__).warning("An API key is set, but the scripted model answers: %s", error)
        return ScriptedModel()


class ScriptedModel(BaseChatModel):
    """Calls `current_time` when asked for the time, and answers with what the tool said."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> ScriptedModel:  # noqa: ARG002 - the script knows its tool
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the signature is LangChain's
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - likewise
        **kwargs: Any,  # noqa: ARG002 - likewise
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=_answer(messages[-1]))])


def _answer(last: BaseMessage) -> AIMessage:
    if isinstance(last, ToolMessage):
        return AIMessage(f"It is {last.text}.")
    if "time" in last.text.lower():
        return AIMessage("", tool_calls=[{"name": "current_time", "args": {}, "id": f"call_{uuid4().hex}"}])
    return AIMessage("I only know the time: ask me what time it is.")
