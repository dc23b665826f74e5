"""Import the object that a line of langgraph.json names, and say where the user's code failed when it does."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato_shared.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import ModuleType

OURS = str(Path(__file__).parent)
LIBRARIES = ("<frozen", sysconfig.get_path("stdlib"), OURS)


def import_object(reference: str, *, root: Path, label: str, dependencies: Collection[str] = ()) -> Any:
    """The object that `./file.py:name` or `package.module:name` names.

    Args:
        reference: the text in langgraph.json; a file is looked up from `root`.
        root: the folder of langgraph.json.
        label: what the reference is for, such as "Graph 'agent'": the error begins with it.
        dependencies: the requirements of langgraph.json, for the advice when a package is missing.
    """
    place, _, attribute = reference.rpartition(":")
    if not place or not attribute.isidentifier():
        raise ProjectError(
            f"{label}: {reference!r} is not a place of a graph. Write './file.py:name' or 'package.module:name'."
        )
    try:
        module = _import_place(place, root=root, label=label)
    except ProjectError:
        raise
    except (Exception, SystemExit) as error:
        raise ProjectError(_import_failure(error, reference, label=label, dependencies=dependencies)) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ProjectError(f"{label}: {place} has no {attribute!r}.{_suggestion(module, attribute)}") from None


def where(error: BaseException) -> str:
    """`file:line` of the user's code that is nearest to the error; empty when none of it took part."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(LIBRARIES) and "site-packages" not in frame.filename:
            return f"{frame.filename}:{frame.lineno}"
    return ""


def _import_place(place: str, *, root: Path, label: str) -> ModuleType:
    if not ("/" in place or "\\" in place or place.endswith(".py")):
        return importlib.import_module(place)
    file = (root / place).resolve()
    if file.suffix in {".js", ".mjs", ".cjs", ".ts", ".mts"}:
        raise ProjectError(f"{label}: {place} is JavaScript. Ostinato runs graphs that are written in Python.")
    if not file.is_file():
        raise ProjectError(
            f"{label}: there is no file {file}. Paths in langgraph.json start from its own folder, {root}."
        )
    name = _natural_name(file)
    return importlib.import_module(name) if name else _import_file(file)


def _natural_name(file: Path) -> str | None:
    """The dotted name under which Python itself finds this file: a second copy of a module doubles its classes."""
    ancestors = {Path(entry or ".").resolve() for entry in sys.path} & set(file.parents)
    for entry in sorted(ancestors, key=lambda path: len(path.parts), reverse=True):
        parts = file.relative_to(entry).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        # A path entry within a package would cut the package's relative imports.
        if (entry / "__init__.py").exists() or not parts or not all(part.isidentifier() for part in parts):
            continue
        name = ".".join(parts)
        if _origin(name) == file:
            return name
    return None


def _origin(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            return None
        raise  # the package of the file imports something that is missing
    except ValueError:  # a module without a spec, such as __main__
        return None
    return Path(spec.origin).resolve() if spec and spec.origin else None


def _import_file(file: Path) -> ModuleType:
    # In sys.modules, since type hints and pickling look their module up there.
    name = f"ostinato_graph_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ProjectError(f"{file} is not a Python file. Name a file that ends in .py.")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_failure(error: BaseException, reference: str, *, label: str, dependencies: Collection[str]) -> str:
    place = where(error)
    at = f" at {place}" if place else ""
    message = f"{label}: importing {reference} failed{at}: {type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{message}. {_missing_module(error.name, dependencies)}"
    if isinstance(error, ImportError) and "relative import" in str(error):
        return f"{message}. Name the folder that holds the file's package in `dependencies` of langgraph.json."
    return message


def _missing_module(name: str, dependencies: Collection[str]) -> str:
    top = name.partition(".")[0]
    if top != name and top in sys.modules:
        return f"{top} is there, but has no {name}: check the import, and the version of {top}."
    declared = (need for need in dependencies if need.lower().replace("-", "_").startswith(top.lower()))
    return (
        f"Is it a package, `pip install {next(declared, top)}` in the environment that runs ostinato ({sys.prefix}). "
        "Is it a module of yours, name its folder in `dependencies` of langgraph.json."
    )


def _suggestion(module: ModuleType, attribute: str) -> str:
    near = difflib.get_close_matches(attribute, [name for name in vars(module) if not name.startswith("__")])
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
