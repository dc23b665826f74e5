import json
from collections.abc import Iterator

import psycopg
import pytest
from celery import Celery
from redbeat.schedulers import RedBeatSchedulerEntry

from beat_setting import NOON, TOKEN, Ground, firing_id, held_ground
from ostinato_beat import dispatch, sweeping
from ostinato_beat.entries import LOCK_KEY, SCHEDULE_KEY, key_of
from ostinato_beat.store import LATE_LIMIT, LeaseLostError
from ostinato_shared.task_names import LATE_QUEUE, QUEUE


@pytest.fixture
def ground(database_uri: str, redis_uri: str) -> Iterator[Ground]:
    with held_ground(database_uri, redis_uri) as ground:
        yield ground


def test_a_due_cron_is_recorded_sent_and_moved_on(ground: Ground) -> None:
    cron_id = ground.make_cron()
    ground.drain()

    ground.fire(now=NOON + 0.01)

    [firing] = ground.firings()
    [message] = ground.messages()
    assert (firing["fire_time"], firing["outcome"], firing["trigger"]) == (NOON, "due", "schedule")
    assert firing_id(message) == firing["firing_id"]
    assert json.loads(message)["headers"]["argsrepr"] == "('news', '2026-11-24 12:00:00Z')"
    assert ground.score(cron_id) == ground.cron(cron_id)["next"] == NOON + 60


def test_nothing_fires_before_its_time(ground: Ground) -> None:
    ground.make_cron()
    ground.drain()

    page = ground.store.claim(TOKEN, now=NOON - 0.001)

    assert (page.entries, page.next_score) == ([], NOON)


def test_a_pass_takes_the_pages_one_after_the_other(ground: Ground) -> None:
    crons = [ground.make_cron(at=NOON + n % 2) for n in range(7)]
    while ground.drain():
        pass

    for _ in range(3):
        entries = ground.store.claim(TOKEN, now=NOON + 2, limit=3).entries
        dispatch.dispatch(ground.connection, ground.store, TOKEN, entries=entries, now=NOON + 2)

    assert {firing["cron_id"] for firing in ground.firings()} == set(crons)
    assert len(ground.messages()) == 7


def test_a_kill_before_the_commit_loses_nothing_and_doubles_nothing(ground: Ground) -> None:
    cron_id = ground.make_cron()
    ground.drain()
    ground.record(now=NOON)
    assert (ground.messages(), ground.score(cron_id)) == ([], NOON)

    ground.fire(now=NOON + 1)

    [firing] = ground.firings()
    assert [firing_id(message) for message in ground.messages()] == [firing["firing_id"]]
    assert ground.score(cron_id) == NOON + 60


def test_a_new_leader_sends_every_due_row_again(ground: Ground) -> None:
    crons = {ground.make_cron(at=NOON + n) for n in range(3)}
    ground.drain()
    ground.record(now=NOON + 2)

    sent = sweeping.send_due(ground.connection, ground.store, TOKEN)
    ground.reconcile()

    assert sent == 3
    messages = ground.messages(QUEUE) + ground.messages(LATE_QUEUE)
    assert {firing_id(message) for message in messages} == {firing["firing_id"] for firing in ground.firings()}
    assert {ground.score(cron_id) for cron_id in crons} == {NOON + 60}


def test_a_settled_time_only_moves_the_entry(ground: Ground) -> None:
    cron_id = ground.make_cron()
    ground.drain()
    ground.record(now=NOON)
    ground.connection.execute("UPDATE firing SET outcome = 'success'")

    ground.fire(now=NOON + 1)

    assert ground.messages() == []
    assert ground.score(cron_id) == NOON + 60


def test_a_stale_leaders_commit_changes_nothing(ground: Ground) -> None:
    cron_id = ground.make_cron()
    ground.drain()
    batch = ground.record(now=NOON)
    ground.redis.set(LOCK_KEY, "another's")

    with pytest.raises(LeaseLostError):
        dispatch.commit(ground.connection, ground.store, TOKEN, batch)
    with pytest.raises(LeaseLostError):
        ground.store.claim(TOKEN, now=NOON)
    with pytest.raises(LeaseLostError):
        ground.store.apply(TOKEN, [])

    assert ground.messages() == []
    assert ground.score(cron_id) == NOON


