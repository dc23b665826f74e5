"""What several of these tests stand on: a sweep for short leases, processes to strike, a whole installation."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from redis import Redis

from beat_setting import TOKEN
from crew import Crew, serving
from ostinato_beat.entries import LOCK_KEY
from ostinato_beat.sweeping import Sweeper
from ostinato_cli.embedded import EmbeddedValkey
from ostinato_shared.settings import Settings
from server_faults import Installation, installation
from worker_processes import Striking

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


@pytest.fixture
def striking(tmp_path: Path) -> Striking:
    return Striking(tmp_path)


@pytest.fixture(scope="module")
def redis(valkey_server: EmbeddedValkey) -> Iterator[Redis]:
    """A hand in a Redis that was empty when the module began."""
    with Redis.from_url(valkey_server.uri) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="module")
def standing_crew(
    request: pytest.FixtureRequest, redis: Redis, database_uri: str, valkey_server: EmbeddedValkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Crew]:  # fmt: skip
    """The processes of a module, as its CREW says."""
    assert redis.dbsize() == 0
    striking = Striking(tmp_path_factory.mktemp("struck"))
    with serving(striking, database_uri, valkey_server.uri, **request.module.CREW) as crew:
        yield crew


@pytest.fixture
def crew(standing_crew: Crew) -> Iterator[Crew]:
    standing_crew.fill()
    yield standing_crew
    standing_crew.tell()


@pytest.fixture(scope="package")
def stack(server_folder: Path) -> Iterator[Installation]:
    """Servers of these tests' own, two beats and two workers; a test that ends one starts another."""
    folder = Path(mkdtemp(prefix="stack-", dir=server_folder))
    folder.chmod(0o755)  # as root, Postgres runs as nobody
    with installation(folder) as made:
        made.start("beat", count=2)
        made.start("worker", count=2)
        yield made
