"""The wheel as it would be published."""

import subprocess
import sys
from pathlib import Path

from whole_stack import REPOSITORY

UV = Path(sys.executable).with_name("uv")


def build_wheel(folder: Path) -> Path:
    run(UV, "build", "--wheel", "--out-dir", folder, REPOSITORY)
    return next(folder.glob("*.whl"))


def run(*command: object) -> None:
    ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