def test_a_commit_leaves_entries_that_were_changed_meanwhile(ground: Ground) -> None:
    cron_id = ground.make_cron()
    ground.drain()
    batch = ground.record(now=NOON)
    ground.edit(cron_id, at=NOON + 1800)
    ground.drain()

    dispatch.commit(ground.connection, ground.store, TOKEN, batch)

    assert len(ground.messages()) == 1
    assert ground.score(cron_id) == NOON + 1800


def test_a_locked_cron_is_left_and_fires_when_the_lock_is_gone(ground: Ground) -> None:
    locked, free = ground.make_cron(), ground.make_cron()
    ground.drain()
    with psycopg.connect(ground.database_uri) as other:
        other.execute("SELECT FROM cron WHERE cron_id = %s FOR UPDATE", (locked,))

        batch = ground.fire(now=NOON)

        assert batch.left == 1
        assert [firing["cron_id"] for firing in ground.firings()] == [free]
        assert ground.score(locked) == NOON
    ground.fire(now=NOON + 1)
    assert {firing["cron_id"] for firing in ground.firings()} == {locked, free}
    assert len(ground.messages()) == 2


def test_an_edited_cron_does_not_fire_by_its_old_entry(ground: Ground) -> None:
    cron_id = ground.make_cron()
    ground.drain()
    ground.edit(cron_id, at=NOON + 900, schedule="*/15 * * * *")

    ground.fire(now=NOON)

    assert (ground.firings(), ground.messages()) == ([], [])
    assert ground.score(cron_id) == NOON + 900
    assert ground.redis.hget(key_of(cron_id), "schedule") == "*/15 * * * *"


def test_a_cron_deleted_meanwhile_does_not_fire(ground: Ground) -> None:
    cron_id = ground.make_cron()
    ground.drain()
    ground.delete(cron_id)

    ground.fire(now=NOON)

    assert (ground.firings(), ground.messages(), ground.score(cron_id)) == ([], [], None)


def test_a_definition_that_cannot_be_evaluated_is_parked_beside_its_neighbour(ground: Ground) -> None:
    broken, well = ground.make_cron(schedule="of another version"), ground.make_cron()
    ground.drain()

    ground.fire(now=NOON)

    assert ground.score(broken) == -1
    assert [firing["cron_id"] for firing in ground.firings()] == [well]
    assert "InvalidScheduleError" in ground.cron(broken)["fault"]
    [event] = ground.connection.execute("SELECT * FROM cron_event").fetchall()
    assert (str(event["cron_id"]), event["kind"]) == (broken, "parked")
    assert ground.fire(now=NOON + 1).left == 0


def test_a_parked_cron_lives_again_when_it_is_edited(ground: Ground) -> None:
    cron_id = ground.make_cron(schedule="of another version")
    ground.drain()
    ground.fire(now=NOON)

    ground.edit(cron_id, at=NOON + 60, schedule="* * * * *")
    ground.drain()

    assert ground.score(cron_id) == NOON + 60
    assert ground.cron(cron_id)["fault"] is None


@pytest.mark.parametrize("field", ["rev", "nominal", "end", "schedule", "timezone"])
def test_an_entry_that_somebody_has_scribbled_on_is_written_anew(ground: Ground, field: str) -> None:
    cron_id = ground.make_cron()
    ground.drain()
    ground.redis.hset(key_of(cron_id), field, "x\udcff".encode("utf-8", "surrogateescape"))

    for _ in range(2):
        ground.fire(now=NOON)

    assert [firing["cron_id"] for firing in ground.firings()] == [cron_id]
    assert ground.score(cron_id) == NOON + 60


def test_an_end_that_only_redis_knows_is_no_end(ground: Ground) -> None:
    cron_id = ground.make_cron()
    ground.drain()
    ground.redis.hset(key_of(cron_id), "end", NOON - 1)

    for _ in range(2):
        ground.fire(now=NOON)

    assert len(ground.firings()) == 1


def test_foreign_and_broken_keys_do_not_stop_their_neighbours(ground: Ground) -> None:
    hollow, wrong_type, well = ground.make_cron(), ground.make_cron(), ground.make_cron()
    ground.drain()
    ground.redis.delete(key_of(hollow), key_of(wrong_type))
    ground.redis.set(key_of(wrong_type), "text")
    ground.redis.zadd(SCHEDULE_KEY, {"redbeat:somebody's task": NOON, b"\xff\xfe": NOON})

    for _ in range(3):
        ground.fire(now=NOON)

    assert {firing["cron_id"] for firing in ground.firings()} == {hollow, wrong_type, well}
    assert ground.redis.zscore(SCHEDULE_KEY, "redbeat:somebody's task") == -1


