import json

import pytest
from helpers.samples import run
from helpers.tiny_encoder import save_tiny_encoder

from tagger.bakeoff import bake_off
from tagger.encoder import bundled_encoder_folder
from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.training import TrainingSettings

FROZEN = TrainingSettings(epochs=0, folds=2, max_tokens=32)


def test_an_encoder_is_no_better_than_itself(label_folder):
    store = LabelStore(label_folder)
    stages = []
    same = str(bundled_encoder_folder())
    first, second = bake_off(
        store.labels(),
        store.taxonomy,
        ["bundled-minilm", same],
        FROZEN,
        lambda stage, *_: stages.append(stage),
    )
    assert first.against_first is None
    assert second.against_first.verdict == "no difference"
    assert first.figures == second.figures
    for facet in second.against_first.facets:
        assert facet.same_fold == facet.papers == 12
        assert facet.figures["macro_f1"].interval == (0, 0)
    assert first.seconds > 0 < first.seconds_per_100


def test_encoders_are_named_once(label_folder):
    store = LabelStore(label_folder)
    with pytest.raises(TaggerError, match="named twice"):
        bake_off(store.labels(), store.taxonomy, ["a", "a"], FROZEN)


def test_an_encoder_that_is_not_there_is_found_out_first(label_folder):
    store = LabelStore(label_folder)
    encoders = ["bundled-minilm", "./nowhere"]
    with pytest.raises(TaggerError, match=r"'\./nowhere' cannot be loaded"):
        bake_off(store.labels(), store.taxonomy, encoders, FROZEN, lambda *_: pytest.fail("early"))


@pytest.mark.training
def test_the_command_says_better_or_worse(label_folder):
    root = label_folder.parent
    options = ("--folds", 2, "--max-tokens", 32, "--epochs", 0)
    command = ("bakeoff", *(save_tiny_encoder(root / name) for name in "ab"), *options)
    shown = run(*command, cwd=root)
    assert shown.returncode == 0, shown.stderr
    assert "no difference" in shown.stdout
    report = json.loads(run(*command, "--json", cwd=root).stdout)
    assert report["labels"] == 12
    assert report["encoders"][1]["against_first"]["verdict"] == "no difference"
    unknown = run("bakeoff", "./nowhere", *options, cwd=root)
    assert unknown.returncode == 2
    assert "the encoder './nowhere' cannot be loaded" in unknown.stderr
    assert not (root / "mlruns").exists()
