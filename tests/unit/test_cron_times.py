from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from ostinato_api.schemas.crons import parse_time


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2030-01-31T12:00:00Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31T12:00:00.000Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31T12:00:00+05:30", datetime(2030, 1, 31, 6, 30, tzinfo=UTC)),
        ("2030-01-31T12:00", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("2030-01-31 12:00:00.123456", datetime(2030, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times_are_instants_in_utc(text: str, instant: datetime) -> None:
    assert parse_time(text) == instant


@pytest.mark.parametrize(
    "value",
    ["2030-01-31", "12:00", "T", " ", "", "now", 0, 1.5, True, [], {}, "0001-01-01T00:00:00+01:00", "2" * 99 + "T"],
)
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(PydanticCustomError, match="ISO 8601"):
        parse_time(value)


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_python_writes_is_read_back(instant: datetime) -> None:
    assert parse_time(instant.isoformat()) == instant