def test_a_row_that_the_ledger_refuses_is_recorded_beside_its_neighbours(ground: Ground) -> None:
    bad, good = ground.make_cron(), ground.make_cron()
    ground.drain()
    with refusing(ground, f"NEW.cron_id = '{bad}' AND NEW.outcome = 'due'"):
        ground.fire(now=NOON)

    [refused] = ground.firings(bad)
    assert (refused["outcome"], refused["reason"], refused["fire_time"]) == ("skipped", "invalid", NOON)
    assert "refused by a test" in refused["error"]["message"]
    assert [firing["outcome"] for firing in ground.firings(good)] == ["due"]
    assert len(ground.messages()) == 1
    assert ground.score(bad) == ground.score(good) == ground.cron(bad)["next"] == NOON + 60


def test_a_cron_whose_every_row_is_refused_is_parked(ground: Ground) -> None:
    bad, good = ground.make_cron(), ground.make_cron()
    ground.drain()
    with refusing(ground, f"NEW.cron_id = '{bad}'"):
        ground.fire(now=NOON)

    assert [firing["cron_id"] for firing in ground.firings()] == [good]
    assert ground.score(bad) == -1
    assert "refused by a test" in ground.cron(bad)["fault"]


def test_after_an_outage_one_firing_catches_up_and_one_row_tells_of_the_rest(ground: Ground) -> None:
    cron_id = ground.make_cron()
    ground.drain()

    ground.fire(now=NOON + 605)

    caught_up, gap = ground.firings(cron_id)
    assert (caught_up["fire_time"], caught_up["outcome"], caught_up["trigger"]) == (NOON, "due", "catchup")
    assert (gap["fire_time"], gap["outcome"], gap["reason"]) == (NOON + 60, "skipped", "missed")
    assert (gap["missed_until"], gap["missed_count"]) == (NOON + 600, 10)
    assert (ground.messages(QUEUE), len(ground.messages(LATE_QUEUE))) == ([], 1)
    assert ground.score(cron_id) == ground.cron(cron_id)["next"] == NOON + 660


def test_a_gap_too_long_to_count_still_says_how_far_it_reaches(ground: Ground) -> None:
    cron_id = ground.make_cron(schedule="* * * * * *")
    ground.drain()

    ground.fire(now=NOON + 365 * 86400)

    _, gap = ground.firings(cron_id)
    assert (gap["missed_until"], gap["missed_count"]) == (NOON + 365 * 86400, None)


def test_a_full_late_queue_leaves_the_rest_to_the_sweep(ground: Ground) -> None:
    ground.make_cron()
    ground.drain()
    ground.redis.rpush(LATE_QUEUE, *["x"] * LATE_LIMIT)

    ground.fire(now=NOON + 605)

    assert len(ground.messages(LATE_QUEUE)) == LATE_LIMIT
    assert ground.firings()[0]["outcome"] == "due"


def test_the_last_time_before_the_end_is_the_last(ground: Ground) -> None:
    cron_id = ground.make_cron(end=NOON + 59)
    ground.drain()

    ground.fire(now=NOON)

    assert len(ground.messages()) == 1
    assert ground.cron(cron_id)["next"] is None
    assert ground.score(cron_id) is None


def test_stock_redbeat_reads_our_entries(ground: Ground) -> None:
    cron_id = ground.make_cron(schedule="0 0 L * * 30", timezone="Europe/Berlin")
    ground.drain()
    app = Celery("stock", broker=ground.redis_uri, set_as_current=False)
    app.conf.update(redbeat_redis_url=ground.redis_uri, redbeat_redis_options={})

    entry = RedBeatSchedulerEntry.from_key(key_of(cron_id), app=app)

    assert (entry.name, entry.task, entry.enabled) == (cron_id, "ostinato.fire", True)
    assert entry.options == {"queue": "ostinato"}
    assert entry.is_due() is not None
    app.redbeat_redis.close()


class refusing:  # noqa: N801 - reads as a word
    """A ledger that refuses some rows."""

    def __init__(self, ground: Ground, condition: str) -> None:
        self._connection, self._condition = ground.connection, condition

    def __enter__(self) -> None:
        self._connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'refused by a test'; END $$"
        )
        self._connection.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT ON firing FOR EACH ROW WHEN ({self._condition})"
            " EXECUTE FUNCTION refuse()"
        )

    def __exit__(self, *_: object) -> None:
        self._connection.execute("DROP TRIGGER refuse ON firing")
        self._connection.execute("DROP FUNCTION refuse")
