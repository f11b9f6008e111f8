"""Short runs of experiments/kills.py, which kills every command, and of experiments/fuzz.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.acceptance


def experiment(name, *options):
    """Run an experiment, which must succeed, and return what it printed."""
    done = subprocess.run(
        [sys.executable, ROOT / "experiments" / name, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_kill_before_any_write_costs_nothing(tmp_path):
    commands = ("review pull", "tag by definitions", "taxonomy rename", "init")
    only = [word for name in commands for word in ("--only", name)]
    experiment("kills.py", "--kills", "20", "--output", str(tmp_path), *only)
    outcomes = json.loads((tmp_path / "kills.json").read_text(encoding="utf-8"))["figures"]
    assert {outcome["command"] for outcome in outcomes} == set(commands)
    for outcome in outcomes:
        assert outcome["kills"] == outcome["equal"] >= 4
        assert outcome["at_writes"] >= 2


def test_a_thousand_inputs_end_well(tmp_path):
    numbers = ("--inputs", "1000", "--seconds", "600", "--seed", "7")
    experiment("fuzz.py", *numbers, "--output", str(tmp_path))
    (run,) = json.loads((tmp_path / "fuzz.json").read_text(encoding="utf-8"))["figures"]
    tried = [count["inputs"] for count in run["targets"].values()]
    assert len(tried) >= 25
    assert min(tried) >= 1
    assert sum(tried) > 900
