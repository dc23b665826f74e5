"""Crons as the SDKs write and read them."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AliasChoices, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ostinato_api.schemas.base import Answer, Body, Instant, JsonObject, Metadata, Page, ThreadId
from ostinato_shared.payload import CronInput, RunOptions, Strategy

LONGEST_TIME = 64  # characters
CronField = Literal[
    "cron_id", "assistant_id", "thread_id", "end_time", "schedule", "timezone", "created_at", "updated_at", "user_id",
    "payload", "next_run_date", "metadata", "on_run_completed", "enabled",
]  # fmt: skip


def parse_time(value: object) -> object:
    """The instant of an ISO 8601 text; without an offset it is UTC."""
    if value is None or isinstance(value, datetime):
        return value
    if isinstance(value, str) and len(value) <= LONGEST_TIME and any(mark in value for mark in "Tt "):
        try:
            parsed = datetime.fromisoformat(value)
            return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise PydanticCustomError("time", "must be an ISO 8601 date and time, such as 2030-01-31T12:00:00+00:00")


Time = Annotated[
    datetime, BeforeValidator(parse_time), WithJsonSchema({"type": "string", "format": "date-time"}, mode="validation")
]


class CronFields(RunOptions, Body):
    """What creation and change have in common."""

    timezone: str | None = Field(
        default=None, description="The IANA name of the zone whose clock the schedule goes by; UTC without one."
    )
    end_time: Time | None = Field(default=None, description="No firing later than this.")
    input: CronInput | None = Field(default=None, description="What each run is given.")
    metadata: Metadata | None = Field(
        default=None,
        description="Copied to its runs and to the threads that it makes; `name`, `labels` and `ostinato` are read.",
    )
    on_run_completed: Literal["delete", "keep"] | None = Field(
        default=None,
        description="Whether the thread of a run that is over goes or stays; without effect on a thread's cron.",
    )
    enabled: bool | None = Field(default=None, description="Whether it fires.")


class CronCreate(CronFields):
    assistant_id: str = Field(min_length=1, description="An assistant's id, or a graph's name.")
    schedule: str = Field(description="A cron expression of five fields; a sixth is seconds, a seventh years.")
    multitask_strategy: Strategy | None = Field(
        default=None, description="What a firing does when its thread is busy; `enqueue` without it."
    )


class CronPatch(CronFields):
    nullable: ClassVar[frozenset[str]] = frozenset({"end_time"})

    schedule: str | None = Field(
        default=None, description="A cron expression of five fields; a sixth is seconds, a seventh years."
    )


class CronFilter(Body):
    assistant_id: str | None = Field(default=None, description="An assistant's id, or a graph's name.")
    thread_id: ThreadId | None = Field(default=None, description="Firing on this thread only.")
    enabled: bool | None = Field(default=None, description="Those that fire, or those that do not.")
    metadata: Metadata | None = Field(default=None, description="What its metadata contain.")
    failing: bool | None = Field(default=None, description="Ostinato's own: whether its last run failed.")


class CronSearch(CronFilter, Page):
    sort_by: Literal[
        "cron_id", "assistant_id", "thread_id", "next_run_date", "end_time", "created_at", "updated_at"
    ] = Field(default="created_at", description="The field to sort by; ascending, crons without it come last.")
    sort_order: Literal["asc", "desc"] = Field(default="desc", description="Ascending or descending.")
    select: list[CronField] = Field(default_factory=list, description="Give these fields only; all when empty.")


class CronOut(Answer):
    cron_id: UUID = Field(description="The cron's id.")
    assistant_id: UUID = Field(description="The id of the assistant that it runs.")
    thread_id: UUID | None = Field(description="The thread that it fires on; null when each run has its own.")
    user_id: str = Field(description="Who made it; empty while there are no API keys.")
    schedule: str = Field(description="Its cron expression.")
    timezone: str | None = Field(description="The zone whose clock it goes by; null is UTC.")
    end_time: Instant | None = Field(description="No firing later than this.")
    next_run_date: Instant | None = Field(description="Its next fire time; null after the last.")
    enabled: bool = Field(description="Whether it fires.")
    on_run_completed: str | None = Field(
        description="Whether the thread of a run that is over goes or stays; null on a thread's cron."
    )
    metadata: JsonObject = Field(
        validation_alias=AliasChoices("metadata_", "metadata"), description="What it was given, and its runs are."
    )
    payload: JsonObject = Field(description="The request that made it, as changed since.")
    created_at: Instant = Field(description="When it was made.")
    updated_at: Instant = Field(description="When it was last changed; a firing does not count.")
