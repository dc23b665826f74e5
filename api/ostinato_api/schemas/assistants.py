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

    graph_id: str = Field(description="A graph's name in the project file.")
    assistant_id: AssistantId | None = Field(
        default=None, description="The new assistant's id; one is made up without it."
    )
    name: str = Field(default="Untitled", description="What people call it.")
    description: str | None = Field(default=None, description="What it is for.")
    config: Config | None = Field(
        default=None, description="What its graph is run with: tags, recursion limit, `configurable`."
    )
    context: JsonObject | None = Field(
        default=None, description="What its graph gets as its context; not together with `config.configurable`."
    )
    metadata: Metadata = Field(default_factory=dict, description="Anything to find it by.")
    if_exists: Literal["raise", "do_nothing"] = Field(
        default="raise", description="When the id is taken: refuse with 409, or give the assistant that has it."
    )


class AssistantPatch(Body):
    nullable: ClassVar[frozenset[str]] = frozenset({"description"})

    graph_id: str | None = Field(default=None, description="A graph's name in the project file.")
    name: str | None = Field(default=None, description="What people call it.")
    description: str | None = Field(default=None, description="What it is for.")
    config: Config | None = Field(
        default=None, description="What its graph is run with: tags, recursion limit, `configurable`."
    )
    context: JsonObject | None = Field(
        default=None, description="What its graph gets as its context; not together with `config.configurable`."
    )
    metadata: Metadata | None = Field(default=None, description="Merged into what is there.")


class AssistantFilter(Body):
    metadata: Metadata | None = Field(default=None, description="What its metadata contain.")
    graph_id: str | None = Field(default=None, description="Of this graph only.")
    name: str | None = Field(default=None, description="Part of its name, in any case.")


class AssistantSearch(AssistantFilter, Page):
    sort_by: Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"] = Field(
        default="created_at", description="The field to sort by."
    )
    sort_order: Literal["asc", "desc"] = Field(default="desc", description="Ascending or descending.")
    select: list[AssistantField] = Field(default_factory=list, description="Give these fields only; all when empty.")


class VersionSearch(Page):
    metadata: Metadata | None = Field(default=None, description="What the version's metadata contain.")


class VersionChoice(Body):
    version: int = Field(ge=1, le=2**31 - 1, description="The number of the version.")


class VersionOut(Answer):
    assistant_id: AssistantId
    graph_id: str = Field(description="The graph's name in the project file.")
    name: str = Field(description="What people call it.")
    description: str | None = Field(description="What it is for.")
    config: JsonObject = Field(description="What its graph is run with.")
    context: JsonObject = Field(description="What its graph gets as its context.")
    metadata: JsonObject = Field(
        validation_alias=AliasChoices("metadata_", "metadata"), description="What it was given to be found by."
    )
    version: int = Field(description="Counted from 1; each change makes one more.")
    created_at: Instant = Field(description="When this version was made.")


class AssistantOut(VersionOut):
    updated_at: Instant = Field(description="When it was last changed.")
