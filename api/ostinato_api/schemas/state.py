"""Questions about a thread's state, and edits of it."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from ostinato_api.schemas.base import Body, JsonObject, Limit

MAX_PLACE_LENGTH = 2048  # a namespace of many nested subgraphs; beyond it nothing of LangGraph's

PlaceText = Annotated[str, Field(max_length=MAX_PLACE_LENGTH)]


class CheckpointRef(Body):
    """A checkpoint as states give it; without an id the newest of its namespace."""

    nullable: ClassVar[frozenset[str]] = frozenset({"checkpoint_id", "checkpoint_map", "checkpoint_ns", "thread_id"})

    checkpoint_ns: PlaceText | None = Field(
        default=None, description="The subgraph's namespace; the root's without one."
    )
    checkpoint_id: PlaceText | None = Field(default=None, description="The checkpoint's id.")
    checkpoint_map: dict[str, str] | None = Field(default=None, description="As states give it; not needed.")

    @property
    def configurable(self) -> dict[str, str]:
        """What of it LangGraph goes by."""
        named = {"checkpoint_ns": self.checkpoint_ns or "", "checkpoint_id": self.checkpoint_id}
        return {name: value for name, value in named.items() if value is not None}


class CheckpointConfig(Body):
    """A checkpoint as LangGraph's own configs name it."""

    configurable: CheckpointRef = Field(description="The checkpoint.")


class StateAtCheckpoint(Body):
    checkpoint: CheckpointRef = Field(description="The state as of this checkpoint.")
    subgraphs: bool = Field(default=False, description="Whether to show what goes on inside of subgraphs.")


class StateEdit(Body):
    nullable: ClassVar[frozenset[str]] = frozenset({"values", "as_node", "checkpoint", "checkpoint_id"})

    values: JsonObject | list[Any] | None = Field(default=None, description="What to write.")
    as_node: str | None = Field(
        default=None, description="The node that is said to have written it; the last one without a name."
    )
    checkpoint: CheckpointRef | None = Field(
        default=None, description="The checkpoint to change; the newest without one."
    )
    checkpoint_id: PlaceText | None = Field(default=None, description="The same by its id.")

    @property
    def place(self) -> CheckpointRef:
        """The checkpoint that is edited."""
        return self.checkpoint or CheckpointRef(checkpoint_id=self.checkpoint_id)


class HistoryQuery(Body):
    nullable: ClassVar[frozenset[str]] = frozenset({"before", "metadata", "checkpoint"})

    limit: Limit = 1
    before: PlaceText | CheckpointConfig | CheckpointRef | None = Field(
        default=None, description="Older than this checkpoint only."
    )
    metadata: JsonObject | None = Field(default=None, description="What the checkpoint's metadata contain.")
    checkpoint: CheckpointRef | None = Field(default=None, description="Of this subgraph's namespace.")

    @property
    def before_id(self) -> str | None:
        """The id of the checkpoint before which to look."""
        if self.before is None or isinstance(self.before, str):
            return self.before
        before = self.before.configurable if isinstance(self.before, CheckpointConfig) else self.before
        return before.checkpoint_id
