"""Postgres and Valkey from PyPI wheels, started by our own launcher; the tests share it."""

from ostinato_cli.embedded.errors import EmbeddedServerError
from ostinato_cli.embedded.postgres import EmbeddedPostgres
from ostinato_cli.embedded.server import EmbeddedServer
from ostinato_cli.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedServer", "EmbeddedServerError", "EmbeddedValkey"]
