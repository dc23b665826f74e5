"""What `metadata.ostinato` may say, and what is made of it."""

from datetime import timedelta
from math import inf
from typing import Any

import pytest

from ostinato_shared.errors import InvalidError
from ostinato_shared.policies import Overlap, Policy, merge_metadata, read_policy, runs_left


@pytest.mark.parametrize(
    "metadata", [{}, {"ostinato": {}}, {"ostinato": None}, {"other": {"overlap": 1}}, {"labels": ["mine"]}]
)
def test_metadata_without_a_policy_passes(metadata: dict[str, Any]) -> None:
    assert read_policy(metadata) == Policy()
    assert read_policy(metadata).stored() is None


def test_a_whole_policy_is_read_and_stored() -> None:
    policy = read_policy(
        {
            "labels": {"team": "growth"},
            "ostinato": {"timeout": "PT1H30M", "overlap": "skip", "pause_after_failures": 5, "max_runs": 100},
        }
    )

    assert policy == Policy(timedelta(minutes=90), Overlap.SKIP, 5, 100)
    assert policy.stored() == {"timeout_seconds": 5400, "overlap": "skip", "pause_after_failures": 5, "max_runs": 100}


def test_overlap_allow_is_as_good_as_none() -> None:
    assert read_policy({"ostinato": {"overlap": "allow"}}).stored() is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT0.5S", 0.5), ("PT5M", 300), ("P1D", 86400), ("P1DT1S", 86401), ("P7D", 604800)]
)
def test_timeout_is_an_iso_duration(text: str, seconds: float) -> None:
    assert read_policy({"ostinato": {"timeout": text}}).stored() == {"timeout_seconds": seconds}


@pytest.mark.parametrize(
    "value",
    ["PT0S", "-PT5M", "+PT5M", "P8D", "P1M", "PT", "P", "", "300", "1 day, 0:00:00", "pt5m", "PT5M ", "5m", 300, 1.5,
     True, None, ["PT5M"], "PT" + "9" * 40 + "S"],
)  # fmt: skip
def test_another_timeout_is_refused(value: object) -> None:
    with pytest.raises(InvalidError, match=r"metadata\.ostinato\.timeout: must be an ISO 8601 duration"):
        read_policy({"ostinato": {"timeout": value}})


@pytest.mark.parametrize("value", ["", "Skip", "buffer_one", None, True, 1, ["skip"], {}])
def test_another_overlap_is_refused(value: object) -> None:
    with pytest.raises(InvalidError, match=r'metadata\.ostinato\.overlap: must be "allow" or "skip"'):
        read_policy({"ostinato": {"overlap": value}})


@pytest.mark.parametrize(
    ("policy", "run_count", "left"),
    [
        (None, 5, inf),
        ({"overlap": "skip"}, 5, inf),
        ({"max_runs": 3}, 2, 1),
        ({"max_runs": 3}, 3, 0),
        ({"max_runs": 3}, 4, 0),
    ],
)
def test_max_runs_leaves_what_has_not_run(policy: dict[str, Any] | None, run_count: int, left: float) -> None:
    assert runs_left(policy, run_count) == left


@pytest.mark.parametrize("key", ["pause_after_failures", "max_runs"])
@pytest.mark.parametrize("value", [0, -1, 1_000_001, 1.0, True, "3", None, [3]])
def test_another_count_is_refused(key: str, value: object) -> None:
    with pytest.raises(InvalidError, match=rf"metadata\.ostinato\.{key}: must be a whole number from 1 to 1,000,000"):
        read_policy({"ostinato": {key: value}})


@pytest.mark.parametrize("key", ["catchup", "jitter", "retry", "budget", "key", "typo", "x" * 500])
def test_a_policy_that_is_not_built_is_refused_by_name(key: str) -> None:
    with pytest.raises(InvalidError, match=rf"metadata\.ostinato\.{key[:80]}: not supported yet"):
        read_policy({"ostinato": {key: None}})


@pytest.mark.parametrize("policy", ["skip", [], 1, False])
def test_a_policy_is_an_object(policy: object) -> None:
    with pytest.raises(InvalidError, match="must be an object"):
        read_policy({"ostinato": policy})


@pytest.mark.parametrize("labels", [["a"], "a", {"team": 1}, {"team": None}, {"team": "x" * 129}, {"x" * 129: "a"}])
def test_labels_beside_a_policy_are_short_texts(labels: object) -> None:
    with pytest.raises(InvalidError, match=r"metadata\.labels"):
        read_policy({"ostinato": {}, "labels": labels})


def test_a_null_policy_removes_the_stored_one() -> None:
    assert merge_metadata({"a": 1, "ostinato": {}}, {"ostinato": None, "b": 2}) == {"a": 1, "b": 2}
    assert merge_metadata({"a": 1, "ostinato": {}}, {"a": None}) == {"a": None, "ostinato": {}}


def test_a_policy_is_replaced_whole() -> None:
    stored = {"ostinato": {"max_runs": 3}, "a": 1}
    assert merge_metadata(stored, {"ostinato": {"overlap": "skip"}}) == {"ostinato": {"overlap": "skip"}, "a": 1}
