"""Assistants as the SDKs write and read them."""

from typing import ClassVar, Literal

from pydantic import AliasChoices, Field

from ostinato_api.schemas.base import Answer, AssistantId, Body, Instant, JsonObject, Metadata, Page
from ostinato_shared.payload import Config

AssistantField = Literal[
    "assistant_id",
    "graph_id",
    "name",
    "description",
    "config",
    "context",
    "metadata",
    "version",
    "created_at",
    "updated_at",
]


class AssistantCreate(Body):
    nullable: ClassVar[frozenset[str]] = frozenset({"description"})

    graph_id: str
    assistant_id: AssistantId | None = None
    name: str = "Untitled"
    description: str | None = None
    config: Config | None = None
    context: JsonObject | None = None
    metadata: Metadata = Field(default_factory=dict)
    if_exists: Literal["raise", "do_nothing"] = "raise"


class AssistantPatch(Body):
    nullable: ClassVar[frozenset[str]] = frozenset({"description"})

    graph_id: str | None = None
    name: str | None = None
    description: str | None = None
    config: Config | None = None
    context: JsonObject | None = None
    metadata: Metadata | None = None


class AssistantFilter(Body):
    metadata: Metadata | None = None
    graph_id: str | None = None
    name: str | None = None


class AssistantSearch(AssistantFilter, Page):
    sort_by: Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"] = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
    select: list[AssistantField] = Field(default_factory=list)


class VersionSearch(Page):
    metadata: Metadata | None = None


class VersionChoice(Body):
    version: int = Field(ge=1, le=2**31 - 1)


class VersionOut(Answer):
    assistant_id: AssistantId
    graph_id: str
    name: str
    description: str | None
    config: JsonObject
    context: JsonObject
    metadata: JsonObject = Field(validation_alias=AliasChoices("metadata_", "metadata"))
    version: int
    created_at: Instant


class AssistantOut(VersionOut):
    updated_at: Instant
