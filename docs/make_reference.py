"""Write docs/reference from the code: the commands, the settings, the endpoints.

python docs/make_reference.py          write them
python docs/make_reference.py --check  say which are out of date, by exit code 1
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from enum import EnumType
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import AliasChoices, SecretStr
from pydantic_core import PydanticUndefined
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.main import get_command

from ostinato_api.app import create_app
from ostinato_cli.main import app as cli
from ostinato_shared.settings import Settings

FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- Made from the code by docs/make_reference.py: change the code, then run that. -->\n\n"
GRAPH = """
from langgraph.graph import START, MessagesState, StateGraph
graph = StateGraph(MessagesState).add_node("answer", lambda state: state).add_edge(START, "answer").compile()
"""
TYPES = {Path: "path", str: "text", bool: "true or false", int: "whole number", float: "number"}
EXITS = {
    0: "It did what it was asked to.",
    1: "It could not, or was refused; the last line says why. `doctor`: a check failed.",
    2: "The command line does not fit, or what it names is not there, or not one thing only.",
    3: "The server does not answer.",
    4: "`diff`: file and server differ.",
    130: "Ctrl-C.",
}
# What the processes read beside the settings, each under the name that its own world gave it.
OTHER_VARIABLES = {
    "ALLOW_PRIVATE_NETWORK": ("api, worker", "`true` lets [webhooks](../webhooks.md) go to private addresses."),
    "SSL_CERT_FILE, SSL_CERT_DIR": ("worker", "The authorities that webhooks trust."),
    "LANGGRAPH_CONFIG": ("api, worker", "JSON with a config for each graph, as LangGraph's own images read it."),
    "FLOWER_BASIC_AUTH": ("flower", "`user:password`; required."),
    "FLOWER_ADDRESS, FLOWER_PORT": ("flower", "Where Flower listens: `127.0.0.1`, `5555`."),
    "NO_COLOR": ("dev", "Any value: no colours."),
}


def main(arguments: list[str]) -> int:
    """The exit code: with `--check` 1 when a page is not what the code says now, and nothing is written."""
    made = pages()
    stale = [name for name, text in made.items() if not _is(FOLDER / name, text)]
    if "--check" in arguments:
        for name in stale:
            print(f"docs/reference/{name} is out of date: run `python docs/make_reference.py`.")
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name in stale:
        (FOLDER / name).write_text(made[name])
    return 0


def _is(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


def pages() -> dict[str, str]:
    """Every page of the reference by its file's name."""
    return {"cli.md": MADE + commands(), "settings.md": MADE + settings(), "endpoints.md": MADE + endpoints()}


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def plain(text: str | None) -> str:
    """A help text as paragraphs, each on one line."""
    paragraphs = (text or "").replace("\b", "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


# The commands


def commands() -> str:
    root = get_command(cli)
    parts = [
        "# The command line\n",
        plain(root.help),
        "`ostinato COMMAND --help` says the same. `ostinato --install-completion` sets up completion for your shell.",
        *(command(path, found) for path, found in walk(root) if path != ("ostinato",)),
        "## Exit codes\n",
        exit_codes(),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def walk(found: Any, path: tuple[str, ...] = ("ostinato",)) -> list[tuple[tuple[str, ...], Any]]:
    """Every command that is shown, with the words that call it, groups before their members."""
    below = found.commands.items() if isinstance(found, TyperGroup) else ()
    members = [walk(member, (*path, name)) for name, member in below if not member.hidden]
    return [(path, found), *(member for group in members for member in group)]


def command(path: tuple[str, ...], found: Any) -> str:
    shown = [one for one in found.params if not getattr(one, "hidden", False)]
    arguments = [one for one in shown if isinstance(one, TyperArgument)]
    options = [one for one in shown if isinstance(one, TyperOption)]
    usage = " ".join([*path, *(["COMMAND"] if isinstance(found, TyperGroup) else map(metavar, arguments))])
    text = f"## {' '.join(path)}\n\n    {usage}{' [OPTIONS]' if options else ''}\n\n{plain(found.help)}\n"
    if arguments:
        text += "\n" + table(("argument", "what it is"), [(f"`{metavar(one)}`", note(one)) for one in arguments])
    if options:
        rows = [(names(one), value(one), default(one), note(one)) for one in options]
        text += "\n" + table(("option", "value", "default", "what it does"), rows)
    return text


def metavar(argument: TyperArgument) -> str:
    name = (argument.metavar or argument.name or "").upper().strip("[].")
    return (name if argument.required else f"[{name}]") + ("..." if argument.nargs == -1 else "")


def names(option: TyperOption) -> str:
    return ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])


