"""Where Flower answers, as its environment says."""

import pytest

from ostinato_cli.flower import FlowerAccess
from ostinato_shared.errors import UnavailableError


@pytest.mark.parametrize("port", ["x", "0", "65536", "-1", "٣"])
def test_port_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "me:hush")
    monkeypatch.setenv("FLOWER_PORT", port)

    with pytest.raises(UnavailableError, match="FLOWER_PORT must be a port"):
        FlowerAccess.from_environment()
