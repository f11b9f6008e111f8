from dataclasses import replace
from itertools import product

import pytest
from helpers.samples import QUICK, label_line, refused, run, write_labels
from helpers.tiny_encoder import save_tiny_encoder

from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.registry import Registry, settings_of
from tagger.training import EncoderCache, EncoderSource, TrainingData, TrainingSettings, train

TOPICS = [
    ("survey", ["heart"], "survey heart drug"),
    ("method", ["law"], "network court judge"),
    ("study", [], "question trial trial"),
]


def add_labels(folder, numbers):
    with (folder / "seed.jsonl").open("a", encoding="utf-8") as file:
        for number, (kind, field, text) in product(numbers, TOPICS):
            text = f"{text} {'heart court'[:number]}"
            tags = {"kind": [kind], "field": field}
            print(label_line(f"{kind} {number}", text=text, tags=tags), file=file)
    return LabelStore(folder)


def folds_of(result):
    kind = result.out_of_fold[0]
    return dict(zip(kind.ids, (kind.folds - 1).tolist(), strict=True))


@pytest.fixture(scope="module")
def grown(tmp_path_factory, taxonomy):
    """A model as the source of encoders, and a store that has grown since it was trained."""
    root = tmp_path_factory.mktemp("grown")
    folder = write_labels(root / "labels", taxonomy)
    (folder / "seed.jsonl").unlink()
    store = add_labels(folder, range(6))
    settings = TrainingSettings(
        encoder=str(save_tiny_encoder(root / "encoder")), epochs=0, folds=2, max_tokens=32
    )
    before = train(store.labels(), store.taxonomy, settings, root / "before")
    data = TrainingData.of(store.labels(), store.taxonomy)
    source = EncoderSource("tagger/1", before.folder, data, folds_of(before))
    return source, add_labels(folder, range(6, 10)), settings


def test_the_encoder_stays_and_every_prediction_is_of_the_new_heads(grown, tmp_path):
    """Were predictions of older papers copied, a gate could not tell new heads from old ones."""
    source, store, settings = grown
    surveys = {"tags": {"kind": ("survey",), "field": ()}}
    labels = [
        label.model_copy(update=surveys) if label.tags["kind"] == ("method",) else label
        for label in store.labels()
    ]
    after = train(labels, store.taxonomy, settings, tmp_path / "after", source=source)
    for file in ("encoder.onnx", "tokenizer.json"):
        assert (after.folder / file).read_bytes() == (source.folder / file).read_bytes()
    kind = after.out_of_fold[0]
    assert set(kind.ids) == {label.id for label in labels}
    assert not kind.predicted[:, store.taxonomy.facet("kind").tag_names.index("method")].any()
    # No paper leaves the fold whose encoder has not seen it.
    assert folds_of(after).items() >= source.folds.items()


@pytest.mark.training
def test_the_encoders_are_those_of_the_folds_then(tmp_path, grown):
    source, store, settings = grown
    settings = replace(settings, epochs=1)
    cache = EncoderCache(tmp_path / "cache")
    inputs = source.data.labels, source.data.taxonomy, settings
    before = train(*inputs, tmp_path / "1", known_folds=source.folds, cache=cache)
    source = replace(source, folder=before.folder)
    grown_inputs = store.labels(), store.taxonomy, settings
    after = train(*grown_inputs, tmp_path / "2", source=source, cache=cache)
    assert (before.reused, after.reused) == (0, 2)
    again = train(*inputs, tmp_path / "3", source=source, cache=cache)
    assert again.metrics == pytest.approx(before.metrics)


def test_too_few_labels_to_keep_to_the_folds_are_refused(grown, tmp_path):
    source, store, settings = grown
    labels = [label for label in source.data.labels if source.folds[label.id] == 0]
    with pytest.raises(TaggerError, match=r"too few .* folds of tagger/1\. Train without"):
        train(labels, store.taxonomy, settings, tmp_path / "after", source=source)


@pytest.mark.parametrize(
    "option",
    [
        ["--float32"],
        ["--from-setfit", "checkpoint"],
        ["--recipe", "contrastive"],
        ["--encoder", "other"],
        ["--epochs", 2],
        ["--max-tokens", 256],
    ],
)
def test_an_option_of_another_encoder_is_refused(label_folder, option):
    refused(
        f"{option[0]} cannot be combined", "train", "--heads-only", *option, cwd=label_folder.parent
    )


@pytest.mark.training
def test_the_command_makes_a_version_on_the_champions_encoder(label_folder, tmp_path, monkeypatch):
    root = label_folder.parent
    encoder = save_tiny_encoder(tmp_path / "encoder")
    run("train", *QUICK[2:], "--encoder", encoder, cwd=root, code=0)
    add_labels(label_folder, range(3))
    for option in ("--folds", "--seed"):
        refused(f"{option} cannot be combined", "train", "--heads-only", option, 3, cwd=root)
    again = run("train", "--heads-only", cwd=root, code=0)
    assert "tagger/2 is now challenger" in again.stdout
    same = run("train", "--heads-only", "--if-changed", cwd=root)
    assert "Nothing new: tagger/2 was trained on the same inputs" in same.stdout
    run("compare", "1", "2", cwd=root, code=0)
    monkeypatch.chdir(root)
    registry = Registry()
    settings = settings_of(registry, registry.find("1"))
    assert (settings.encoder, settings.epochs, settings.folds) == (str(encoder), 5, 2)
    assert settings_of(registry, registry.find("2")) == settings
