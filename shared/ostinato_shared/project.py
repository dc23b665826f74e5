"""Read langgraph.json: environment, import paths and graphs of the user's project."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import structlog
from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from ostinato_shared.errors import ProjectError
from ostinato_shared.graphs import GraphSource, graph_source
from ostinato_shared.user_modules import import_object
from ostinato_shared.webhook_section import Webhooks, WebhooksSection, build_webhooks

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

# Each of these would change who may call the server, what it keeps or whom it calls: ignoring one is no choice.
REFUSED = {
    "auth": "without it everybody who reaches the server may use it",
    "encryption": "without it what should be encrypted would be stored as it is",
    "http": "without it routes stay open, or missing, that it closes or adds",
    "store": "without it items would be kept for ever, and found otherwise than configured",
    "checkpointer.ttl": "without it threads would be kept for ever",
}
# About building images and about LangGraph's own tools: nothing to a server that runs in the user's environment.
IRRELEVANT = {
    *("$schema", "api_version", "base_image", "dockerfile_lines", "image_distro", "keep_pkg_tools", "node_version"),
    *("pip_config_file", "pip_installer", "python_version", "ui", "ui_config"),
}

VariableName = Annotated[str, StringConstraints(pattern=r"^[^=\x00]+$")]
VariableValue = Annotated[str, Field(pattern=r"^[^\x00]*$", coerce_numbers_to_str=True)]


class GraphEntry(BaseModel):
    path: str
    description: str | None = None


class ProjectFile(BaseModel):
    """The sections of langgraph.json that Ostinato acts on; the others are looked at in `load_project`."""

    model_config = ConfigDict(extra="allow")

    graphs: dict[Annotated[str, Field(min_length=1)], str | GraphEntry] = Field(min_length=1)
    dependencies: list[str] = []
    env: dict[VariableName, VariableValue] | str = {}
    checkpointer: dict[str, Any] | None = None
    webhooks: WebhooksSection | None = None


@dataclass(frozen=True)
class Project:
    """The user's graphs, imported, and where webhooks may go; `assistant_configs` comes from LANGGRAPH_CONFIG."""

    root: Path
    graphs: dict[str, GraphSource]
    assistant_configs: dict[str, dict[str, Any]] = field(default_factory=dict)  # by graph's name
    webhooks: Webhooks = field(default_factory=Webhooks)


def load_project(config_path: Path) -> Project:
    """The project that this langgraph.json describes, its environment applied and its graphs imported.

    Raises:
        ProjectError: the file or something that it names cannot be used; the message says what to do.
    """
    path = Path(config_path).absolute()
    file = _read(path)
    _refuse_unbuilt(file, path)
    _warn_unknown(file)
    _apply_env(file.env, path.parent)
    webhooks = build_webhooks(file.webhooks, environ=os.environ, allow_private_network=_is_on("ALLOW_PRIVATE_NETWORK"))
    _extend_path(file.dependencies, path.parent)
    graphs = {name: _load_graph(name, entry, file, path.parent) for name, entry in file.graphs.items()}
    return Project(root=path.parent, graphs=graphs, assistant_configs=_assistant_configs(graphs), webhooks=webhooks)


def _read(path: Path) -> ProjectFile:
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ProjectError(
            f"There is no {path}. Go to the folder of your langgraph.json, or name the file by --config."
        ) from None
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {error.strerror}. --config names a langgraph.json file.") from error
    except json.JSONDecodeError as error:
        raise ProjectError(f"{path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise ProjectError(f"{path} is not JSON in UTF-8: {error}.") from error
    if isinstance(raw, dict) and not raw.get("graphs"):
        raise ProjectError(f'{path} names no graphs. Add "graphs": {{"agent": "./agent.py:graph"}}.')
    try:
        return ProjectFile.model_validate(raw)
    except ValidationError as error:
        raise ProjectError(f"{path} does not fit: {_faults(error)}.") from error


def _faults(error: ValidationError) -> str:
    """Place and reason of each fault, never the value: it may be a secret."""
    faults = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]
    return "; ".join(f"{place}: {message}" if place else message for place, message in faults)


