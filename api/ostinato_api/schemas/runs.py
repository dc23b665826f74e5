"""Runs as the SDKs send and read them."""

import json
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ostinato_api.schemas.base import Answer, AssistantId, Body, Instant, JsonObject, Metadata, RunId, ThreadId
from ostinato_api.schemas.state import CheckpointRef, PlaceText
from ostinato_shared.models import MultitaskStrategy, RunStatus
from ostinato_shared.payload import RunOptions, Strategy

MAX_BATCH = 1000
MAX_DELAY = 366 * 86400  # seconds
STORED = (
    *("input", "command", "config", "context", "metadata", "checkpoint", "checkpoint_id", "webhook"),
    *("interrupt_before", "interrupt_after", "stream_mode", "stream_subgraphs", "stream_resumable"),
    *("feedback_keys", "durability", "checkpoint_during"),
)

Status = Literal["pending", "running", "success", "error", "timeout", "interrupted"]


class Command(Body):
    """What a stopped graph is told."""

    nullable: ClassVar[frozenset[str]] = frozenset({"resume", "update", "goto"})

    resume: Any = None
    update: Any = None
    goto: Any = None

    @field_validator("goto")
    @classmethod
    def _nodes(cls, value: Any) -> Any:
        for target in value if isinstance(value, list) else [value]:
            named = target is None or isinstance(target, str)
            if not named and not (isinstance(target, dict) and isinstance(target.get("node"), str)):
                raise PydanticCustomError("goto", 'must be node names, or objects like {"node": "name", "input": ...}')
        return value

    @field_validator("update")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        fits = value is None or isinstance(value, dict)
        if not fits and not (isinstance(value, list) and all(isinstance(item, list | dict) for item in value)):
            raise PydanticCustomError("update", "must be an object, or an array of name and value pairs")
        return value


class RunCreate(RunOptions, Body):
    """A run that a client asks for."""

    nullable: ClassVar[frozenset[str]] = frozenset({"input", "command"})

    assistant_id: Annotated[str, Field(min_length=1)]
    input: Any = None
    command: Command | None = None
    metadata: Metadata = Field(default_factory=dict)
    checkpoint: CheckpointRef | None = None
    checkpoint_id: PlaceText | None = None
    feedback_keys: list[str] | None = None
    multitask_strategy: Strategy = "enqueue"
    if_not_exists: Literal["reject", "create"] = "reject"
    after_seconds: Annotated[float, Field(ge=0, le=MAX_DELAY)] = 0
    on_disconnect: Literal["continue", "cancel"] = "continue"
    on_completion: Literal["delete", "keep"] = "delete"

    @property
    def payload(self) -> JsonObject:
        """What of the body is stored with the run."""
        return {name: self.given[name] for name in STORED if name in self.given}


class CancelMany(Body):
    """Which runs to cancel: those with a status, or some of one thread."""

    status: Literal["pending", "running", "all"] | None = None
    thread_id: ThreadId | None = None
    run_ids: Annotated[list[RunId], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        listed = self.thread_id is not None and self.run_ids is not None
        named = self.thread_id is not None or self.run_ids is not None
        if (self.status is not None) == named or named != listed:
            raise PydanticCustomError("cancel", "needs either `status`, or both `thread_id` and `run_ids`")
        return self


Batch = Annotated[list[RunCreate], Field(min_length=1, max_length=MAX_BATCH)]


def _whole(kwargs: JsonObject) -> JsonObject:
    return {"input": None, "webhook": None, **kwargs}


class RunOut(Answer):  # type: ignore[no-redef]  # pydantic's plugin makes an __init__ with **kwargs
    """A run as it is given back."""

    run_id: RunId
    thread_id: ThreadId
    assistant_id: AssistantId
    status: RunStatus
    metadata: JsonObject = Field(validation_alias="metadata_")
    kwargs: Annotated[JsonObject, AfterValidator(_whole)]
    multitask_strategy: MultitaskStrategy
    created_at: Instant
    updated_at: Instant


def _names(given: list[str]) -> list[str]:
    """The JavaScript SDK sends a list as one JSON text."""
    if len(given) != 1 or not given[0].startswith("["):
        return given
    try:
        names = json.loads(given[0])
    except ValueError:
        return given
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else given


Select = Annotated[list[str], AfterValidator(_names)]
