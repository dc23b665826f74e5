"""What the tests on real servers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ostinato_worker.runtime import Runtime


@pytest.fixture
def worker(database_uri: str, redis_uri: str) -> Iterator[Runtime]:
    """A worker's runtime with the usual graphs."""
    from worker_setting import running  # noqa: PLC0415 - only a worker's tests need its graphs

    with running(database_uri, redis_uri) as runtime:
        yield runtime
