"""A short run of the fuzzer: it starts, finds nothing, and would find something."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
FUZZ = EXPERIMENTS / "fuzz.py"


@pytest.fixture
def experiments(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))


@pytest.mark.acceptance
def test_a_thousand_inputs_end_well():
    command = [sys.executable, FUZZ, "--inputs", "1000", "--seconds", "60", "--seed", "7"]
    done = subprocess.run(
        [*command, "--no-record"], cwd=EXPERIMENTS.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    tried = [int(line.split(" inputs")[0].split()[-1]) for line in done.stdout.splitlines()]
    assert len(tried) >= 25
    assert min(tried) >= 1
    assert sum(tried) > 900


def test_what_ends_badly_is_counted(experiments, monkeypatch, tmp_path):
    import fuzz
    import fuzz_targets

    def run(content):
        if len(content) % 7 == 1:
            raise KeyError(content)
        if len(content) % 7 == 2:
            while True:
                pass
        if len(content) % 7 == 3:
            bytearray(200 * 2**20)

    target = fuzz_targets.Target("bad", [b"a" * 70], "bytes", run, 1)
    monkeypatch.setattr(fuzz_targets, "make_targets", lambda folder: [target])
    monkeypatch.setattr(fuzz, "KEPT", tmp_path)
    monkeypatch.setattr(fuzz, "LEAST_SECONDS", 0.02)
    count = fuzz.fuzz("bad", 60, 0, float("inf"))
    assert count.inputs == 60
    assert min(count.crashes, count.hangs, count.memory) >= 1
    assert {"hang", "memory"} < set(count.reasons)
    assert len(list(tmp_path.glob("*.bin"))) == 3


def test_the_same_seed_gives_the_same_inputs(experiments):
    from mutations import spoil, spoil_archive, spoil_json

    for change, *given in (
        (spoil, b"title,abstract\na,b\n", [b"x"]),
        (spoil_json, {"a": [1, "b"]}),
        (spoil_archive, {"a": b"one", "b": b"two"}),
    ):
        first, again = ([str(change(Random(n), *given)) for n in range(30)] for _ in range(2))
        assert again == first
        assert len(set(first)) > 15
