"""A cron as it is and as it should be, in one form, so that they can be compared field by field. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ostinato_cli.people.crons_file import Cron

State = dict[str, Any]
Changes = dict[str, tuple[Any, Any]]  # of a field: what it is, what it should be

DEFAULTS: State = {
    "timezone": "UTC", "input": None, "enabled": True, "end_time": None, "thread_id": None,
    "on_run_completed": "delete", "webhook": None, "config": {}, "context": {}, "multitask_strategy": "enqueue",
    "interrupt_before": [], "interrupt_after": [], "durability": "async", "stream_mode": ["values"],
    "stream_subgraphs": False, "stream_resumable": False,
}  # fmt: skip
OWN_FIELDS = ("timezone", "enabled", "end_time", "thread_id", "on_run_completed")  # of a cron; the rest is payload
PREFIX = "metadata."
LIFTED = ("labels", "ostinato")  # keys of the metadata that a file writes as fields
FIXED = frozenset({"assistant", "thread_id", "multitask_strategy"})  # a change of the cron cannot change these
UNCLEARABLE = frozenset({"input", "webhook"})


def state_of(cron: Mapping[str, Any]) -> State:
    """The state of a cron that the api gave."""
    payload = cron["payload"]
    given = {field: (cron if field in OWN_FIELDS else payload).get(field) for field in DEFAULTS}
    return _state(given, cron["assistant_id"], cron["schedule"], cron["metadata"])


def wanted(cron: Cron, assistant_id: str, source: str | None) -> State:
    """The state that people ask for."""
    given = {field: getattr(cron, field) for field in DEFAULTS}
    metadata = {**cron.metadata, "name": cron.name, "labels": cron.labels, "ostinato": cron.ostinato}
    return _state(given, assistant_id, cron.schedule, {**metadata, "applied_by": source})


def _state(given: State, assistant_id: str, schedule: str, metadata: Mapping[str, Any]) -> State:
    state = {field: default if given[field] is None else given[field] for field, default in DEFAULTS.items()}
    state["config"] = _own_config(state["config"])
    if isinstance(state["stream_mode"], str):
        state["stream_mode"] = [state["stream_mode"]]
    if state["thread_id"]:
        state["thread_id"] = state["thread_id"].lower()
        state["on_run_completed"] = "delete"  # of no meaning there
    kept = {f"{PREFIX}{key}": value for key, value in metadata.items() if value not in (None, {})}
    return {"assistant": assistant_id, "schedule": schedule, **state, **kept}


def _own_config(config: Mapping[str, Any]) -> State:
    """Without the id that the server adds."""
    values = {key: value for key, value in (config.get("configurable") or {}).items() if key != "cron_id"}
    others = {key: value for key, value in config.items() if key != "configurable"}
    return {**others, "configurable": values} if values else others


def differences(cron: Cron, actual: State, desired: State) -> Changes:
    """What has to change. `enabled` and the mark of a source are left alone if nothing is said of them."""
    unsaid = {"enabled"} if cron.enabled is None else set()
    if desired.get("metadata.applied_by") is None:
        unsaid.add("metadata.applied_by")
    fields = [*actual, *(field for field in desired if field not in actual)]
    return {
        field: (actual.get(field), desired.get(field))
        for field in fields
        if field not in unsaid and not same(actual.get(field), desired.get(field))
    }


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: true is not 1, but 1.0 is."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def needs_replacement(changes: Changes) -> list[str]:
    """The fields of a change that only a new cron can have."""
    return [field for field, (_, to) in changes.items() if field in FIXED or (field in UNCLEARABLE and to is None)]


def patch_of(changes: Changes) -> State:
    """The body of the PATCH that makes these changes; null takes a key of the metadata away."""
    body: State = {field: to for field, (_, to) in changes.items() if not field.startswith(PREFIX)}
    metadata = {field.removeprefix(PREFIX): to for field, (_, to) in changes.items() if field.startswith(PREFIX)}
    return {**body, "metadata": metadata} if metadata else body


def creation_of(state: State, *, enabled: bool | None) -> State:
    """The body of the POST that makes a cron of this state; what is the default is not sent."""
    body = {field: state[field] for field, default in DEFAULTS.items() if not same(state[field], default)}
    body.pop("thread_id", None)  # it stands in the path
    metadata = {field.removeprefix(PREFIX): value for field, value in state.items() if field.startswith(PREFIX)}
    if enabled is False:
        body["enabled"] = False
    if metadata:
        body["metadata"] = metadata
    return {"assistant_id": state["assistant"], "schedule": state["schedule"], **body}


def exported(state: State, assistant: str) -> State:
    """The entry of crons.yaml that means this state."""
    own = {field: state[field] for field, default in DEFAULTS.items() if not same(state[field], default)}
    metadata = {field.removeprefix(PREFIX): value for field, value in state.items() if field.startswith(PREFIX)}
    name = metadata.pop("name", None)
    metadata.pop("applied_by", None)  # the file's `source` says it; without one the mark is left as it is
    lifted = {key: metadata.pop(key) for key in LIFTED if key in metadata}
    entry = {"name": name, "assistant": assistant, "schedule": state["schedule"], **own, **lifted}
    return {key: value for key, value in {**entry, "metadata": metadata}.items() if value not in (None, {})}
