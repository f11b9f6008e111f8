"""One demo run in a copy of the project, shared by the tests that look at what it left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Demo:
    """A copy of the project in which ``make demo`` was run with this environment's programs."""

    root: Path
    output: str

    def make(self, *arguments: str) -> str:
        """Run make, with this environment in place of the one that it would install."""
        venv = sys.prefix
        return self.run("make", "-o", f"{venv}/.installed", f"VENV={venv}", *arguments)

    def run(self, *command: str) -> str:
        """Run a command in the copy and return what it printed; it must succeed."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "COLUMNS": "120"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo as a new user runs it: real encoder, shipped labels, default settings."""
    root = tmp_path_factory.mktemp("demo") / "main"
    root.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "labels", "examples"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, root / name)
    if (ROOT.parent / "shared").is_dir():
        (root.parent / "shared").symlink_to(ROOT.parent / "shared")
    return Demo(root, Demo(root, "").make("demo"))
