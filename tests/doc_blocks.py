"""The code blocks and links of the README and of docs/, and what there is to hold them against."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING, Any

from whole_stack import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

DOCS = REPOSITORY / "docs"
WRITTEN_URL = "http://127.0.0.1:2024"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
INLINE_COMMAND = re.compile(r"`(ostinato [a-z][^`\n]*)`")


@dataclass(frozen=True)
class Block:
    document: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def file_name(self) -> str | None:
        """The name that its first line gives it: `# agent.py`."""
        found = re.match(r"# (\w+\.py)\n", self.text)
        return found[1] if found else None

    def commands(self) -> list[str]:
        """The commands of a block of bash, each with all of its lines."""
        found, so_far = [], ""
        for line in self.text.splitlines():
            so_far += line + "\n"
            if not line.endswith("\\") and is_whole(so_far):
                found.append(so_far.strip())
                so_far = ""
        assert not so_far.strip(), f"{self.place}: this is no whole command: {so_far}"
        return [command for command in found if command and not command.startswith("#")]


def is_whole(command: str) -> bool:
    """False in the middle of quotes (an error) and of a here-document (only a warning)."""
    done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
    return done.returncode == 0 and not done.stderr


def documents() -> list[str]:
    """README and docs, by their paths in the repository."""
    return ["README.md", *sorted(str(path.relative_to(REPOSITORY)) for path in DOCS.rglob("*.md"))]


def read(document: str) -> str:
    return (REPOSITORY / document).read_text()


def blocks(document: str) -> list[Block]:
    text = read(document)
    assert len(re.findall(r"^\s*```", text, re.MULTILINE)) == 2 * len(BLOCK.findall(text)), f"{document}: a stray ```"
    return [
        Block(document, text.count("\n", 0, found.start()) + 1, found[1], found[2]) for found in BLOCK.finditer(text)
    ]


def prose(document: str) -> str:
    """The document without its blocks."""
    return BLOCK.sub("", read(document))


def links(document: str) -> Iterator[tuple[Path, str]]:
    """The file and the anchor of each link that stays in the repository."""
    for one, other in LINK.findall(prose(document)):
        target = one or other
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield ((REPOSITORY / document).parent / path if path else REPOSITORY / document), anchor


def anchors(file: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", file.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def reference() -> ModuleType:
    """docs/make_reference.py."""
    spec = spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cli_commands() -> dict[tuple[str, ...], Any]:
    """Every command of `ostinato` that is shown, by its words."""
    made = reference()
    return dict(made.walk(made.get_command(made.cli)))


def environment(folder: Path, *, path: list[Path], **more: str) -> dict[str, str]:
    """What a reader's shell has: programs, a home, and curl that fails when the server refuses."""
    (folder / ".curlrc").write_text("fail-with-body\n")
    places = [str(place) for place in path] + [os.environ["PATH"]]
    return {"HOME": str(folder), "PATH": ":".join(places), "LANG": "C.UTF-8", **more}
