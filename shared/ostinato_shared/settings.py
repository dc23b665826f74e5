"""What an operator sets, read from the environment by the main modules only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ostinato_shared.api_keys import ApiKey, read_keys

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s]+/?")
DAY: Final = 86400  # seconds; some of the clocks that are handed them take no infinity


class Settings(BaseSettings):
    """The settings of every process. `DATABASE_URI` and `REDIS_URI` are the names that LangGraph's own images use."""

    model_config = SettingsConfigDict(
        env_prefix="OSTINATO_", extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    database_uri: SecretStr = Field(
        validation_alias=AliasChoices("DATABASE_URI", "database_uri"),
        description="Postgres 15 or later, as a libpq URI.",
    )
    redis_uri: SecretStr = Field(
        validation_alias=AliasChoices("REDIS_URI", "redis_uri"),
        description="Redis or Valkey with `maxmemory-policy noeviction`, not a cluster.",
    )
    config: Path = Field(default=Path("langgraph.json"), description="The user's project.")
    host: str = Field(default="127.0.0.1", description="The address that the api listens on.")
    port: int = Field(default=2024, ge=1, le=65535, description="The api's port.")
    allow_origin: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Browser origins (`https://app.example.com`), and their hosts, that the api answers; `*` is all.",
    )
    api_keys: Annotated[tuple[ApiKey, ...], NoDecode] = Field(
        default=(),
        description="Keys that the api lets in, each `name:sha256-hex`. Without any it asks for none.",
    )
    slots: int = Field(default=200, ge=1, le=1000, description="Runs at a time in one worker process.")
    lease_seconds: float = Field(
        default=30.0, ge=0.5, le=DAY, description="A worker that is not heard of for so long has lost its runs."
    )
    stall_seconds: float = Field(
        default=300.0, ge=1, le=DAY, description="A worker whose event loop stood still for so long ends itself."
    )
    drain_seconds: float = Field(
        default=20.0, ge=0, le=DAY, description="What runs under way get when a worker is asked to stop."
    )
    beat_lease_seconds: float = Field(
        default=3.0, ge=0.5, le=DAY, description="A standby beat takes over after so long."
    )
    flower_url: str | None = Field(
        default=None, pattern=r"^https?://", description="Where people find Flower, for a link to it on the dashboard."
    )
    log_level: str = Field(default="INFO", description=f"The least level that is logged: {', '.join(LEVELS)}.")
    log_json: bool = Field(default=False, description="Log one JSON object a line, for programs.")

    @field_validator("database_uri")
    @classmethod
    def _check_database(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().partition("://")[0].startswith("postgres"):
            raise ValueError("it must begin with postgresql://")
        return value

    @field_validator("redis_uri")
    @classmethod
    def _check_redis(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("it must begin with redis:// or rediss://")
        return value

    @field_validator("log_level")
    @classmethod
    def _check_level(cls, value: str) -> str:
        if value.upper() not in LEVELS:
            raise ValueError(f"it must be one of {', '.join(LEVELS)}")
        return value.upper()

    @field_validator("allow_origin", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("allow_origin")
    @classmethod
    def _check_origins(cls, value: list[str]) -> list[str]:
        if not all(origin == "*" or ORIGIN.fullmatch(origin) for origin in value):
            raise ValueError("each is an origin, such as https://app.example.com, or * for all")
        return value

    @field_validator("api_keys", mode="before")
    @classmethod
    def _read_keys(cls, value: object) -> object:
        return read_keys(value) if isinstance(value, str) else value

    @property
    def database_dsn(self) -> str:
        """The libpq URI, whatever dialect prefix the given one carries."""
        uri = self.database_uri.get_secret_value()
        scheme, _, rest = uri.partition("://")
        return f"postgresql://{rest}" if scheme.startswith("postgres") else uri

    @property
    def redis_url(self) -> str:
        """The broker's URL."""
        return self.redis_uri.get_secret_value()
