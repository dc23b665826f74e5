"""The official page on cron jobs, in its own calls, against a whole Ostinato."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from javascript import NODE, install
from whole_stack import EXAMPLES, Dev, running_dev

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOURS = EXAMPLES.parent
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with running_dev(tmp_path_factory.mktemp("tours") / "data", "--no-flower") as running:
        yield running


@pytest.fixture(scope="module")
def js_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JavaScript tour beside the official SDK, installed by npm from a wheel's Node."""
    folder = tmp_path_factory.mktemp("js")
    for name in ("package.json", "tour.mjs"):
        shutil.copy(TOURS / name, folder / name)
    install(folder)
    return folder


def test_python_tour_fires_and_answers(dev: Dev) -> None:
    said = run([sys.executable, str(TOURS / "tour.py")], url=dev.url)

    assert said.count("Answer:") == 2, said


def test_javascript_tour_fires_and_answers(dev: Dev, js_folder: Path) -> None:
    said = run([str(NODE), str(js_folder / "tour.mjs")], url=dev.url)

    assert said.count("Answer:") == 2, said


def test_curl_tour_fires_and_answers(dev: Dev) -> None:
    said = run(["bash", str(TOURS / "tour.sh")], url=dev.url)

    assert said.count("Answer:") == 2, said


def run(command: list[str], *, url: str) -> str:
    ended = subprocess.run(
        command, env={**os.environ, "OSTINATO_URL": url}, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
