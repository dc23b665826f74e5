"""When beat may believe that a lease ran out because its worker died, and not for want of Postgres."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ostinato_beat.takeover import Contact

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


def looks(contact: Contact, *seconds: float) -> list[bool]:
    return [contact.holds(START + timedelta(seconds=second)) for second in seconds]


def test_contact_has_to_last_a_whole_lease() -> None:
    assert looks(Contact(6), 0, 2, 4, 5.9, 6, 8) == [False, False, False, False, True, True]


def test_gap_of_half_a_lease_begins_it_again() -> None:
    assert looks(Contact(6), 0, 2, 4, 6, 9, 11, 13, 15) == [False, False, False, True, False, False, False, True]


def test_outage_begins_it_again() -> None:
    contact = Contact(6)
    assert looks(contact, 0, 2, 4, 6)[-1]

    contact.lost()

    assert looks(contact, 7, 9, 11, 13) == [False, False, False, True]


def test_clock_that_steps_back_begins_it_again() -> None:
    assert looks(Contact(6), 0, 2, 4, 6, 5, 7, 9, 11) == [False, False, False, True, False, False, False, True]