def value(option: TyperOption) -> str:
    if option.is_flag:
        return ""
    wanted = option.type_descriptor.annotation
    wanted = next((one for one in get_args(wanted) if one is not NoneType), wanted)
    if isinstance(wanted, EnumType):
        shown = ", ".join(f"`{choice.value}`" for choice in wanted)
    else:
        shown = option.metavar or TYPES.get(wanted, getattr(wanted, "__name__", str(wanted)))
    limits = "".join(f", {sign} {limit}" for limit, sign in ((option.min, "≥"), (option.max, "≤")) if limit is not None)
    return shown + limits + (", repeatable" if option.multiple else "")


def default(option: TyperOption) -> str:
    if option.required:
        return "required"
    if option.show_default is False or option.default is None or callable(option.default):
        return ""
    if option.is_flag:
        return f"`{option.opts[0]}`" if option.default else ""
    given = getattr(option.default, "value", option.default)
    return f"`{given}`" if given not in ("", ()) else ""


def note(one: TyperOption | TyperArgument) -> str:
    variable = [one.envvar] if isinstance(one.envvar, str) else list(one.envvar or ())
    environment = f" In the environment: {', '.join(f'`{name}`' for name in variable)}." if variable else ""
    return plain(one.help).replace("\n\n", " ") + environment


def exit_codes() -> str:
    """What the codes mean, those of the commands for people by their own list."""
    people = {} if find_spec("ostinato_cli.people") is None else import_module("ostinato_cli.people.exits").Exit
    told = {code: EXITS[code] for code in sorted({0, 1, 2, 130, *map(int, people)})}
    return table(("code", "what it means"), [(str(code), meaning) for code, meaning in told.items()])


# The settings


def settings() -> str:
    rows = []
    for name, spec in Settings.model_fields.items():
        description = spec.description
        if not description:
            raise SystemExit(f"Settings.{name} has no description: give its Field one.")
        rows.append((f"`{variable(name, spec)}`", kind(spec), shown_default(spec), plain(description)))
    others = [(", ".join(f"`{one}`" for one in key.split(", ")), *told) for key, told in OTHER_VARIABLES.items()]
    return (
        "# Settings\n\n"
        "Every process reads these from its environment. One that is wrong or missing stops the start, which names "
        "it; an empty one counts as not set.\n\n"
        + table(("variable", "type", "default", "what it is"), rows)
        + "\n## Other variables\n\n"
        + table(("variable", "read by", "what it is"), others)
        + "\n`env` in your `langgraph.json` is for your graphs: it sets what is not set yet, after these were read.\n"
    )


def variable(name: str, spec: Any) -> str:
    alias = spec.validation_alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return str(alias) if alias else f"{Settings.model_config.get('env_prefix', '')}{name}".upper()


def kind(spec: Any) -> str:
    wanted = next((one for one in get_args(spec.annotation) if NoneType in get_args(spec.annotation)), spec.annotation)
    word = {**TYPES, SecretStr: "URI, secret"}.get(wanted, "list, comma-separated")
    limits = {limit: getattr(rule, limit) for rule in spec.metadata for limit in ("ge", "le") if hasattr(rule, limit)}
    return word + "".join(f", {sign} {limits[limit]}" for limit, sign in (("ge", "≥"), ("le", "≤")) if limit in limits)


def shown_default(spec: Any) -> str:
    if spec.is_required():
        return "required"
    given = spec.get_default(call_default_factory=True)
    if given is PydanticUndefined or given in (None, "", [], ()):
        return "none"
    return f"`{str(given).lower() if isinstance(given, bool) else f'{given:g}' if isinstance(given, float) else given}`"


