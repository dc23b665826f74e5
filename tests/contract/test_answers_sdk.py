"""Answers to interrupts through the official Python SDK: plain ones, and ones by the id of the interrupt."""

from typing import Any

import pytest

from sdk_stage import Stage


@pytest.mark.parametrize("answer", ["yes", 0, False, ["a"], {"free": "text"}])
async def test_only_question_is_answered_by_a_plain_value_whatever_it_is(stage: Stage, answer: Any) -> None:
    thread_id, _ = await stage.asked("asker")

    values = await stage.wait(thread_id, "asker", command={"resume": answer})

    assert values == {"parts": ["first"], "answer": answer}
    assert (await stage.client.threads.get(thread_id))["status"] == "idle"


async def test_only_question_is_answered_by_its_id(stage: Stage) -> None:
    thread_id, ids = await stage.asked("asker")

    values = await stage.wait(thread_id, "asker", command={"resume": dict.fromkeys(ids.values(), "yes")})

    assert values == {"parts": ["first"], "answer": "yes"}


async def test_several_questions_are_answered_by_their_ids(stage: Stage) -> None:
    thread_id, ids = await stage.asked("askers")
    assert sorted(await stage.pending(thread_id)) == sorted(ids.values())

    values = await stage.wait(thread_id, "askers", command={"resume": {ids["left?"]: "L", ids["right?"]: "R"}})

    assert values == {"parts": ["L", "R"]}
    assert await stage.pending(thread_id) == []


async def test_question_that_got_no_answer_is_asked_on(stage: Stage) -> None:
    thread_id, ids = await stage.asked("askers")

    stopped = await stage.wait(thread_id, "askers", command={"resume": {ids["left?"]: "L"}})

    assert [question["id"] for question in stopped["__interrupt__"]] == [ids["right?"]]
    assert await stage.pending(thread_id) == [ids["right?"]]
    assert (await stage.client.threads.get(thread_id))["status"] == "interrupted"
    assert (await stage.wait(thread_id, "askers", command={"resume": "R"}))["parts"] == ["L", "R"]


async def test_plain_answer_to_several_questions_is_an_error_and_they_stay(stage: Stage) -> None:
    thread_id, ids = await stage.asked("askers")

    with pytest.raises(Exception, match="must specify the interrupt id"):
        await stage.wait(thread_id, "askers", command={"resume": "yes"})

    assert (await stage.client.threads.get(thread_id))["status"] == "error"
    state = await stage.client.threads.get_state(thread_id)
    assert sorted(question["id"] for question in state["interrupts"]) == sorted(ids.values())
    values = await stage.wait(thread_id, "askers", command={"resume": {ids["left?"]: "L", ids["right?"]: "R"}})
    assert values == {"parts": ["L", "R"]}
