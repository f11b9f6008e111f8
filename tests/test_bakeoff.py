import json

import pytest
from helpers.samples import run
from helpers.tiny_encoder import save_tiny_encoder

from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.training import TrainingSettings, bake_off, bundled_encoder_folder

FROZEN = TrainingSettings(epochs=0, folds=2, max_tokens=32)


@pytest.fixture
def given(label_folder):
    store = LabelStore(label_folder)
    return store.labels(), store.taxonomy


def test_an_encoder_is_no_better_than_itself(given):
    first, second = bake_off(*given, ["bundled-minilm", str(bundled_encoder_folder())], FROZEN)
    assert first.against_first is None
    assert second.against_first.verdict == "no difference"
    assert first.figures == second.figures
    for facet in second.against_first.facets:
        assert facet.same_fold == facet.papers == 12
        assert facet.figures["macro_f1"].interval == (0, 0)
    assert first.seconds > 0 < first.seconds_per_100


@pytest.mark.parametrize(
    ("encoders", "problem"),
    [
        (["a", "a"], "named twice"),
        (["bundled-minilm", "./nowhere"], r"'\./nowhere' cannot be loaded"),
    ],
)
def test_a_wrong_name_is_found_out_first(given, encoders, problem):
    with pytest.raises(TaggerError, match=problem):
        bake_off(*given, encoders, FROZEN, lambda *_: pytest.fail("early"))


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
    assert not (root / "mlruns").exists()
