"""A cron as YAML in an editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato_cli.people.applying import assistant_ids, assistant_names
from ostinato_cli.people.crons_file import read_cron
from ostinato_cli.people.exits import PeopleError, UsageError
from ostinato_cli.people.plans import FixedFieldsError
from ostinato_cli.people.states import differences, exported, needs_replacement, patch_of, state_of, wanted
from ostinato_cli.people.yaml_text import dump

if TYPE_CHECKING:
    from ostinato_cli.people.server import Json, Server


async def edit_as_yaml(server: Server, cron: Json) -> Json:
    """The PATCH that a person's edit asks for, empty for none. Raises UsageError; the text is kept then."""
    actual = state_of(cron)
    names = await assistant_names(server, [cron["assistant_id"]])
    entry = {**exported(actual, names[cron["assistant_id"]]), "enabled": cron["enabled"]}
    path, text = _edited(dump(entry))
    try:
        edited = read_cron(text, str(path))
        ids = await assistant_ids(server, [edited.assistant])
        desired = wanted(edited, ids[edited.assistant], None)
        changes = differences(edited, actual, desired)
        if fixed := needs_replacement(changes):
            raise FixedFieldsError([(edited.name or cron["cron_id"], fixed)])
    except PeopleError as error:
        raise UsageError(f"{error}\nNothing was changed; your text is kept in {path}.") from None
    _remove(path)
    return patch_of(changes)


def _edited(text: str) -> tuple[Path, str]:
    """Where the text lies, and what the person has made of it."""
    descriptor, name = tempfile.mkstemp(prefix="ostinato-", suffix=".yaml")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    _open(path := Path(name))
    return path, path.read_text(encoding="utf-8")


def _remove(path: Path) -> None:
    path.unlink()


def _open(path: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        code = subprocess.run([*shlex.split(editor), str(path)], check=False).returncode  # noqa: S603 - the person's own
    except OSError as error:
        raise UsageError(f"{editor}: {error.strerror}. Set EDITOR, or use options.") from None
    if code:
        raise UsageError(f"{editor} ended with {code}; nothing was changed. Your text is kept in {path}.")
