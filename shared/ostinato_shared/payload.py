"""The fields of a run that are stored with a cron or sent with a run, checked when they come in.

Types are not coerced: what does not fit is refused. Whoever embeds these models decides about null.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

JsonObject = dict[str, Any]

StreamMode = Literal[
    "values", "messages", "messages-tuple", "tasks", "checkpoints", "updates", "events", "debug", "custom"
]
Strategy = Literal["reject", "rollback", "interrupt", "enqueue"]
Durability = Literal["sync", "async", "exit"]

MAX_URL = 65536
MAX_RECURSION = 2**31 - 1


class Config(BaseModel):
    """What LangGraph calls a RunnableConfig, as far as its fields have a type; others pass."""

    model_config = ConfigDict(extra="allow", strict=True)

    tags: list[str] = Field(default=[], description="Words to find its traces by.")
    recursion_limit: int = Field(default=25, ge=1, le=MAX_RECURSION, description="How many steps it may take.")
    configurable: JsonObject = Field(
        default={}, description="What the graph reads from its config; not together with `context`."
    )


def _input(value: object) -> object:
    if isinstance(value, dict) or (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
        return value
    raise PydanticCustomError("cron_input", "must be an object or an array of objects")


def _nodes(value: object) -> object:
    if value == "*" or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return value
    raise PydanticCustomError("nodes", 'must be "*" or an array of node names')


def _modes(value: object) -> object:
    known = StreamMode.__args__  # type: ignore[attr-defined]  # of a Literal
    given = value if isinstance(value, list) else [value]
    if all(isinstance(mode, str) and mode in known for mode in given):
        return value
    raise PydanticCustomError("stream_mode", "must be one of, or an array of, {modes}", {"modes": ", ".join(known)})


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise PydanticCustomError(
            "webhook", "must be an absolute http or https URL (a path of this server is not supported yet)"
        )
    return value


CronInput = Annotated[JsonObject | list[JsonObject], BeforeValidator(_input)]
Nodes = Annotated[Literal["*"] | list[str], BeforeValidator(_nodes)]
StreamModes = Annotated[StreamMode | list[StreamMode], BeforeValidator(_modes)]
Webhook = Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL), AfterValidator(_web_address)]


class RunOptions(BaseModel):
    """The fields that crons and runs have in common."""

    model_config = ConfigDict(strict=True)

    config: Config | None = Field(
        default=None,
        description="What the graph is run with, over the assistant's: tags, recursion limit, `configurable`.",
    )
    context: JsonObject | None = Field(
        default=None,
        description="What the graph gets as its context; not together with `config.configurable`.",
    )
    webhook: Webhook | None = Field(
        default=None, description="Where the run is sent when it is over: an absolute http or https URL."
    )
    interrupt_before: Nodes | None = Field(default=None, description="Stop before these nodes; `*` is all.")
    interrupt_after: Nodes | None = Field(default=None, description="Stop after these nodes; `*` is all.")
    stream_mode: StreamModes | None = Field(
        default=None, description="Kept with the run; streams come with a later version."
    )
    stream_subgraphs: bool | None = Field(default=None, description="As `stream_mode`.")
    stream_resumable: bool | None = Field(default=None, description="As `stream_mode`.")
    durability: Durability | None = Field(
        default=None,
        description="When checkpoints are written: before the next step, beside it (`async`), or at the end.",
    )
    checkpoint_during: bool | None = Field(default=None, description="Deprecated: false is `durability` `exit`.")


def configurable_of(config: object) -> JsonObject:
    """What a client put into `config.configurable`; the server's own `cron_id` does not count."""
    found = config.get("configurable") if isinstance(config, dict) else None
    return {key: value for key, value in found.items() if key != "cron_id"} if isinstance(found, dict) else {}


def has_both(config: object, context: object) -> bool:
    """Whether `config.configurable` and `context` are both given: LangGraph would fail every such run."""
    return bool(context) and bool(configurable_of(config))
