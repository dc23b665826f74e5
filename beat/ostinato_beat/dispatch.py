"""From due entries to messages: claim, ledger, commit. A kill between any two of them loses and doubles nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psycopg
import structlog
from psycopg.rows import args_row, tuple_row
from uuid_utils import uuid7

from ostinato_beat import messages, sync
from ostinato_beat.connections import OUTAGES
from ostinato_beat.entries import TOMBSTONE_SECONDS, BrokenEntryError, UnreadableEntryError, read
from ostinato_beat.steps import LATE_SECONDS, Step, has_ended, step
from ostinato_beat.store import Move
from ostinato_shared.models.states import Outcome, Trigger
from ostinato_shared.queries import ledger
from ostinato_shared.queries.ledger import DueRow, Gap, LookedUp
from ostinato_shared.task_names import LATE_QUEUE, QUEUE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import Connection

    from ostinato_beat.entries import Claimed, Entry
    from ostinato_beat.store import EntryStore

log = structlog.get_logger()
BATCH: Final = 500  # a ledger statement of so many takes some 15 ms


@dataclass(slots=True)
class Batch:
    """What a page of due entries leads to."""

    moves: list[Move] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    locked: int = 0  # still due, tried again soon
    outdated: list[str] = field(default_factory=list)  # crons whose rows say something else than their entries
    unreadable: list[str] = field(default_factory=list)  # crons whose entries are to be written anew

    @property
    def left(self) -> int:
        """How many entries may still be due afterwards."""
        return self.locked + len(self.outdated) + len(self.unreadable)

    def send(self, *, cron_id: str, fire_time: int, firing_id: str, name: str | None, late: bool) -> None:
        queue, target = (LATE_QUEUE, self.late) if late else (QUEUE, self.messages)
        target.append(messages.fire(cron_id=cron_id, fire_time=fire_time, firing_id=firing_id, name=name, queue=queue))

    def move(self, entry: Claimed, to: int | None) -> None:
        if to is None:
            self.moves.append(Move(entry.key, entry.score, entry.rev, "remove", str(TOMBSTONE_SECONDS)))
        else:
            self.moves.append(Move(entry.key, entry.score, entry.rev, "move", str(to)))

    def park(self, entry: Claimed) -> None:
        self.moves.append(Move(entry.key, entry.score, entry.rev, "park", ""))


def dispatch(connection: Connection, store: EntryStore, token: str, *, entries: Sequence[Claimed], now: float) -> Batch:
    """Fire what is due: rows first, then messages and moves. What could not be fired is still due."""
    batch = record(connection, entries, now=now)
    commit(connection, store, token, batch)
    return batch


def commit(connection: Connection, store: EntryStore, token: str, batch: Batch) -> None:
    """Send and move what the ledger holds, then write anew the entries that were out of date."""
    store.commit(token, moves=batch.moves, messages=batch.messages, late=batch.late)
    if batch.outdated or batch.unreadable:
        healed = sync.refresh(connection, store, token, cron_ids=batch.outdated, unreadable=frozenset(batch.unreadable))
        sync.clear_faults(connection, healed)


def record(connection: Connection, entries: Sequence[Claimed], *, now: float) -> Batch:
    """Write the ledger's rows for due entries; what is to be sent and moved comes back."""
    batch = Batch()
    firings: dict[str, tuple[Step, DueRow]] = {}
    for claimed in entries:
        try:
            entry = read(claimed)
        except UnreadableEntryError as error:
            _set_aside(claimed, str(error), batch)
            continue
        if has_ended(entry):
            batch.unreadable.append(entry.cron_id)
            continue
        try:
            firing = step(entry, now=now)
        except BrokenEntryError as error:
            _park(connection, entry, str(error), batch)
        else:
            firings[entry.cron_id] = firing, _due_row(firing)
    if firings:
        recorded, bad = _record(connection, [row for _, row in firings.values()])
        for row, reason in bad:
            _record_invalid(connection, firings.pop(row.cron_id)[0], row, reason, batch)
        _settle(connection, firings, recorded, batch, now=now)
    return batch


