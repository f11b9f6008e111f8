import re
from pathlib import Path

import pytest

from tagger.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_lines():
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


def test_the_table_of_results_is_the_measured_one():
    for table in ("baselines",):
        measured = (ROOT / "experiments" / "results" / f"{table}.md").read_text(encoding="utf-8")
        assert measured.strip() in README


def test_every_file_that_is_named_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.slow
def test_the_commands_run_as_written(demo):
    """The make targets and the MLflow page have tests of their own beside this one."""
    assert app.registered_commands
    elsewhere = ("make demo", "make test", "mlflow ui", "python experiments/")
    ran = 0
    for line in shell_lines():
        if line.startswith(elsewhere):
            continue
        assert line.startswith("tagger "), line
        demo.run("bash", "-c", line)
        ran += 1
    assert ran >= len(app.registered_commands)