def _refuse_unbuilt(file: ProjectFile, path: Path) -> None:
    sections = {**(file.model_extra or {}), "checkpointer.ttl": (file.checkpointer or {}).get("ttl")}
    found = [name for name in REFUSED if sections.get(name) is not None]
    if found:
        reasons = "; ".join(f"{name}: {REFUSED[name]}" for name in found)
        raise ProjectError(
            f"{path} has {', '.join(found)}: not supported yet by this version of Ostinato. Remove it, or name a copy "
            f"of the file without it by --config; ignoring it would be unsafe ({reasons})."
        )


def _warn_unknown(file: ProjectFile) -> None:
    unknown = {name for name in file.model_extra or {} if name not in IRRELEVANT and name not in REFUSED}
    unknown |= {f"checkpointer.{name}" for name in file.checkpointer or {} if name != "ttl"}
    for name in sorted(unknown):
        log.warning("project_key_unknown", key=name)


def _apply_env(env: dict[str, str] | str, root: Path) -> None:
    if isinstance(env, str):
        file = root / env
        if not file.is_file():
            raise ProjectError(f'There is no {file}, which "env" of langgraph.json names. Make it, or remove the line.')
        env = {name: value for name, value in dotenv_values(file).items() if value is not None}
    for name, value in env.items():
        os.environ.setdefault(name, value)


def _is_on(name: str) -> bool:
    """Whether this switch of the environment is on. Raises ProjectError for what is neither yes nor no."""
    try:
        return TypeAdapter(bool).validate_python(os.environ.get(name) or "false")
    except ValidationError as error:
        raise ProjectError(f"The environment variable {name} must be true or false.") from error


def _extend_path(dependencies: list[str], root: Path) -> None:
    local = [dependency for dependency in dependencies if dependency.startswith((".", "/", "~"))]
    folders = [folder for dependency in local for folder in _import_folders(root, dependency)]
    # Appended: a user's package called `shared` or `api` must not hide one that is installed.
    for folder in [*folders, root]:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    importlib.invalidate_caches()
    for dependency in dependencies:
        if dependency not in local and _is_missing(dependency):
            log.warning("project_dependency_missing", dependency=dependency, environment=sys.prefix)


def _import_folders(root: Path, dependency: str) -> list[Path]:
    """The folders that make this local dependency importable, as installing it would."""
    folder = (root / Path(dependency).expanduser()).resolve()
    if not folder.is_dir():
        raise ProjectError(f'There is no folder {folder}, which "dependencies" of langgraph.json names.')
    if (folder / "__init__.py").is_file():
        return [folder.parent, folder]
    sources = folder / "src"
    return [sources, folder] if sources.is_dir() and not (sources / "__init__.py").is_file() else [folder]


def _is_missing(requirement: str) -> bool:
    name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*(?=$|[\s\[<>=!~;@(])", requirement)
    if name is None:  # a URL or a file: its package's name is not known without installing it
        return False
    try:
        importlib.metadata.distribution(name[0])
    except importlib.metadata.PackageNotFoundError:
        module = name[0].replace("-", "_")
        return not module.isidentifier() or importlib.util.find_spec(module) is None
    return False


def _load_graph(name: str, entry: str | GraphEntry, file: ProjectFile, root: Path) -> GraphSource:
    if isinstance(entry, str):
        entry = GraphEntry(path=entry)
    target = import_object(entry.path, root=root, label=f"Graph {name!r}", dependencies=file.dependencies)
    return graph_source(name, target, description=entry.description)


def _assistant_configs(graphs: dict[str, GraphSource]) -> dict[str, dict[str, Any]]:
    text = os.environ.get("LANGGRAPH_CONFIG")
    if not text:
        return {}
    try:
        configs = TypeAdapter(dict[str, dict[str, Any]]).validate_json(text)
    except ValidationError as error:
        raise ProjectError(
            f"LANGGRAPH_CONFIG must be JSON, configs by graph's name: {_faults(error)}. "
            "The file langgraph.json is named by --config or OSTINATO_CONFIG."
        ) from error
    for name in configs.keys() - graphs.keys():
        log.warning("project_config_without_graph", graph=name)
    return {name: config for name, config in configs.items() if name in graphs}
