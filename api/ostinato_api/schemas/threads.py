"""Threads as the SDKs send and read them."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ostinato_api.schemas.base import Answer, Body, Instant, JsonObject, Metadata, Page, ThreadId
from ostinato_shared.models import ThreadStatus

MAX_IDS = 1000  # as many as one page can show

Status = Literal["idle", "busy", "interrupted", "error"]
SortBy = Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"]


class ThreadOut(Answer):
    """A thread as it is given back."""

    thread_id: ThreadId
    created_at: Instant
    updated_at: Instant
    state_updated_at: Instant
    metadata: JsonObject = Field(validation_alias="metadata_")
    status: ThreadStatus
    config: JsonObject
    values: Any
    interrupts: JsonObject
    error: Any


class Ttl(Body):
    ttl: Annotated[float, Field(gt=0)]
    strategy: Literal["delete", "keep_latest"] = "delete"


class StateUpdate(Body):
    nullable: ClassVar[frozenset[str]] = frozenset({"values", "command"})

    values: Any = None
    command: JsonObject | None = None
    as_node: str


class Superstep(Body):
    updates: Annotated[list[StateUpdate], Field(min_length=1)]


class ThreadCreate(Body):
    thread_id: ThreadId | None = None
    metadata: Metadata = Field(default_factory=dict)
    if_exists: Literal["raise", "do_nothing"] = "raise"
    ttl: Ttl | None = None
    supersteps: list[Superstep] = Field(default_factory=list)


class ThreadPatch(Body):
    metadata: Metadata = Field(default_factory=dict)
    ttl: Ttl | None = None


class ThreadFilter(Body):
    metadata: JsonObject = Field(default_factory=dict)
    values: JsonObject = Field(default_factory=dict)
    status: Status | None = None


class ThreadSearch(ThreadFilter, Page):
    ids: Annotated[list[ThreadId], Field(max_length=MAX_IDS)] | None = None
    sort_by: SortBy = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
    select: list[str] = Field(default_factory=list)
    extract: dict[str, str] = Field(default_factory=dict)


class ThreadPrune(Body):
    thread_ids: Annotated[list[ThreadId], Field(max_length=MAX_IDS)]
    strategy: Literal["delete", "keep_latest"] = "delete"
