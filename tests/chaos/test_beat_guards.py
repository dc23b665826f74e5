"""Each guard against a second leader: what it holds off, and the damage that is seen as soon as it is taken away."""

from collections.abc import Iterator
from contextlib import suppress
from threading import Event

import pytest

from beat_setting import NOON, TOKEN, Ground, held_ground
from ostinato_beat import dispatch, lease, store, sync
from ostinato_beat.entries import LOCK_KEY
from ostinato_beat.lease import Lease
from ostinato_beat.store import Change, EntryStore, LeaseLostError
from ostinato_shared.ids import new_id
from ostinato_shared.queries import ledger
from taking_away import without_index
from worker_setting import Database

LOOK_AT_THE_TOKEN = ("if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end",
                     "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end")  # fmt: skip
SECOND_ROW = "ON CONFLICT (cron_id, fire_time) WHERE trigger IN ('schedule', 'catchup') DO NOTHING"
OTHER = "another leader's"


@pytest.fixture
def ground(database_uri: str, redis_uri: str) -> Iterator[Ground]:
    with held_ground(database_uri, redis_uri) as ground:
        yield ground


@pytest.fixture
def without_uniqueness(db: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    assert SECOND_ROW in ledger.RECORD
    monkeypatch.setattr(ledger, "RECORD", ledger.RECORD.replace(SECOND_ROW, ""))
    with without_index(db, "uq_firing_fire_time", table="firing"):
        yield


@pytest.fixture
def without_token(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = store.lua

    def cut(name: str) -> str:
        text = whole(name)
        look = next((look for look in LOOK_AT_THE_TOKEN if look in text), None)
        assert look or name == "look", f"{name}.lua does not look at the token"
        return text.replace(look, "") if look else text

    monkeypatch.setattr(store, "lua", cut)
    monkeypatch.setattr(lease, "lua", cut)


def outcomes_of_a_time_that_two_leaders_fire(ground: Ground, db: Database) -> list[str]:
    """What becomes of the ledger's rows of one fire time, that two leaders recorded.

    The first is killed before he moves the entry; then an edit names the same time once more, as it does if the
    database's clock is set back.
    """
    cron_id = ground.make_cron()
    ground.drain()
    ground.record(now=NOON)
    ground.edit(cron_id, at=NOON)
    ground.redis.set(LOCK_KEY, OTHER)
    sync.drain(ground.connection, ground.store, OTHER)
    entries = ground.store.claim(OTHER, now=NOON + 1).entries
    dispatch.dispatch(ground.connection, ground.store, OTHER, entries=entries, now=NOON + 1)
    claim = "SELECT outcome FROM ostinato_claim(%s, %s, %s, %s)"
    db.do("UPDATE cron SET assistant_id = %s WHERE cron_id = %s", db.assistant(), cron_id)
    return [db.one(claim, row["firing_id"], new_id(), new_id(), new_id())["outcome"] for row in ground.firings(cron_id)]


def test_ledger_accounts_a_fire_time_once_for_two_leaders(ground: Ground, db: Database) -> None:
    assert outcomes_of_a_time_that_two_leaders_fire(ground, db) == ["started"]


@pytest.mark.usefixtures("without_uniqueness")
def test_without_the_ledgers_uniqueness_a_fire_time_has_two_runs(ground: Ground, db: Database) -> None:
    assert outcomes_of_a_time_that_two_leaders_fire(ground, db) == ["started", "started"]


def what_a_late_commit_does(ground: Ground) -> tuple[int, float]:
    """The messages sent and the entry's place, after a leader that lost his lease wakes between ledger and Redis."""
    cron_id = ground.make_cron()
    ground.drain()
    stale = EntryStore(ground.redis)
    batch = ground.record(now=NOON)
    ground.redis.set(LOCK_KEY, OTHER)
    with suppress(LeaseLostError):
        dispatch.commit(ground.connection, stale, TOKEN, batch)
    score = ground.score(cron_id)
    assert score is not None
    return len(ground.messages()), score - NOON


def test_token_keeps_a_stale_leaders_commit_out(ground: Ground) -> None:
    assert what_a_late_commit_does(ground) == (0, 0)


@pytest.mark.usefixtures("without_token")
def test_without_the_token_a_stale_leader_sends_and_moves(ground: Ground) -> None:
    assert what_a_late_commit_does(ground) == (1, 60)


def entry_of_a_deleted_cron(ground: Ground) -> float | None:
    """Where the entry stands after a leader that lost his lease writes what he read before the cron was deleted."""
    cron_id = ground.make_cron(note=False)
    stale = EntryStore(ground.redis)
    change = Change(cron_id, "", ["1", str(NOON), "{}", "* * * * *", "", ""])
    ground.redis.set(LOCK_KEY, OTHER)
    ground.delete(cron_id)
    with suppress(LeaseLostError):
        stale.apply(TOKEN, [change])
    return ground.score(cron_id)


def test_token_keeps_a_stale_leaders_sync_out(ground: Ground) -> None:
    assert entry_of_a_deleted_cron(ground) is None


@pytest.mark.usefixtures("without_token")
def test_without_the_token_a_stale_leader_brings_a_deleted_cron_back(ground: Ground) -> None:
    assert entry_of_a_deleted_cron(ground) == NOON


def lock_after_a_late_stop(ground: Ground) -> object:
    """Who holds the lock after a leader that lost his lease stops in order."""
    ground.redis.delete(LOCK_KEY)
    stale = Lease(ground.redis, seconds=60, on_change=Event().set)
    stale.start()
    ground.redis.set(LOCK_KEY, OTHER)
    stale.close()
    return ground.redis.get(LOCK_KEY)


def test_token_keeps_another_leaders_lock(ground: Ground) -> None:
    assert lock_after_a_late_stop(ground) == OTHER


@pytest.mark.usefixtures("without_token")
def test_without_the_token_a_stale_leader_frees_anothers_lock(ground: Ground) -> None:
    assert lock_after_a_late_stop(ground) is None
