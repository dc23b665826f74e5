"""What the ledger keeps of a run's output."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from ostinato_shared.serialization import to_json
from ostinato_worker.excerpts import CAP_BYTES, cap, excerpt


def excerpt_of(values: Any) -> str:
    return excerpt(values, to_json(values))


@pytest.mark.parametrize(
    "last",
    [
        AIMessage("It is noon."),
        AIMessage(
            [{"type": "text", "text": "It is "}, {"type": "image", "url": "x"}, {"type": "text", "text": "noon."}]
        ),
        AIMessage(["It is ", {"type": "text", "text": "noon."}]),
        {"type": "ai", "content": "It is noon."},
        {"role": "assistant", "content": [{"type": "text", "text": "It is "}, "noon.", {"type": "tool_use"}]},
    ],
)
def test_the_last_messages_text_is_kept(last: Any) -> None:
    assert excerpt_of({"messages": [HumanMessage("When?"), last], "more": 1}) == "It is noon."


def test_a_message_without_text_is_kept_as_json() -> None:
    call = {"name": "look_up", "args": {"what": "time"}, "id": "1"}
    assert '"name":"look_up"' in excerpt_of({"messages": [AIMessage("", tool_calls=[call])]})


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"said": "noon"}, '{"said":"noon"}'),
        ({"messages": []}, '{"messages":[]}'),
        ({"messages": "noon"}, '{"messages":"noon"}'),
        ({"messages": ["noon"]}, '"noon"'),
        (7, "7"),
        (None, "null"),
    ],
)
def test_values_without_messages_are_kept_as_json(values: Any, kept: str) -> None:
    assert excerpt_of(values) == kept


def test_a_long_text_ends_in_an_ellipsis_and_no_character_is_cut() -> None:
    kept = cap("ä" * 5000)

    assert kept == "ä" * 2046 + "…"
    assert len(kept.encode()) == CAP_BYTES - 1


def test_a_text_that_just_fits_is_whole() -> None:
    assert cap("x" * CAP_BYTES) == "x" * CAP_BYTES
    assert cap("x" * (CAP_BYTES + 1)) == "x" * (CAP_BYTES - 3) + "…"


@given(st.text(alphabet=st.characters(), max_size=3000).map(lambda text: text * 3))
def test_whatever_comes_out_is_short_and_fits_postgres(text: str) -> None:
    kept = cap(text)

    assert len(kept.encode()) <= CAP_BYTES
    assert "\0" not in kept


@pytest.mark.parametrize("odd", ["a\0b", "a\ud800b"])
def test_what_postgres_refuses_is_replaced(odd: str) -> None:
    assert cap(odd) == "a\ufffdb"