def _due_row(firing: Step) -> DueRow:
    entry, missed = firing.entry, firing.missed
    gap = None if missed is None else Gap(str(uuid7()), missed.first, missed.last, missed.count)
    return DueRow(str(uuid7()), entry.cron_id, entry.nominal, entry.revision, firing.trigger, firing.next, gap)


def _record(connection: Connection, rows: Sequence[DueRow]) -> tuple[dict[str, str | None], list[tuple[DueRow, str]]]:
    """The crons of new rows with their names, and the rows that the ledger refuses."""
    try:
        with connection.cursor(row_factory=tuple_row) as cursor:
            return dict(cursor.execute(*ledger.record(rows)).fetchall()), []
    except OUTAGES:
        raise
    except psycopg.Error as error:
        if len(rows) == 1:
            return {}, [(rows[0], str(error).partition("\n")[0])]
    # One bad row must not stop its neighbours.
    recorded: dict[str, str | None] = {}
    bad: list[tuple[DueRow, str]] = []
    for row in rows:
        good, refused = _record(connection, [row])
        recorded |= good
        bad += refused
    return recorded, bad


def _record_invalid(connection: Connection, firing: Step, row: DueRow, reason: str, batch: Batch) -> None:
    """Record a refused firing as skipped; where even that is refused, park the entry."""
    log.error("firing_refused", cron_id=row.cron_id, fire_time=row.fire_time, reason=reason)
    try:
        connection.execute(*ledger.record_invalid(row, message=reason))
    except OUTAGES:
        raise
    except psycopg.Error:
        _park(connection, firing.entry, f"The ledger refuses its firings: {reason}", batch)
    else:
        batch.move(firing.entry.claimed, row.next)


def _settle(
    connection: Connection,
    firings: dict[str, tuple[Step, DueRow]],
    recorded: Mapping[str, str | None],
    batch: Batch,
    *,
    now: float,
) -> None:
    """Send and move what is newly recorded, and look up the rest."""
    for cron_id, name in recorded.items():
        firing, row = firings.pop(cron_id)
        late = firing.trigger == Trigger.CATCHUP
        batch.send(cron_id=cron_id, fire_time=row.fire_time, firing_id=row.firing_id, name=name, late=late)
        batch.move(firing.entry.claimed, row.next)
    if firings:
        with connection.cursor(row_factory=args_row(LookedUp)) as cursor:
            for found in cursor.execute(*ledger.look_up(row for _, row in firings.values())):
                _settle_known(firings[found.cron_id][0].entry, found, batch, now=now)


def _settle_known(entry: Entry, found: LookedUp, batch: Batch, *, now: float) -> None:
    """An entry without a new row: its row stands already, its cron is locked, or it is out of date."""
    if not found.enabled or found.revision != entry.revision:
        batch.outdated.append(entry.cron_id)
        return
    if found.firing_id is not None and found.outcome == Outcome.DUE:
        batch.send(
            cron_id=entry.cron_id,
            fire_time=entry.nominal,
            firing_id=str(found.firing_id),
            name=found.name,
            late=now - entry.nominal >= LATE_SECONDS,
        )
    if found.next is None or found.next > entry.nominal:
        batch.move(entry.claimed, found.next)
    else:
        batch.locked += 1


def _park(connection: Connection, entry: Entry, fault: str, batch: Batch) -> None:
    """Take a broken entry out of the way, once it is on record."""
    statement = ledger.park(
        cron_id=entry.cron_id,
        revision=entry.revision,
        schedule=entry.schedule,
        timezone=entry.timezone,
        fault=fault,
    )
    try:
        on_record = connection.execute(*statement).fetchone()
    except OUTAGES:
        raise
    except psycopg.Error:
        log.exception("cron_not_parked", cron_id=entry.cron_id)
        batch.locked += 1
        return
    if on_record is None:
        batch.unreadable.append(entry.cron_id)
        return
    log.error("cron_parked", cron_id=entry.cron_id, reason=fault)
    batch.park(entry.claimed)


def _set_aside(claimed: Claimed, reason: str, batch: Batch) -> None:
    """An entry that the sync did not write so: a foreign one is parked, ours is written anew."""
    log.warning("entry_unreadable", key=ascii(claimed.key), reason=reason)
    if claimed.cron_id is None:
        batch.park(claimed)
    else:
        batch.unreadable.append(claimed.cron_id)
