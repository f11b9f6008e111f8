"""The Python example of the README, run as written on a small store and few labels."""

import re
import shutil
from pathlib import Path

import pytest
from helpers.tiny_model import save_tiny_model
from helpers.tiny_training import log_tiny

from tagger.model import load_model
from tagger.registry import Registry
from tagger.taxonomy_file import load_taxonomy

ROOT = Path(__file__).parents[2]


@pytest.mark.mlflow
def test_the_python_example_runs_as_written(quick, tmp_path, monkeypatch, capsys):
    [example] = re.findall(
        r"^```python\n(.*?)^```",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(ROOT / "examples", "examples")
    Path("labels").mkdir()
    shutil.copy(ROOT / "labels" / "taxonomy.yaml", "labels")
    lines = (ROOT / "labels" / "seed.jsonl").read_text(encoding="utf-8").splitlines()
    Path("labels", "seed.jsonl").write_text("\n".join(lines[::3]), encoding="utf-8")
    taxonomy = load_taxonomy("labels/taxonomy.yaml")
    saved = save_tiny_model(tmp_path / "saved" / "model", taxonomy)
    log_tiny(Registry(), Path("labels"), saved)
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "contribution" in printed
    assert 0 <= float(printed.split()[-1]) <= 1
    assert load_model("my-model").taxonomy == taxonomy
