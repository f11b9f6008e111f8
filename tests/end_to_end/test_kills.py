"""A few of the kills of experiments/kills.py, which kills every command, 500 times in all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "kills.py"


@pytest.mark.acceptance
def test_a_kill_before_any_write_costs_nothing(tmp_path):
    commands = ("review pull", "tag by definitions", "taxonomy rename", "init")
    only = [word for name in commands for word in ("--only", name)]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", "20", "--output", str(tmp_path), *only],
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = json.loads((tmp_path / "kills.json").read_text(encoding="utf-8"))
    assert {outcome["command"] for outcome in outcomes} == set(commands)
    for outcome in outcomes:
        assert outcome["kills"] == outcome["equal"] >= 4
        assert outcome["at_writes"] >= 2
