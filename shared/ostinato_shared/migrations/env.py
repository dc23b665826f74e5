"""Alembic's entry: run by `ostinato_shared.migrate` with a connection, never from a shell."""

from __future__ import annotations

from alembic import context

from ostinato_shared.models import Model


def mine(_object: object, name: str | None, kind: str, *_rest: object) -> bool:
    """True but for the tables that langgraph-checkpoint-postgres makes for itself."""
    return not (kind == "table" and name is not None and name.startswith(("checkpoint", "store")))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Model.metadata,
    include_object=mine,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
