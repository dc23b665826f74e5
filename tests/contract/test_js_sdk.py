"""Run the JavaScript side of the contract with Node's own test runner."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from javascript import NODE, install
from whole_stack import running_dev

SUITE = Path(__file__).parent / "js"


@pytest.mark.timeout(300)
def test_official_javascript_sdk_finds_what_it_expects(tmp_path: Path) -> None:
    folder = tmp_path / "js"
    shutil.copytree(SUITE, folder, ignore=shutil.ignore_patterns("node_modules"))
    install(folder)

    with running_dev(tmp_path / "data", "--no-flower") as dev:
        ended = subprocess.run(
            [str(NODE), "--test", "--test-reporter=tap", "contract.test.mjs"],
            cwd=folder, env={**os.environ, "OSTINATO_URL": dev.url}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert ended.returncode == 0, ended.stdout + ended.stderr
