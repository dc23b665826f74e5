import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from beat_setting import Ground, held_ground, wait_for
from ostinato_beat.checks import check_redis
from ostinato_beat.entries import LOCK_KEY
from ostinato_beat.main import _stop_on_signals
from ostinato_shared.errors import UnavailableError

TAKEOVER_SECONDS = 3.5


@pytest.fixture
def ground(database_uri: str, redis_uri: str) -> Iterator[Ground]:
    with held_ground(database_uri, redis_uri) as ground:
        ground.redis.delete(LOCK_KEY)
        yield ground


class Beat:
    """A beat in a process of its own."""

    def __init__(self, ground: Ground, log: Path) -> None:
        self.log = log
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ostinato_beat.main"],
                env={**os.environ, "DATABASE_URI": ground.database_uri, "REDIS_URI": ground.redis_uri},
                stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        wait_for(lambda: "beat_ready" in log.read_text())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def beats(ground: Ground, tmp_path: Path) -> Iterator[tuple[Beat, Beat]]:
    """A leader and a standby."""
    with ExitStack() as stack:
        made = []
        for name in ("leader", "standby"):
            made.append(Beat(ground, tmp_path / name))
            stack.callback(made[-1].stop)
        yield made[0], made[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_beat_that_is_asked_to_stop_hands_over_at_once(
    ground: Ground, beats: tuple[Beat, Beat], number: signal.Signals
) -> None:
    leader, standby = beats

    leader.process.send_signal(number)
    asked = time.monotonic()

    wait_for(lambda: "beat_leads" in standby.log.read_text())
    assert time.monotonic() - asked < TAKEOVER_SECONDS / 2
    assert leader.process.wait(10) == 0
    standby.process.send_signal(number)
    assert standby.process.wait(10) == 0
    assert ground.redis.get(LOCK_KEY) is None
    assert "Traceback" not in leader.log.read_text() + standby.log.read_text()


def test_a_signal_may_come_while_the_beat_falls_asleep() -> None:
    """It used to wait for ever for a lock that its own thread held, while the lease was still being renewed."""
    woken = threading.Event()
    service = SimpleNamespace(stop=lambda: None, scheduler=SimpleNamespace(wake=woken.set))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        _stop_on_signals(service)
        with woken._cond:  # as Event.wait and Event.clear do
            signal.raise_signal(signal.SIGTERM)

        assert woken.wait(30)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_after_a_kill_the_standby_takes_over_and_no_second_is_lost(ground: Ground, beats: tuple[Beat, Beat]) -> None:
    leader, standby = beats
    first = int(time.time()) + 1
    ground.make_cron(schedule="* * * * * *", at=first)
    wait_for(lambda: len(ground.firings()) > 1)

    leader.process.kill()
    killed = time.monotonic()

    wait_for(lambda: "beat_leads" in standby.log.read_text())
    assert time.monotonic() - killed < TAKEOVER_SECONDS
    seen = len(ground.firings())
    wait_for(lambda: len(ground.firings()) > seen + 3)
    times = [firing["fire_time"] for firing in ground.firings()]
    assert times == list(range(first, first + len(times)))


def test_a_redis_that_may_evict_is_refused(ground: Ground) -> None:
    ground.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(UnavailableError, match="noeviction"):
            check_redis(ground.redis_uri)
    finally:
        ground.redis.config_set("maxmemory-policy", "noeviction")
    check_redis(ground.redis_uri)


def test_a_cluster_is_refused(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def cluster(_self: Any, _section: str) -> dict[str, str]:
        return {"redis_mode": "cluster"}

    monkeypatch.setattr(redis.Redis, "info", cluster)

    with pytest.raises(UnavailableError, match="Cluster"):
        check_redis(ground.redis_uri)
