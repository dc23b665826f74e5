"""Questions about a thread's state, and edits of it."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from ostinato_api.schemas.base import Body, JsonObject, Limit

MAX_PLACE_LENGTH = 2048  # a namespace of many nested subgraphs; beyond it nothing of LangGraph's

PlaceText = Annotated[str, Field(max_length=MAX_PLACE_LENGTH)]


class CheckpointRef(Body):
    """A checkpoint as states give it; without an id the newest of its namespace."""

    nullable: ClassVar[frozenset[str]] = frozenset({"checkpoint_id", "checkpoint_map", "checkpoint_ns", "thread_id"})

    checkpoint_ns: PlaceText | None = None
    checkpoint_id: PlaceText | None = None
    checkpoint_map: dict[str, str] | None = None

    @property
    def configurable(self) -> dict[str, str]:
        """What of it LangGraph goes by."""
        named = {"checkpoint_ns": self.checkpoint_ns or "", "checkpoint_id": self.checkpoint_id}
        return {name: value for name, value in named.items() if value is not None}


class CheckpointConfig(Body):
    """A checkpoint as LangGraph's own configs name it."""

    configurable: CheckpointRef


class StateAtCheckpoint(Body):
    checkpoint: CheckpointRef
    subgraphs: bool = False


class StateEdit(Body):
    nullable: ClassVar[frozenset[str]] = frozenset({"values", "as_node", "checkpoint", "checkpoint_id"})

    values: JsonObject | list[Any] | None = None
    as_node: str | None = None
    checkpoint: CheckpointRef | None = None
    checkpoint_id: PlaceText | None = None

    @property
    def place(self) -> CheckpointRef:
        """The checkpoint that is edited."""
        return self.checkpoint or CheckpointRef(checkpoint_id=self.checkpoint_id)


class HistoryQuery(Body):
    nullable: ClassVar[frozenset[str]] = frozenset({"before", "metadata", "checkpoint"})

    limit: Limit = 1
    before: PlaceText | CheckpointConfig | CheckpointRef | None = None
    metadata: JsonObject | None = None
    checkpoint: CheckpointRef | None = None

    @property
    def before_id(self) -> str | None:
        """The id of the checkpoint before which to look."""
        if self.before is None or isinstance(self.before, str):
            return self.before
        before = self.before.configurable if isinstance(self.before, CheckpointConfig) else self.before
        return before.checkpoint_id
