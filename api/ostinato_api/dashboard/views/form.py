"""The form of a cron: what its fields say, as the bodies that the API takes; and a cron as what its fields say."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from ostinato_api import json_bodies
from ostinato_api.dashboard.views.form_words import labels_of, length_of, read_labels, read_length, written
from ostinato_api.schemas.base import as_uuid
from ostinato_api.schemas.crons import CronCreate, CronPatch
from ostinato_shared.errors import InvalidError, InvalidTimezoneError
from ostinato_shared.firetimes import check_schedule, parse_timezone
from ostinato_shared.policies import KEY, read_policy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from ostinato_shared.models import Cron

POLICY: Final = ("timeout", "overlap", "pause_after_failures", "max_runs")
BEHAVIOUR: Final = (*POLICY, "end_time", "webhook")
FIVE: Final = "It takes five fields: minute, hour, day of month, month and weekday, such as */5 * * * *."
DIGITS: Final = 9  # of a count: policies.py says what is too many


@dataclass(frozen=True)
class Form:
    """What stands in the fields, as text."""

    cron_id: str = ""
    seen: str = ""
    name: str = ""
    assistant: str = ""
    schedule: str = ""
    timezone: str = ""
    thread: str = "delete"  # or keep, or one
    thread_id: str = ""
    input: str = ""
    labels: str = ""
    overlap: str = "allow"
    timeout: str = ""
    pause_after_failures: str = ""
    max_runs: str = ""
    end_time: str = ""
    webhook: str = ""
    enabled: str = ""

    @property
    def behaves(self) -> bool:
        """Whether something of its behaviour is not as it is by itself."""
        return any(getattr(self, name) not in {"", "allow"} for name in BEHAVIOUR)


@dataclass
class Reading:
    """What was made of a form: fields of a body, what is to be taken away, and what is wrong, by field."""

    body: dict[str, Any] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)
    errors: dict[str, str] = field(default_factory=dict)


ORDER: Final = (
    "form", "name", "assistant", "schedule", "timezone", "thread_id", "input", "labels", *POLICY, "end_time", "webhook",
)  # fmt: skip
NAMES: Final = tuple(each.name for each in fields(Form))


def read(pairs: Iterable[tuple[str, str]]) -> Form:
    """The form that a browser sent; line ends are the browser's, not the person's."""
    sent = {name: value.replace("\r\n", "\n").replace("\0", "") for name, value in pairs if name in NAMES}
    said = {name: value if name == "input" else value.strip() for name, value in sent.items()}
    return replace(Form(), **said)


def of_cron(cron: Cron) -> Form:
    """The form of a cron that is there."""
    metadata = cron.metadata_
    stored = metadata.get(KEY)
    policy = stored if isinstance(stored, dict) else {}
    given = cron.payload.get("input")
    return Form(
        cron_id=str(cron.cron_id),
        seen=cron.updated_at.isoformat(),
        name=_one_line(metadata.get("name")),
        assistant=str(cron.assistant_id),
        schedule=cron.schedule,
        timezone=cron.timezone or "UTC",
        thread="one" if cron.thread_id else cron.on_run_completed or "delete",
        thread_id=str(cron.thread_id or ""),
        input="" if given is None else json.dumps(given, indent=2, ensure_ascii=False),
        labels=labels_of(metadata),
        overlap="skip" if policy.get("overlap") == "skip" else "allow",
        timeout=length_of(policy.get("timeout")),
        pause_after_failures=_one_line(policy.get("pause_after_failures")),
        max_runs=_one_line(policy.get("max_runs")),
        end_time="" if cron.end_time is None else written(cron.end_time, cron.timezone),
        webhook=_one_line(cron.payload.get("webhook")),
        enabled="yes" if cron.enabled else "",
    )


def of_stored(form: Form, cron: Cron) -> Form:
    """The form with what stays as it was made, which a browser does not send."""
    return replace(form, assistant=str(cron.assistant_id), thread_id=str(cron.thread_id or ""))


def read_new(form: Form, *, now: datetime) -> Reading:
    """The body of a new cron; `assistant_id` and `schedule` stand in it whatever they say."""
    found = _read(form, Form(timezone="", enabled="yes"), {}, now)
    found.body |= {"assistant_id": form.assistant, "schedule": form.schedule}
    if not form.assistant:
        found.errors["assistant"] = "Choose the assistant that is to run."
    _check_times(form, found, now)
    if form.thread == "keep":
        found.body["on_run_completed"] = "keep"
    if form.thread == "one" and as_uuid(form.thread_id) is None:
        found.errors["thread_id"] = "Give the thread's id: a UUID, such as the address of its page ends with."
    return _judged(found, CronCreate)


def read_change(form: Form, cron: Cron, *, now: datetime) -> Reading:
    """The body of a change: what differs from the cron as it stands, and nothing else."""
    stands = of_cron(cron)
    found = _read(form, stands, cron.metadata_, now)
    if form.schedule != stands.schedule:
        found.body["schedule"] = form.schedule
    if {"schedule", "timezone"} & found.body.keys():
        _check_times(form, found, now)
    if cron.thread_id is None and form.thread != stands.thread and form.thread in {"delete", "keep"}:
        found.body["on_run_completed"] = form.thread
    return _judged(found, CronPatch)


def reason_of(error: InvalidError) -> str:
    """What is wrong in a schedule, without the words about schedules as such."""
    said = str(error).rpartition("Reason: ")[2]
    return said.rpartition("for every 5 minutes.")[2].strip() or FIVE


def thread_of(form: Form) -> UUID | None:
    """The thread that a new cron is to fire on."""
    return as_uuid(form.thread_id) if form.thread == "one" else None


def _read(form: Form, stands: Form, metadata: dict[str, Any], now: datetime) -> Reading:
    """What differs from `stands` in the fields that both creation and change have."""
    found = Reading()
    if form.timezone != stands.timezone:
        found.body["timezone"] = form.timezone or "UTC"
    _read_input(form, stands, found)
    _read_end(form, stands, found, now)
    if form.webhook != stands.webhook:
        if form.webhook:
            found.body["webhook"] = form.webhook
        else:
            found.without.add("webhook")
    if form.enabled != stands.enabled:
        found.body["enabled"] = bool(form.enabled)
    _read_metadata(form, stands, metadata, found)
    return found


def _check_times(form: Form, found: Reading, now: datetime) -> None:
    if not form.schedule:
        found.errors["schedule"] = "Say when it is to fire, such as 0 9 * * 1-5."
        return
    try:
        check_schedule(form.schedule, form.timezone or None, now=now)
    except InvalidTimezoneError as error:
        found.errors["timezone"] = str(error)
    except InvalidError as error:
        found.errors["schedule"] = reason_of(error)


def _read_input(form: Form, stands: Form, found: Reading) -> None:
    if form.input.strip() == stands.input.strip():
        return
    if not form.input.strip():
        found.without.add("input")
        return
    try:
        given = json_bodies.parse(form.input.encode("utf-8", "surrogatepass"))
    except InvalidError as error:
        said = str(error).removesuffix(".")
        found.errors["input"] = _where(form.input) if said == json_bodies.INVALID else f"{said}."
        return
    if given is None:
        found.errors["input"] = "null is no input: leave the field empty for none."
        return
    found.body["input"] = given


def _where(text: str) -> str:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"This is not JSON: {error.msg}, at line {error.lineno}, column {error.colno}."
    return "This is not JSON."


def _read_end(form: Form, stands: Form, found: Reading, now: datetime) -> None:
    if form.end_time == stands.end_time and form.timezone == stands.timezone:
        return
    if not form.end_time:
        if stands.end_time:
            found.body["end_time"] = None
        return
    try:
        local = datetime.fromisoformat(form.end_time)
        end = local.replace(tzinfo=parse_timezone(form.timezone or None)).astimezone(UTC)
    except InvalidError:
        return  # the zone's own error
    except (ValueError, OverflowError):
        found.errors["end_time"] = "Give a day and a time, such as 2030-12-31T18:00."
        return
    if end <= now:
        found.errors["end_time"] = "That is over already: it would never fire."
    found.body["end_time"] = end.isoformat()


def _read_metadata(form: Form, stands: Form, metadata: dict[str, Any], found: Reading) -> None:
    """Only the keys that the form shows; everything else in the metadata stays as it is."""
    change: dict[str, Any] = {}
    if form.name != stands.name:
        change["name"] = form.name
    if form.labels != stands.labels:
        try:
            change["labels"] = read_labels(form.labels, metadata)
        except InvalidError as error:
            found.errors["labels"] = str(error)
    stored = metadata.get(KEY)
    policy = dict(stored) if isinstance(stored, dict) else {}
    for key in POLICY:
        if getattr(form, key) != getattr(stands, key):
            _read_policy(key, getattr(form, key), policy, found)
    if policy != (stored or {}):
        change[KEY] = policy or None
    if change:
        found.body["metadata"] = change


def _read_policy(key: str, text: str, policy: dict[str, Any], found: Reading) -> None:
    if text in {"", "allow"}:
        policy.pop(key, None)
        return
    value: Any = text
    if key == "timeout":
        value = read_length(text)
    elif key != "overlap" and text.isascii() and text.isdecimal() and len(text) <= DIGITS:
        value = int(text)
    try:
        read_policy({KEY: {key: value}})
    except InvalidError as error:
        found.errors[key] = _sentence(str(error).partition(": ")[2])
        if key == "timeout":
            found.errors[key] = "Give a length of time of up to 7 days, such as 90 s, 5 min, 1 h or PT5M."
        return
    policy[key] = value


def _judged(found: Reading, kind: type[CronCreate | CronPatch]) -> Reading:
    """With the faults that the API's own model finds."""
    try:
        kind.model_validate(found.body)
    except ValidationError as error:
        for fault in error.errors():
            place = str(fault["loc"][0]) if fault["loc"] else "form"
            name = "assistant" if place == "assistant_id" else place
            found.errors.setdefault(name if name in NAMES else "form", _sentence(fault["msg"]))
    except InvalidError as error:
        found.errors.setdefault("form", str(error))
    return found


def _sentence(text: str) -> str:
    text = text.removeprefix("Value error, ")
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _one_line(value: object) -> str:
    """A text or a number as a field shows it; nothing for what a field cannot hold."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)
    return text.strip() if text.isprintable() else ""
