from collections.abc import Iterator
from contextlib import ExitStack
from os import getpid
from socket import gethostname
from threading import Event
from time import monotonic

import pytest
from redis import Redis

from beat_setting import wait_for
from ostinato_beat.entries import LOCK_KEY
from ostinato_beat.lease import Lease
from ostinato_shared.task_names import LEADER_STAMP


@pytest.fixture
def leases(redis_uri: str) -> Iterator[tuple[Lease, Lease]]:
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            client = stack.enter_context(Redis.from_url(redis_uri, decode_responses=True))
            made.append(Lease(client, seconds=0.6, on_change=Event().set))
            stack.callback(made[-1].close)
        yield made[0], made[1]


@pytest.fixture
def redis(redis_uri: str) -> Iterator[Redis]:
    with Redis.from_url(redis_uri, decode_responses=True) as client:
        yield client


def test_one_leads_and_the_other_stands_by(leases: tuple[Lease, Lease], redis: Redis) -> None:
    first, second = leases
    first.start()
    second.start()

    assert first.token == redis.get(LOCK_KEY)
    assert second.token is None


def test_a_leader_that_stops_hands_over_at_once(leases: tuple[Lease, Lease], redis: Redis) -> None:
    first, second = leases
    first.start()
    second.start()

    first.close()
    stopped = monotonic()

    assert wait_for(lambda: second.token) == redis.get(LOCK_KEY)
    assert monotonic() - stopped < 0.5


def test_the_lease_is_renewed_for_as_long_as_its_holder_lives(leases: tuple[Lease, Lease]) -> None:
    first, second = leases
    first.start()
    token, until = first.token, monotonic() + 1.5
    second.start()

    wait_for(lambda: monotonic() > until)

    assert (first.token, second.token) == (token, None)


def test_a_lock_that_vanished_begins_another_term(leases: tuple[Lease, Lease], redis: Redis) -> None:
    first, _ = leases
    first.start()
    token = first.token

    redis.flushall()

    wait_for(lambda: first.token not in {token, None})
    assert first.token == redis.get(LOCK_KEY)


def test_a_lock_that_was_taken_over_ends_the_term(leases: tuple[Lease, Lease], redis: Redis) -> None:
    first, _ = leases
    first.start()

    redis.set(LOCK_KEY, "another's", px=400)

    wait_for(lambda: first.token is None)
    wait_for(lambda: first.token is not None)


def test_stopping_leaves_another_leaders_lock_alone(leases: tuple[Lease, Lease], redis: Redis) -> None:
    first, _ = leases
    first.start()
    redis.set(LOCK_KEY, "another's")

    first.close()

    assert redis.get(LOCK_KEY) == "another's"


def test_each_term_is_stamped_with_who_leads_and_since_when(leases: tuple[Lease, Lease], redis: Redis) -> None:
    first, second = leases
    first.start()
    assert redis.hgetall(LEADER_STAMP) == {
        "token": first.token, "who": f"{gethostname()}:{getpid()}", "since": redis.hget(LEADER_STAMP, "since"),
    }  # fmt: skip
    redis.hset(LEADER_STAMP, mapping={"since": "7", "at": "8"})
    second.start()
    redis.pexpire(LOCK_KEY, 300)
    wait_for(lambda: int(redis.pttl(LOCK_KEY)) > 300)  # renewed

    assert redis.hmget(LEADER_STAMP, "since", "at") == ["7", "8"]  # of the term, not of the renewal
    first.close()
    wait_for(lambda: redis.hget(LEADER_STAMP, "token") == second.token)
    since, at = redis.hmget(LEADER_STAMP, "since", "at")
    assert (int(since) > 7, at) == (True, "8")  # it has not looked yet


def test_leader_keeps_leading_while_redis_is_full(leases: tuple[Lease, Lease], redis: Redis) -> None:
    first, _ = leases
    first.start()
    token = first.token
    redis.config_set("maxmemory", 1)
    redis.delete(LEADER_STAMP)  # what every renewal tries to write again
    try:
        redis.pexpire(LOCK_KEY, 300)
        wait_for(lambda: int(redis.pttl(LOCK_KEY)) > 300)  # it was renewed: a stamp that is refused costs nothing
    finally:
        redis.config_set("maxmemory", 0)
    assert first.token == token
