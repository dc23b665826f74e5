"""What an operator may set: a wrong value stops the start and is named, never shown."""

import pytest
from pydantic import ValidationError

from ostinato_cli.settings_advice import settings_advice
from ostinato_shared.settings import Settings

SERVERS = {"DATABASE_URI": "postgresql://me@localhost/crons", "REDIS_URI": "redis://localhost/0"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URI", "mysql://me:hush@localhost/crons"),
        ("DATABASE_URI", "me:hush@localhost"),
        ("REDIS_URI", "http://:hush@localhost"),
        ("OSTINATO_LOG_LEVEL", "hush"),
        ("OSTINATO_ALLOW_ORIGIN", "https://app.example.com,hush.example.com"),
        ("OSTINATO_LEASE_SECONDS", "inf"),
        ("OSTINATO_STALL_SECONDS", "1e300"),
        ("OSTINATO_DRAIN_SECONDS", "inf"),
        ("OSTINATO_BEAT_LEASE_SECONDS", "inf"),
    ],
)
def test_wrong_setting_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for variable, given in (SERVERS | {name: value}).items():
        monkeypatch.setenv(variable, given)

    with pytest.raises(ValidationError) as refused:
        Settings()

    advice = settings_advice(refused.value)
    assert advice.startswith(f"{name}: ")
    assert "hush" not in advice


def test_level_may_be_written_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, given in (SERVERS | {"OSTINATO_LOG_LEVEL": "debug"}).items():
        monkeypatch.setenv(variable, given)

    assert Settings().log_level == "DEBUG"
