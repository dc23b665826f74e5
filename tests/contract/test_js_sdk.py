"""Run the JavaScript side of the contract with Node's own test runner."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from api_worker import write_graphs
from javascript import NODE, install
from whole_stack import running_dev

SUITE = Path(__file__).parent / "js"


@pytest.mark.timeout(300)
def test_official_javascript_sdk_finds_what_it_expects(tmp_path: Path) -> None:
    with running_dev(tmp_path / "data", "--no-flower") as dev:
        passes("contract.test.mjs", tmp_path / "js", url=dev.url)


@pytest.mark.timeout(300)
def test_runs_are_stopped_answered_and_displaced_through_javascript(tmp_path: Path) -> None:
    with running_dev(tmp_path / "data", "--no-flower", config=write_graphs(tmp_path)) as dev:
        passes("runs.test.mjs", tmp_path / "js", url=dev.url)


def passes(suite: str, folder: Path, *, url: str) -> None:
    shutil.copytree(SUITE, folder, ignore=shutil.ignore_patterns("node_modules"))
    install(folder)
    ended = subprocess.run(
        [str(NODE), "--test", "--test-reporter=tap", suite],
        cwd=folder, env={**os.environ, "OSTINATO_URL": url}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
