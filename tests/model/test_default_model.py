"""The model that ships with tagger: what it was made from, and whether making it is repeatable."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.samples import contents, label_line, page
from helpers.scripts import load_script
from helpers.tiny_encoder import save_tiny_encoder

from tagger.model import decide, load_model
from tagger.papers import read_papers
from tagger.training import TrainingSettings

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "tagger" / "default_model"
MOST_MEGABYTES = 30


@pytest.fixture
def script():
    """The script that makes the model."""
    return load_script("default_model")


@pytest.fixture(scope="module")
def record():
    if not SHIPPED.is_dir():
        pytest.skip("no model ships with this checkout: make model")
    return json.loads((SHIPPED / "training.json").read_text(encoding="utf-8"))


def test_it_was_made_from_the_labels_and_settings_that_are_there(record, script):
    assert record["inputs"] == script.input_hashes(), "make model"
    assert TrainingSettings(**record["settings"]) == script.SETTINGS
    assert record["labels_without_text"] == 0


def test_it_is_whole_small_and_without_texts_of_others(record):
    model = load_model(SHIPPED)
    assert record["model"] == model.digest
    assert model.taxonomy.version in (SHIPPED / "card.md").read_text(encoding="utf-8")
    names = {path.name for path in SHIPPED.iterdir()}
    assert "encoder.float32.onnx" not in names
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < MOST_MEGABYTES * 2**20


@pytest.mark.training
def test_the_same_inputs_give_the_same_bytes(script, label_folder, tmp_path, monkeypatch):
    real = [label_line(title, text=None, source="review", queue="audit") for title in "ABCDEF"]
    (label_folder / "real.jsonl").write_text("\n".join([*real, label_line("G", text=None)]))
    (tmp_path / "page.txt").write_text(page(*"ABCDEF"), encoding="utf-8")
    encoder = str(save_tiny_encoder(tmp_path / "encoder"))
    quick = TrainingSettings(encoder=encoder, epochs=1, folds=2, max_tokens=32)
    monkeypatch.setattr(script, "SETTINGS", quick)
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setenv("TAGGER_CACHE", "off")
    for name in ("one", "two"):
        record = script.make([tmp_path / "page.txt"], tmp_path / name)
    assert (record["labels"], record["labels_without_text"]) == (18, 1)
    assert record["figures"]["kind"]["papers"] == 6
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert "sampled at random" in (tmp_path / "one" / "card.md").read_text(encoding="utf-8")


@pytest.mark.acceptance
@pytest.mark.real_encoder
def test_made_anew_it_gives_the_same_tags(record, shared, tmp_path):
    texts = [shared / "gold", shared / "digests"]
    script = ROOT / "scripts" / "default_model.py"
    subprocess.run(
        [sys.executable, script, *texts, "--target", tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TAGGER_CACHE": "off"},
        check=True,
    )
    papers = list(read_papers([*shared.glob("digests/*.txt"), shared / "gold" / "dev2.jsonl"]))
    before, after = (load_model(folder) for folder in (SHIPPED, tmp_path))
    tags = [
        [
            found.tags
            for found in decide(
                papers, model.predict_proba(papers), model.taxonomy, model.name, model.rule()
            )
        ]
        for model in (before, after)
    ]
    assert sum(map(dict.__eq__, *tags)) >= 0.99 * len(papers)
