"""YAML as JSON's values: no dates, no `on` and `yes` as booleans, no 12:30 as a number, no key twice."""

from __future__ import annotations

import re
from typing import Any

import yaml

from ostinato_cli.people.exits import UsageError

NULL, BOOL, INT, FLOAT = (f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float"))
MERGE = "tag:yaml.org,2002:merge"
RULES: tuple[tuple[str, str, str], ...] = (
    (NULL, r"~|null|Null|NULL|", "~nN\0"),
    (BOOL, r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (INT, r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (FLOAT, r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    (MERGE, r"<<", "<"),
)


class Loader(yaml.CSafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own form


class Dumper(yaml.SafeDumper):
    """Quotes what either YAML 1.1 or the rules above would read as anything but text."""

    yaml_implicit_resolvers = {key: list(rules) for key, rules in yaml.SafeDumper.yaml_implicit_resolvers.items()}  # noqa: RUF012 - likewise

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's hook
        return True


for _tag, _pattern, _first in RULES:
    _letters = ["" if letter == "\0" else letter for letter in _first]
    Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _letters)
    if _tag in {INT, FLOAT}:
        Dumper.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _letters)
Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def load(text: str, place: str) -> tuple[Any, yaml.Node | None]:
    """The value and its nodes, which know their lines. Raises UsageError `place:line: ...`."""
    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, None
            _check_keys(node, place)
            return loader.construct_document(node), node
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UsageError(f"{place}:{mark.line + 1 if mark else 1}: {error.problem or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{place}: not YAML: {str(error).splitlines()[0]}") from None


def dump(value: Any) -> str:
    """YAML in the order of the keys."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


def line_of(node: yaml.Node | None, path: tuple[str | int, ...]) -> int:
    """The line, from 1, of what a path leads to, or of the last part of it that is there."""
    line = 1
    for part in path:
        following = None
        if isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, value) for key, value in node.value}
            if part in pairs:
                key, following = pairs[part]
                line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            following = node.value[part]
            line = following.start_mark.line + 1
        if following is None:
            break
        node = following
    return line


def _check_keys(root: yaml.Node, place: str) -> None:
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            known: set[str] = set()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.value in known:
                    shown = (
                        "this key must be a text" if not isinstance(key, yaml.ScalarNode) else f"{key.value!r} twice"
                    )
                    raise UsageError(f"{place}:{key.start_mark.line + 1}: {shown}")
                if key.tag != MERGE:
                    key.tag = "tag:yaml.org,2002:str"  # as in JSON
                known.add(key.value)
                waiting.append(value)
