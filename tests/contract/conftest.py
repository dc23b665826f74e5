"""The stage of the tests through the official Python SDK."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from langgraph_sdk import get_client

from api_setting import serve_api
from api_worker import Worker, open_worker, write_graphs
from ostinato_shared.settings import Settings
from sdk_stage import Stage


@pytest.fixture
def settings(database_uri: str, redis_uri: str, tmp_path: Path) -> Settings:
    config = write_graphs(tmp_path)
    return Settings(database_uri=database_uri, redis_uri=redis_uri, config=config, slots=20, drain_seconds=0.2)


@pytest.fixture
def worker(settings: Settings) -> Iterator[Worker]:
    with open_worker(settings) as worker:
        yield worker


@pytest.fixture
async def stage(settings: Settings, worker: Worker) -> AsyncIterator[Stage]:
    with serve_api(settings) as url:
        async with get_client(url=url) as client:
            yield Stage(client, worker, url, settings)
