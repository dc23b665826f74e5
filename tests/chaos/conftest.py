"""What the tests of lost workers have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis import Redis

from beat_setting import TOKEN
from ostinato_beat.entries import LOCK_KEY
from ostinato_beat.sweeping import Sweeper
from ostinato_shared.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

LEASE_SECONDS = 1.0  # of the workers that a test starts


@pytest.fixture
def sweeper(database_uri: str, redis_uri: str) -> Iterator[None]:
    """The leader's sweep, for short leases."""
    with Redis.from_url(redis_uri) as client:
        client.set(LOCK_KEY, TOKEN)
    settings = Settings(database_uri=database_uri, redis_uri=redis_uri, lease_seconds=LEASE_SECONDS)
    sweeper = Sweeper(settings, token=lambda: TOKEN)
    sweeper.start()
    yield
    sweeper.close()
