import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_lines():
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


def test_the_table_of_results_is_the_measured_one():
    tables = ("baselines", "trust", "review_efficiency", "review_throughput", "negative_flips")
    for table in (*tables, "faults"):
        measured = (ROOT / "experiments" / "results" / f"{table}.md").read_text(encoding="utf-8")
        assert measured.strip() in README


def test_every_file_that_is_named_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.slow
def test_the_commands_run_as_written(demo, label_studio_environment):
    """The make targets, MLflow's own commands and the backend have tests of their own.

    The second training takes one pass over the labels, and the bake-off two folds, to end in
    seconds.
    """
    environment = demo.root / ".label-studio" / "venv"
    environment.parent.mkdir()
    environment.symlink_to(label_studio_environment)
    elsewhere = (
        "make ",
        "mlflow ui",
        "MLFLOW_TRACKING_URI=",
        "python experiments/",
        "tagger review backend",
    )
    # What says something with exit code 1: suspect labels, and a gate that refuses.
    matters = ("tagger labels audit", "tagger promote")
    ran = 0
    for line in shell_lines():
        if line == "make label-studio":
            demo.make("label-studio", f"PORT={demo.port}")
        if line.startswith(elsewhere):
            continue
        assert line.startswith("tagger "), line
        if line == "tagger train --compatible-with champion":
            line += " --epochs 1 --max-tokens 64"
        if line.startswith("tagger bakeoff "):
            line += " --folds 2"
        demo.run("bash", "-c", line, codes=(0, 1) if line.startswith(matters) else (0,))
        ran += 1
    assert ran >= 21