# The endpoints


def endpoints() -> str:
    spec = openapi()
    by_tag: dict[str, list[str]] = {}
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["Other"])[0]
            by_tag.setdefault(tag, []).append(endpoint(spec, f"{method.upper()} {path}", operation))
    texts = [f"## {tag}\n\n" + "\n".join(found) for tag, found in by_tag.items()]
    return (
        "# Endpoints\n\n"
        "What the running api says of itself at `/docs` and `/openapi.json`, to read without one. Bodies are JSON; "
        '**bold** fields are required. Every error is `{"detail": "…"}`. Each endpoint may also answer '
        + "; ".join(f"{code} ({meaning})" for code, meaning in common(spec).items())
        + ".\n\n"
        + "\n".join(texts)
    )


def openapi() -> dict[str, Any]:
    """The application's OpenAPI, of a project that has one graph; nothing is connected to."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "graph_of_the_reference.py").write_text(GRAPH)
        config = Path(folder) / "langgraph.json"
        config.write_text(json.dumps({"graphs": {"agent": "./graph_of_the_reference.py:graph"}}))
        given = {"database_uri": SecretStr("postgresql://"), "redis_uri": SecretStr("redis://"), "config": config}
        spec: dict[str, Any] = create_app(Settings(**given)).openapi()
    return spec


def common(spec: dict[str, Any]) -> dict[str, str]:
    """The answers that all endpoints have in common: told once."""
    answers = [
        {code: told["description"] for code, told in operation["responses"].items() if code >= "400"}
        for methods in spec["paths"].values()
        for operation in methods.values()
    ]
    return {code: told for code, told in answers[0].items() if all(one.get(code) == told for one in answers)}


def endpoint(spec: dict[str, Any], name: str, operation: dict[str, Any]) -> str:
    answers = [
        f"{code} ({told['description']})" if code >= "400" else code
        for code, told in sorted(operation["responses"].items())
        if code not in common(spec)
    ]
    told = plain(operation.get("description") or operation.get("summary"))
    text = f"### {name}\n\n{told}\n\nAnswers: {', '.join(answers)}\n"
    parameters = [
        (
            f"`{one['name']}`",
            one["in"],
            type_of(one["schema"]),
            plain(one.get("description") or one["schema"].get("description")),
        )
        for one in operation.get("parameters", ())
        if one["in"] != "path"
    ]
    if parameters:
        text += "\n" + table(("parameter", "in", "type", "what it is"), parameters)
    content = operation.get("requestBody", {}).get("content", {})
    rows = body_rows(spec, content.get("application/json", {}).get("schema", {}))
    if rows:
        text += "\n" + table(("field of the body", "type", "what it is"), rows)
    return text


def body_rows(spec: dict[str, Any], schema: dict[str, Any]) -> list[tuple[str, ...]]:
    found = resolved(spec, schema)
    required = found.get("required", ())
    return [
        (f"**`{name}`**" if name in required else f"`{name}`", type_of(told), plain(told.get("description")))
        for name, told in found.get("properties", {}).items()
    ]


def resolved(spec: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The object behind a reference, a list's items or a nullable."""
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            return resolved(spec, choice)
    if "$ref" in schema:
        return resolved(spec, spec["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    return resolved(spec, schema["items"]) if schema.get("type") == "array" else schema


def type_of(schema: dict[str, Any]) -> str:
    """A field's type in a few words; null, which means the default, goes without saying."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if "$ref" in schema:
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", schema["$ref"].rsplit("/", 1)[1]).lower()
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        items = type_of(schema.get("items", {}))
        return "list" if items == "any" else f"list of {items}"
    named = {"date-time": "instant", "uuid": "UUID"}.get(schema.get("format", ""), schema.get("type", "any"))
    return named + "".join(
        f", {sign} {schema[limit]}" for limit, sign in (("minimum", "≥"), ("maximum", "≤")) if limit in schema
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
