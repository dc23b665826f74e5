import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato_api.json_bodies import MAX_DEPTH, parse
from ostinato_shared.errors import InvalidError

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
STORABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(STORABLE)
def test_what_can_be_stored_is_read_as_it_is(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        parse(body)
    except InvalidError as error:
        str(error).encode()


@given(st.text(), st.sampled_from(["\\u0000", "\\ud800", "\\udfff"]))
def test_a_refusal_can_itself_be_sent(key: str, misfit: str) -> None:
    body = json.dumps({key: {"x": "?"}}).replace("?", misfit)

    with pytest.raises(InvalidError) as refusal:
        parse(body.encode())

    str(refusal.value).encode()


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_the_limit_of_depth_is_exact() -> None:
    parse(b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH)

    with pytest.raises(InvalidError, match="deep"):
        parse(b"[" * (MAX_DEPTH + 1) + b"1" + b"]" * (MAX_DEPTH + 1))


def test_numbers_end_where_python_and_postgres_can_read_them_back() -> None:
    assert parse(b"9" * 4300) == 10**4300 - 1
    assert parse(b"1.5e308") == 1.5e308
    assert math.isclose(parse(b"1e-400"), 0)
    for number in (b"9" * 4301, b"1e309", b"-1e999", b"NaN", b"Infinity", b"-Infinity"):
        with pytest.raises(InvalidError):
            parse(number)
