"""The first migration makes what the models say."""

from alembic import command
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from ostinato_shared import migrate


def test_models_and_migrations_agree(database_uri: str) -> None:
    engine = create_engine(migrate._sqlalchemy_url(database_uri), poolclass=NullPool)
    with engine.connect() as connection:
        command.check(migrate._config(connection))  # raises, naming what differs
