"""What Ostinato adds beside the contract, as JSON: firings, events, previews, what is coming."""

from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints

from ostinato_api.schemas.base import Answer, Body, Instant, JsonObject
from ostinato_api.schemas.crons import Time
from ostinato_shared.models import Outcome, PausedBy, Trigger
from ostinato_shared.payload import CronInput

CRON_ID = "01993c1f-7a52-7c31-9d0e-5b1f6f3f9a10"
FIRING_ID = "01993c2a-1b0c-7f7e-8a57-0f3b8f0f2d11"

RequestId = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Note = Annotated[str, StringConstraints(max_length=1000)]


class Preview(Body):
    """A schedule to try out."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"schedule": "30 2 * * *", "timezone": "Europe/Berlin", "count": 2}]}
    )
    nullable: ClassVar[frozenset[str]] = frozenset({"timezone"})

    schedule: str = Field(description="A cron expression of five fields; a sixth is seconds, a seventh years.")
    timezone: str | None = Field(default=None, description="An IANA name; UTC without one.")
    since: Time | None = Field(default=None, alias="from", description="Look from here on; from now without it.")
    count: int = Field(default=5, ge=1, le=100, description="How many fire times.")


class ComingOut(Answer):
    at: Instant = Field(description="The fire time.", examples=["2027-03-28T01:00:00+00:00"])
    note: str | None = Field(
        description="What a clock change does to it.",
        examples=["The clock is set forward here: 02:30 does not exist, so it fires right after the gap."],
    )


class LintOut(Answer):
    code: str = Field(description="The trap, for programs.", examples=["clock_change"])
    text: str = Field(
        description="The same for people.",
        examples=[
            "On 28 March 2027 the clock in Europe/Rome is set forward, and 02:30 does not exist: it fires at 03:00."
        ],
    )


class PreviewOut(Answer):
    description: str = Field(description="The schedule in words.", examples=["At 02:30, every day, in Europe/Berlin"])
    next: list[ComingOut] = Field(description="The next fire times.")
    lint: list[LintOut] = Field(description="The traps in it.")


class UpcomingOut(Answer):
    cron_id: UUID = Field(description="Which cron.", examples=[CRON_ID])
    name: str | None = Field(description="Its name, if it has one.", examples=["daily-news"])
    at: Instant = Field(description="The fire time.", examples=["2026-11-25T09:00:00+00:00"])
    schedule: str = Field(description="Its cron expression.", examples=["0 9 * * *"])
    timezone: str | None = Field(description="The zone whose clock it goes by; null is UTC.", examples=["UTC"])


class FiringOut(Answer):
    """One row of the ledger: what became of one fire time of one cron."""

    firing_id: UUID = Field(description="The firing's id.", examples=[FIRING_ID])
    cron_id: UUID = Field(description="Which cron.", examples=[CRON_ID])
    name: str | None = Field(description="The cron's name at that time.", examples=["daily-news"])
    fire_time: Instant = Field(
        description="The instant that the schedule names, or at which it was triggered.",
        examples=["2026-11-24T09:00:00+00:00"],
    )
    trigger: Trigger = Field(description="What made it fire.", examples=["schedule"])
    outcome: Outcome = Field(description="What became of it.", examples=["success"])
    reason: str | None = Field(description="Why it was skipped, or why its run was cut short.", examples=[None])
    run_id: UUID | None = Field(
        description="The run that it started, if any.", examples=["01993c2a-1b5a-7a44-b6f1-3d4c8a7e5f02"]
    )
    thread_id: UUID | None = Field(
        description="The thread of that run.", examples=["01993c2a-1b5a-7b90-8f1d-6a2e9c4d7b03"]
    )
    started_at: Instant | None = Field(
        description="When the run was started.", examples=["2026-11-24T09:00:00.021000+00:00"]
    )
    ended_at: Instant | None = Field(description="When it was over.", examples=["2026-11-24T09:00:04.310000+00:00"])
    lag_ms: int | None = Field(description="Milliseconds from the fire time to the start.", examples=[21])
    missed_until: Instant | None = Field(
        description="Of a gap: the last fire time that this row accounts for.", examples=[None]
    )
    missed_count: int | None = Field(description="Of a gap: its fire times, if they were counted.", examples=[None])
    output: str | None = Field(description="What came out, at most 4 KiB of it.", examples=["Three new papers today."])
    error: JsonObject | None = Field(description="The error's kind and first line.", examples=[None])


class EventOut(Answer):
    """One entry of a cron's history."""

    event_id: int = Field(description="Later entries have higher ids.", examples=[42])
    kind: str = Field(
        description="created, updated, paused, resumed, triggered, parked or deleted.", examples=["updated"]
    )
    revision: int = Field(description="The cron's revision after it.", examples=[2])
    user_id: str = Field(description="Who did it; empty while there are no API keys.", examples=[""])
    at: Instant = Field(description="When it happened.", examples=["2026-11-24T08:12:31.408000+00:00"])
    note: str | None = Field(description="Why, in the words of who did it.", examples=[None])
    changes: dict[str, Any] = Field(
        description="What differs from the version before.",
        examples=[{"schedule": {"from": "0 9 * * *", "to": "0 8 * * *"}}],
    )
    snapshot: JsonObject = Field(description="The cron after it, or what is known of the event.")


class TriggerNow(Body):
    """What to run now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"input": {"topic": "today"}, "request_id": "retry-1"}]})

    input: CronInput | None = Field(default=None, description="In place of the cron's own input, this time only.")
    request_id: RequestId | None = Field(
        default=None, description="The same id again gives the same firing. The header Idempotency-Key does the same."
    )


class Remark(Body):
    """Why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "The feed is down until Monday."}]})
    nullable: ClassVar[frozenset[str]] = frozenset({"note"})

    note: Note | None = Field(default=None, description="For people; shown wherever the cron is.")


class StatusOut(Answer):
    """What Ostinato knows of a cron beside the contract's fields."""

    cron_id: UUID = Field(description="Which cron.", examples=[CRON_ID])
    name: str | None = Field(description="Its name, if it has one.", examples=["daily-news"])
    description: str | None = Field(description="The schedule in words.", examples=["At 09:00, Monday to Friday"])
    enabled: bool = Field(description="Whether it fires.", examples=[False])
    paused_by: PausedBy | None = Field(description="Who or what paused it.", examples=["pause_after_failures"])
    note: str | None = Field(description="Why it is paused, in words.", examples=["5 failures in a row."])
    fault: str | None = Field(description="Why its schedule cannot be worked out.", examples=[None])
    consecutive_failures: int = Field(description="Failures since the last success.", examples=[5])
    run_count: int = Field(description="Runs that its schedule has started under max_runs.", examples=[0])
    next_run_date: Instant | None = Field(
        description="Its next fire time; null after the last.", examples=["2026-11-25T09:00:00+00:00"]
    )
