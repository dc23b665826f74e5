"""Checkpoints of many runs in one statement: nobody's rows get past another one's fence, nobody waits for another."""

import asyncio
from typing import Any

import psycopg

from ostinato_shared.ids import new_id
from ostinato_worker.checkpoint_writes import AT_ONCE, MOST, Fence, Rows
from ostinato_worker.runtime import Runtime
from worker_setting import Database


def rows_of(fence: Fence, checkpoint: str = '{"v": 4}') -> Rows:
    key = (str(fence.run_id), "", "1")
    return Rows(
        fence,
        blobs=[(*key[:2], "channel", "1.0", "msgpack", b"blob")],
        added=[(*key, "task", "", 0, "channel", "msgpack", b"written")],
        replaced={(*key, "task", "", -3): (*key, "task", "", -3, "__interrupt__", "msgpack", b"asked")},
        checkpoints={key: (*key, None, checkpoint, "{}")},
    )


def written_of(db: Database, fence: Fence) -> list[int]:
    return [
        db.one(f"SELECT count(*) FROM {table} WHERE thread_id = %s", str(fence.run_id))["count"]  # noqa: S608 - constants
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
    ]


def write_all(worker: Runtime, *requests: Rows) -> list[Any]:
    """What each request came to, when all are made in one turn of the loop."""

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(worker.writer.write(rows) for rows in requests), return_exceptions=True)

    return worker.run(all_of_them())


def test_crowd_of_requests_is_written_whole(db: Database, worker: Runtime) -> None:
    fences = [db.running(worker) for _ in range(2 * MOST + 5)]

    told = write_all(worker, *(rows_of(fence) for fence in fences))

    assert told == [True] * len(fences)
    assert all(written_of(db, fence) == [1, 1, 2] for fence in fences)


def test_run_that_was_taken_over_writes_nothing_in_company(db: Database, worker: Runtime) -> None:
    fences = [db.running(worker) for _ in range(10)]
    for fence in fences[::2]:
        db.do("UPDATE run SET attempt = 2, owner = %s WHERE run_id = %s", new_id(), fence.run_id)

    told = write_all(worker, *(rows_of(fence) for fence in fences))

    assert told == [False, True] * 5
    assert [written_of(db, fence) for fence in fences] == [[0, 0, 0], [1, 1, 2]] * 5


def test_bad_row_fails_alone(db: Database, worker: Runtime) -> None:
    fences = [db.running(worker) for _ in range(3)]

    told = write_all(
        worker, rows_of(fences[0]), rows_of(fences[1], checkpoint='{"nul": "\\u0000"}'), rows_of(fences[2])
    )

    assert (told[0], told[2]) == (True, True)
    assert isinstance(told[1], psycopg.DataError)
    assert [written_of(db, fence) for fence in fences] == [[1, 1, 2], [0, 0, 0], [1, 1, 2]]


def test_run_whose_row_is_locked_holds_up_nobody_else(db: Database, database_uri: str, worker: Runtime) -> None:
    fences = [db.running(worker) for _ in range(2 * AT_ONCE + 2)]
    with psycopg.connect(database_uri) as other:
        other.execute("SELECT FROM run WHERE run_id = %s FOR UPDATE", (fences[0].run_id,))

        async def beside_the_locked_one() -> tuple[bool, list[bool], bool]:
            locked = asyncio.create_task(worker.writer.write(rows_of(fences[0])))
            free = await asyncio.gather(*(worker.writer.write(rows_of(fence)) for fence in fences[1:]))
            waited = not locked.done()
            await asyncio.to_thread(other.rollback)
            return waited, free, await locked

        assert worker.run(beside_the_locked_one()) == (True, [True] * (len(fences) - 1), True)


def test_cancelled_writer_leaves_the_others_their_turn(db: Database, worker: Runtime) -> None:
    fences = [db.running(worker) for _ in range(4 * AT_ONCE)]

    async def cancel_the_first() -> list[Any]:
        tasks = [asyncio.create_task(worker.writer.write(rows_of(fence))) for fence in fences]
        await asyncio.sleep(0)
        for task in tasks[:AT_ONCE]:
            task.cancel()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)

    told = worker.run(cancel_the_first())
    again = write_all(worker, *(rows_of(fence) for fence in fences))

    assert told[AT_ONCE:] == [True] * (len(fences) - AT_ONCE)
    assert again == [True] * len(fences)
