"""What the tests on real servers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from api_setting import open_api, settings
from people_setting import People, open_people

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import httpx

    from ostinato_shared.settings import Settings
    from ostinato_worker.runtime import Runtime


@pytest.fixture
def place(database_uri: str, redis_uri: str, tmp_path: Path) -> Settings:
    """The settings of the api; a module that wants others has its own."""
    return settings(database_uri, redis_uri, tmp_path)


@pytest.fixture
async def api(place: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with open_api(place) as client:
        yield client


@pytest.fixture
def people(place: Settings, tmp_path: Path) -> Iterator[People]:
    with open_people(place, tmp_path) as people:
        yield people


@pytest.fixture
def worker(database_uri: str, redis_uri: str) -> Iterator[Runtime]:
    """A worker's runtime with the usual graphs."""
    from worker_setting import running  # noqa: PLC0415 - only a worker's tests need its graphs

    with running(database_uri, redis_uri) as runtime:
        yield runtime
