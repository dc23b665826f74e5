"""crons.yaml: its fields, and what is wrong with one, by line and field. The JSON Schema is made from here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ostinato_cli.people.exits import UsageError
from ostinato_cli.people.yaml_text import line_of, load
from ostinato_shared.errors import InvalidError
from ostinato_shared.firetimes import parse_schedule, parse_timezone
from ostinato_shared.policies import read_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"
FAULTS_SHOWN = 10
OWNED = ("name", "labels", "ostinato", "applied_by")  # of the metadata: fields of their own, or ours

JsonObject = dict[str, Any]
Nodes = Literal["*"] | list[str]
Mode = Literal["values", "messages", "messages-tuple", "tasks", "checkpoints", "updates", "events", "debug", "custom"]
Label = Annotated[str, StringConstraints(max_length=128)]


def instant(text: str) -> str:
    """An ISO 8601 time in UTC, as the api writes it; without an offset it is UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be an ISO 8601 date and time, such as 2030-01-31T12:00:00Z") from None
    return (parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)).isoformat()


def _not_owned(metadata: JsonObject) -> JsonObject:
    for key in OWNED:
        if key in metadata:
            raise ValueError(
                f"{key!r} does not belong here: "
                + ("apply writes it" if key == "applied_by" else "it is a field of the cron itself")
            )
    return metadata


def _fit_for(read: Callable[[Any], object]) -> AfterValidator:
    """What the server's own reader takes. Without it a fault would be found when other crons are made already."""

    def check(value: Any) -> Any:
        try:
            read(value)
        except InvalidError as error:
            raise ValueError(str(error)) from None
        return value

    return AfterValidator(check)


def _read_guards(guards: JsonObject) -> object:
    return read_policy({"ostinato": guards})


class Cron(BaseModel):
    """What people say of a cron."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str | None = None
    assistant: Annotated[str, Field(min_length=1, description="A graph's name, or an assistant's id.")]
    schedule: Annotated[
        str,
        _fit_for(parse_schedule),
        Field(description="A cron expression of five fields; a sixth is seconds, a seventh years."),
    ]
    timezone: Annotated[
        str | None,
        _fit_for(parse_timezone),
        Field(description="An IANA name, such as Europe/Berlin; UTC without one."),
    ] = None
    input: JsonObject | list[JsonObject] | None = None
    labels: Annotated[dict[str, Label], Field(description="For people and filters, such as team: growth.")] = {}
    ostinato: Annotated[
        JsonObject,
        _fit_for(_read_guards),
        Field(description="Guards: timeout (ISO 8601), overlap (allow, skip), pause_after_failures, max_runs."),
    ] = {}
    enabled: Annotated[
        bool | None, Field(description="Without it a cron is made enabled, and a pause is left as it is.")
    ] = None
    end_time: Annotated[
        Annotated[str, AfterValidator(instant)] | None, Field(description="ISO 8601; it does not fire later.")
    ] = None
    thread_id: Annotated[str | None, Field(description="Fire on this thread; without it, each time on a new one.")] = (
        None
    )
    on_run_completed: Annotated[
        Literal["delete", "keep"] | None, Field(description="What becomes of a new thread; delete without it.")
    ] = None
    webhook: str | None = None
    config: JsonObject | None = None
    context: JsonObject | None = None
    multitask_strategy: Literal["reject", "rollback", "interrupt", "enqueue"] | None = None
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    durability: Literal["sync", "async", "exit"] | None = None
    stream_mode: Mode | list[Mode] | None = None
    stream_subgraphs: bool | None = None
    stream_resumable: bool | None = None
    metadata: Annotated[
        Annotated[JsonObject, AfterValidator(_not_owned)], Field(description="Anything else, for your own use.")
    ] = {}


class NamedCron(Cron):
    name: Annotated[str, Field(min_length=1, max_length=255, description="Unique in the file: apply finds it by this.")]


class CronsFile(BaseModel):
    """Crons for `ostinato apply`."""

    model_config = ConfigDict(extra="forbid", strict=True, title="crons.yaml")

    source: Annotated[
        str | None, Field(min_length=1, max_length=255, description="Who looks after these crons; --prune needs it.")
    ] = None
    crons: list[NamedCron]


def schema() -> JsonObject:
    """The JSON Schema of crons.yaml."""
    return {"$schema": SCHEMA_ID, **CronsFile.model_json_schema()}


def read_file(text: str, place: str) -> CronsFile:
    """The crons of a file. Raises UsageError with `place:line: field: what would be right`."""
    value, node = load(text, place)
    try:
        found = CronsFile.model_validate(value)
    except ValidationError as error:
        lines = {
            f"{place}:{line_of(node, fault['loc'])}: {_field(fault['loc'])}{_words(fault)}": None
            for fault in error.errors(include_url=False)
        }
        raise UsageError("\n".join([*lines][:FAULTS_SHOWN])) from None
    seen: dict[str, int] = {}
    for number, cron in enumerate(found.crons):
        line = line_of(node, ("crons", number, "name"))
        if cron.name in seen:
            raise UsageError(f"{place}:{line}: name: {cron.name!r} stands in line {seen[cron.name]} already")
        seen[cron.name] = line
    return found


def read_cron(text: str, place: str) -> Cron:
    """One cron, as `edit` shows it. Raises UsageError."""
    value, node = load(text, place)
    try:
        return Cron.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        lines = {
            f"{place}:{line_of(node, fault['loc'])}: {_field(fault['loc'])}{_words(fault)}": None for fault in faults
        }
        raise UsageError("\n".join(lines)) from None


def _field(path: tuple[int | str, ...]) -> str:
    """`crons[2].labels.team: `; what pydantic adds to name a choice of types is left out."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier() or not any(mark in part for mark in "[(-"):
            text += f".{part}" if text else part
    return f"{text}: " if text else ""


def _words(fault: Mapping[str, Any]) -> str:
    kinds = {
        "missing": "this field is required",
        "extra_forbidden": "there is no such field",
        "model_type": "must be an object with `crons:`",
        "dict_type": "must be an object",
        "list_type": "must be a list",
        "string_type": "must be a text",
        "bool_type": "must be true or false",
    }
    return kinds.get(fault["type"], str(fault["msg"]).removeprefix("Value error, "))
