"""What the tests without servers share."""

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The first draw of a process also reads the source of all our modules: seconds, on a busy machine with no cache.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Loading a project changes the process: undo it."""
    modules, path, environ = set(sys.modules), list(sys.path), dict(os.environ)
    for name in ("LANGGRAPH_CONFIG", "ALLOW_PRIVATE_NETWORK"):
        monkeypatch.delenv(name, raising=False)
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environ)
