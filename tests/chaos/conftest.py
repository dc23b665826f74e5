from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from server_faults import Installation, installation


@pytest.fixture(scope="package")
def stack(server_folder: Path) -> Iterator[Installation]:
    """Servers of these tests' own, two beats and two workers; a test that ends one starts another."""
    folder = Path(mkdtemp(prefix="stack-", dir=server_folder))
    folder.chmod(0o755)  # as root, Postgres runs as nobody
    with installation(folder) as made:
        made.start("beat", count=2)
        made.start("worker", count=2)
        yield made
