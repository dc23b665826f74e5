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

    resume: Any = Field(default=None, description="The answer to an interrupt, or answers by the interrupts' ids.")
    update: Any = Field(default=None, description="Changes to the state: an object, or pairs of name and value.")
    goto: Any = Field(default=None, description='The node or nodes to go on with, by name or as `{"node", "input"}`.')

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

    assistant_id: str = Field(min_length=1, description="An assistant's id, or a graph's name.")
    input: Any = Field(default=None, description="What the graph is given.")
    command: Command | None = Field(default=None, description="What a stopped graph is told, in place of an input.")
    metadata: Metadata = Field(default_factory=dict, description="Anything to find the run by.")
    checkpoint: CheckpointRef | None = Field(default=None, description="Run on from this checkpoint.")
    checkpoint_id: PlaceText | None = Field(default=None, description="The same by its id.")
    feedback_keys: list[str] | None = Field(default=None, description="Kept with the run; without effect.")
    multitask_strategy: Strategy = Field(
        default="enqueue", description="What becomes of this run, or of the one under way, on a busy thread."
    )
    if_not_exists: Literal["reject", "create"] = Field(
        default="reject", description="When there is no such thread: refuse with 404, or make it."
    )
    after_seconds: float = Field(default=0, ge=0, le=MAX_DELAY, description="Start so much later.")
    on_disconnect: Literal["continue", "cancel"] = Field(
        default="continue", description="When the client of a wait goes away: let the run go on, or cancel it."
    )
    on_completion: Literal["delete", "keep"] = Field(
        default="delete", description="Whether the thread of a run without one of its own goes or stays."
    )

    @property
    def payload(self) -> JsonObject:
        """What of the body is stored with the run."""
        return {name: self.given[name] for name in STORED if name in self.given}


class CancelMany(Body):
    """Which runs to cancel: those with a status, or some of one thread."""

    status: Literal["pending", "running", "all"] | None = Field(default=None, description="All runs that stand so.")
    thread_id: ThreadId | None = Field(default=None, description="The thread of `run_ids`.")
    run_ids: Annotated[list[RunId], Field(min_length=1)] | None = Field(default=None, description="These runs.")

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
    status: RunStatus = Field(description="How it stands.")
    metadata: JsonObject = Field(validation_alias="metadata_", description="The thread's and the run's own.")
    kwargs: Annotated[JsonObject, AfterValidator(_whole)] = Field(description="What it was given.")
    multitask_strategy: MultitaskStrategy = Field(description="What it does on a busy thread.")
    created_at: Instant = Field(description="When it was made; of a delayed run, when it may start.")
    updated_at: Instant = Field(description="When it last changed.")


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
