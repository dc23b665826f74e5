"""Names that the processes agree on: tasks, queues, channels. Imports nothing of ours."""

FIRE_CRON = "ostinato.fire"
EXECUTE_RUN = "ostinato.run"
SEND_WEBHOOK = "ostinato.webhook"

QUEUE = "ostinato"  # on time
LATE_QUEUE = "ostinato.late"  # catch-up, backfill, re-sends; drained after QUEUE

WAKE_CHANNEL = "ostinato:wake"  # the api wrote to the outbox: a hint for the leading beat
CANCEL_CHANNEL = "ostinato:cancel"  # a run of this thread is to end: its id, a hint for the run's worker
DONE_CHANNEL = "ostinato:done"  # a run ended: its id, a hint for waiters
LEADER_KEY = "redbeat::lock"  # held, with a short life, by the beat that leads; RedBeat's own name for it

HINT_VERSION = 1  # of the one dict that a task takes; a higher one is left to the sweep
# A hash: who led last (host:pid), since when, and at what time it last looked for what is due, by Redis' clock.
LEADER_STAMP = "ostinato:leader"
ENTRIES_KEY = "redbeat::schedule"  # sorted set: beat's entries by their fire times, parked ones below 0
