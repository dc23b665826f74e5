"""What all bodies and answers share: strict types, no stray nulls, ids, times, lists."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ostinato_shared.errors import InvalidError

MAX_METADATA_BYTES = 64 * 2**10
MAX_OFFSET = 2**31 - 1
UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

JsonObject = dict[str, Any]


class Body(BaseModel):
    """A request's body: types are not coerced, unknown fields pass, null is for the fields in `nullable` only."""

    model_config = ConfigDict(extra="ignore", strict=True)
    nullable: ClassVar[frozenset[str]] = frozenset()
    _given: JsonObject = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_given(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, cls):
            return data
        if not isinstance(data, dict):
            raise PydanticCustomError("object", "must be a JSON object")
        for name in cls.model_fields:
            if name in data and data[name] is None and name not in cls.nullable:
                raise InvalidError(f"{name}: must not be null; leave the field out instead")
        body = handler(data)
        body._given = data  # noqa: SLF001 - of the model being made
        return body

    @property
    def given(self) -> JsonObject:
        """The body as it came, unknown fields included."""
        return self._given

    def has(self, field: str) -> bool:
        """Whether the body names the field, be it with null."""
        return field in self._given


class Answer(BaseModel):
    """What is sent back; read from the attributes of a row."""

    model_config = ConfigDict(from_attributes=True)


def parse_id(kind: str) -> Callable[[object], UUID]:
    """A validator of ids in canonical text. Raises InvalidError `Invalid <kind> ID: must be a UUID`."""

    def parse(value: object) -> UUID:
        if isinstance(value, UUID):
            return value
        if not isinstance(value, str) or not UUID_TEXT.fullmatch(value):
            raise InvalidError(f"Invalid {kind} ID: must be a UUID")
        return UUID(value)

    return parse


def as_uuid(text: str) -> UUID | None:
    """The UUID that a text is in canonical form, or None."""
    return UUID(text) if UUID_TEXT.fullmatch(text) else None


AssistantId = Annotated[UUID, BeforeValidator(parse_id("assistant")), Field(description="The assistant's id.")]
CronId = Annotated[UUID, BeforeValidator(parse_id("cron")), Field(description="The cron's id.")]
ThreadId = Annotated[UUID, BeforeValidator(parse_id("thread")), Field(description="The thread's id.")]
RunId = Annotated[UUID, BeforeValidator(parse_id("run")), Field(description="The run's id.")]


def _small(metadata: JsonObject) -> JsonObject:
    check_metadata_size(metadata)
    return metadata


def check_metadata_size(metadata: JsonObject) -> None:
    """Raises InvalidError for metadata that is too large to be copied to every run."""
    if len(json.dumps(metadata, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
        raise InvalidError(f"metadata: must not be larger than {MAX_METADATA_BYTES // 2**10} KiB")


Metadata = Annotated[JsonObject, AfterValidator(_small)]


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


Instant = Annotated[
    datetime,
    PlainSerializer(_instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]

Limit = Annotated[int, Field(ge=1, le=1000, description="How many at most.")]
Offset = Annotated[int, Field(ge=0, le=MAX_OFFSET, description="How many to skip.")]


class Page(Body):
    """What every search takes."""

    limit: Limit = 10
    offset: Offset = 0
