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
    created_at: Instant = Field(description="When it was made.")
    updated_at: Instant = Field(description="When it last changed.")
    state_updated_at: Instant = Field(description="When its state last changed.")
    metadata: JsonObject = Field(
        validation_alias="metadata_", description="What it was given, and its last graph and assistant."
    )
    status: ThreadStatus = Field(description="How it stands.")
    config: JsonObject = Field(description="What its last run was configured with.")
    values: Any = Field(description="Its last state; null before the first.")
    interrupts: JsonObject = Field(description="The questions that it waits at, by task.")
    error: Any = Field(description="What its last run failed with.")


class Ttl(Body):
    ttl: float = Field(gt=0, description="Minutes to live.")
    strategy: Literal["delete", "keep_latest"] = Field(
        default="delete", description="Whether all of it goes then, or all but its last state."
    )


class StateUpdate(Body):
    nullable: ClassVar[frozenset[str]] = frozenset({"values", "command"})

    values: Any = Field(default=None, description="What to write.")
    command: JsonObject | None = Field(default=None, description="A command in place of values.")
    as_node: str = Field(description="The node that is said to have written it.")


class Superstep(Body):
    updates: list[StateUpdate] = Field(min_length=1, description="What its nodes wrote.")


class ThreadCreate(Body):
    thread_id: ThreadId | None = Field(default=None, description="The new thread's id; one is made up without it.")
    metadata: Metadata = Field(default_factory=dict, description="Anything to find it by.")
    if_exists: Literal["raise", "do_nothing"] = Field(
        default="raise", description="When the id is taken: refuse with 409, or give the thread that has it."
    )
    ttl: Ttl | None = Field(default=None, description="Not supported yet.")
    supersteps: list[Superstep] = Field(
        default_factory=list, description="Steps to begin its state with, in order; needs `metadata.graph_id`."
    )


class ThreadPatch(Body):
    metadata: Metadata = Field(default_factory=dict, description="Merged into what is there.")
    ttl: Ttl | None = Field(default=None, description="Not supported yet.")


class ThreadFilter(Body):
    metadata: JsonObject = Field(default_factory=dict, description="What its metadata contain.")
    values: JsonObject = Field(default_factory=dict, description="What its values contain.")
    status: Status | None = Field(default=None, description="Standing so only.")


class ThreadSearch(ThreadFilter, Page):
    ids: Annotated[list[ThreadId], Field(max_length=MAX_IDS)] | None = Field(default=None, description="Of these only.")
    sort_by: SortBy = Field(default="created_at", description="The field to sort by.")
    sort_order: Literal["asc", "desc"] = Field(default="desc", description="Ascending or descending.")
    select: list[str] = Field(default_factory=list, description="Give these fields only; all when empty.")
    extract: dict[str, str] = Field(
        default_factory=dict,
        description='Up to 10 parts to give as `extracted`: `{"last": "values.messages[-1].content"}`.',
    )


class ThreadPrune(Body):
    thread_ids: list[ThreadId] = Field(max_length=MAX_IDS, description="Which threads; unknown ones do not count.")
    strategy: Literal["delete", "keep_latest"] = Field(
        default="delete", description="Whether all of a thread goes, or all of its history but the end."
    )
