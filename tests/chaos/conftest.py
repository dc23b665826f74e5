"""What several of these tests stand on: a sweep for short leases, and a whole installation with its own servers."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from redis import Redis

from beat_setting import TOKEN
from ostinato_beat.entries import LOCK_KEY
from ostinato_beat.sweeping import Sweeper
from ostinato_shared.settings import Settings
from server_faults import Installation, installation

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


@pytest.fixture(scope="package")
def stack(server_folder: Path) -> Iterator[Installation]:
    """Servers of these tests' own, two beats and two workers; a test that ends one starts another."""
    folder = Path(mkdtemp(prefix="stack-", dir=server_folder))
    folder.chmod(0o755)  # as root, Postgres runs as nobody
    with installation(folder) as made:
        made.start("beat", count=2)
        made.start("worker", count=2)
        yield made
