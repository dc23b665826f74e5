"""The commands of docs/cli.md, as they stand there, against a real api."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from api_setting import settings
from people_setting import open_people

if TYPE_CHECKING:
    from ostinato_shared.settings import Settings

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def stage(database_uri: str, redis_uri: str, tmp_path: Path) -> Settings:
    return settings(database_uri, redis_uri, tmp_path)


@pytest.mark.timeout(400)
def test_blocks_of_the_how_to_run(stage: Settings, tmp_path: Path) -> None:
    """`diff` too: there is no difference by then."""
    blocks = BLOCK.findall(DOCS.read_text())
    assert len(blocks) == 3
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    with open_people(stage, tmp_path) as people:
        done = subprocess.run(
            ["bash", "-eu", "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": path, "OSTINATO_URL": people.url},
        )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 to create, 0 unchanged" in done.stdout
    assert "no change: 2 crons as described" in done.stdout
