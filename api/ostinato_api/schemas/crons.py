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

    timezone: str | None = None
    end_time: Time | None = None
    input: CronInput | None = None
    metadata: Metadata | None = None
    on_run_completed: Literal["delete", "keep"] | None = None
    enabled: bool | None = None


class CronCreate(CronFields):
    assistant_id: str = Field(min_length=1, description="An assistant's id, or a graph's name.")
    schedule: str = Field(description="A cron expression of five fields; a sixth is seconds, a seventh years.")
    multitask_strategy: Strategy | None = None


class CronPatch(CronFields):
    nullable: ClassVar[frozenset[str]] = frozenset({"end_time"})

    schedule: str | None = None


class CronFilter(Body):
    assistant_id: str | None = Field(default=None, description="An assistant's id, or a graph's name.")
    thread_id: ThreadId | None = None
    enabled: bool | None = None
    metadata: Metadata | None = None
    failing: bool | None = Field(default=None, description="Ostinato's own: whether its last run failed.")


class CronSearch(CronFilter, Page):
    sort_by: Literal[
        "cron_id", "assistant_id", "thread_id", "next_run_date", "end_time", "created_at", "updated_at"
    ] = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
    select: list[CronField] = Field(default_factory=list)


class CronOut(Answer):
    cron_id: UUID
    assistant_id: UUID
    thread_id: UUID | None
    user_id: str
    schedule: str
    timezone: str | None
    end_time: Instant | None
    next_run_date: Instant | None
    enabled: bool
    on_run_completed: str | None
    metadata: JsonObject = Field(validation_alias=AliasChoices("metadata_", "metadata"))
    payload: JsonObject
    created_at: Instant
    updated_at: Instant
