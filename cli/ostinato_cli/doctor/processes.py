"""Beat and workers: whether anybody fires, and whether anybody runs what was fired."""

import time

import redis
from psycopg.rows import namedtuple_row

from ostinato_cli.doctor.servers import Connection
from ostinato_shared import checks
from ostinato_shared.checks import Finding
from ostinato_shared.queries.standing import FIGURES, WORKERS
from ostinato_shared.task_names import LEADER_KEY

TAKEOVER_SECONDS = 4.0  # between two leaders there may be none
POLL_SECONDS = 0.1


def examine_beat(client: redis.Redis) -> Finding:
    """Whether a beat holds the lease, or takes it soon."""
    until = time.monotonic() + TAKEOVER_SECONDS
    while not (leads := bool(client.exists(LEADER_KEY))) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    return checks.beat(leads=leads)


def examine_workers(connection: Connection) -> Finding:
    """How many workers are alive, and whether a graph keeps one of them from working."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return checks.workers(cursor.execute(WORKERS).fetchall())


def examine_firings(connection: Connection) -> Finding:
    """Whether crons fire at their times, and whether firings are started."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return checks.firings(cursor.execute(FIGURES).fetchone())
