"""A cron as code: what a person pastes into a file, a program or a terminal to make the same one."""

from __future__ import annotations

import json
import pprint
import shlex
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from ostinato_shared.models import Cron

LONGEST: Final = 100_000  # characters of JSON; 10 MiB of it as YAML stop the server for 12 s
TOO_LONG: Final = "Too long to be shown as code. `ostinato export` writes it to a file.\n"
OPTIONS: Final = (
    "input", "config", "context", "webhook", "multitask_strategy", "interrupt_before", "interrupt_after", "durability",
)  # fmt: skip


def as_code(cron: Cron, *, assistant: str, url: str) -> dict[str, str]:
    """The cron in YAML (of `ostinato apply`), Python, JavaScript and curl; a word in place of each when it is long."""
    fields = _fields(cron)
    if len(json.dumps(fields, ensure_ascii=False)) > LONGEST:
        return dict.fromkeys(("YAML", "Python", "JavaScript", "curl"), TOO_LONG)
    return {
        "YAML": _yaml(cron, assistant, fields),
        "Python": _python(cron, assistant, fields, url),
        "JavaScript": _javascript(cron, assistant, fields, url),
        "curl": _curl(cron, assistant, fields, url),
    }


def _fields(cron: Cron) -> dict[str, Any]:
    """What was given when it was made, in the order in which a person says it."""
    fields: dict[str, Any] = {"schedule": cron.schedule}
    if cron.timezone:
        fields["timezone"] = cron.timezone
    if cron.end_time is not None:
        fields["end_time"] = cron.end_time.isoformat()
    options = {name: cron.payload[name] for name in OPTIONS if cron.payload.get(name) is not None}
    if config := _own_config(options.pop("config", None)):
        options["config"] = config
    fields |= options
    if cron.on_run_completed == "keep":
        fields["on_run_completed"] = "keep"
    if not cron.enabled:
        fields["enabled"] = False
    if cron.metadata_:
        fields["metadata"] = cron.metadata_
    return fields


def _own_config(config: Any) -> dict[str, Any]:
    """Without the cron's id, which the server puts there."""
    if not isinstance(config, dict):
        return {}
    configurable = {name: value for name, value in config.get("configurable", {}).items() if name != "cron_id"}
    rest = {name: value for name, value in config.items() if name != "configurable"}
    return {**rest, "configurable": configurable} if configurable else rest


def _yaml(cron: Cron, assistant: str, fields: dict[str, Any]) -> str:
    metadata = dict(fields.get("metadata", {}))
    named = {"name": metadata.pop("name", None) or str(cron.cron_id)[:8], "assistant": assistant}
    if cron.thread_id is not None:
        named["thread_id"] = str(cron.thread_id)
    moved = {key: metadata.pop(key) for key in ("labels", "ostinato") if key in metadata}
    rest = {name: value for name, value in fields.items() if name != "metadata"}
    item = {**named, **rest, **moved, **({"metadata": metadata} if metadata else {})}
    text: str = yaml.safe_dump({"crons": [item]}, sort_keys=False, allow_unicode=True, width=100)
    return text


def _python(cron: Cron, assistant: str, fields: dict[str, Any], url: str) -> str:
    first = [repr(assistant)] if cron.thread_id is None else [repr(str(cron.thread_id)), repr(assistant)]
    method = "create" if cron.thread_id is None else "create_for_thread"
    given = [
        *first,
        *(f"{name}={_indented(pprint.pformat(value, width=76, sort_dicts=False))}" for name, value in fields.items()),
    ]
    lines = "".join(f"    {each},\n" for each in given)
    return (
        "from langgraph_sdk import get_sync_client\n\n"
        f"client = get_sync_client(url={url!r})\n"
        f"client.crons.{method}(\n{lines})\n"
    )


def _javascript(cron: Cron, assistant: str, fields: dict[str, Any], url: str) -> str:
    camel = {_camel(name): value for name, value in fields.items()}
    body = _indented(json.dumps(camel, indent=2, ensure_ascii=False), by="")
    method = "create" if cron.thread_id is None else "createForThread"
    first = [assistant] if cron.thread_id is None else [str(cron.thread_id), assistant]
    arguments = ", ".join(json.dumps(each) for each in first)
    return (
        'import { Client } from "@langchain/langgraph-sdk";\n\n'
        f"const client = new Client({{ apiUrl: {json.dumps(url)} }});\n"
        f"await client.crons.{method}({arguments}, {body});\n"
    )


def _curl(cron: Cron, assistant: str, fields: dict[str, Any], url: str) -> str:
    path = "/runs/crons" if cron.thread_id is None else f"/threads/{cron.thread_id}/runs/crons"
    body = json.dumps({"assistant_id": assistant, **fields}, indent=2, ensure_ascii=False)
    return f"curl {url}{path} \\\n  --header 'content-type: application/json' \\\n  --data {shlex.quote(body)}\n"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _indented(text: str, *, by: str = "    ") -> str:
    return text.replace("\n", f"\n{by}")
