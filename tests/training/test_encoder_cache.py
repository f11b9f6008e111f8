import os
from dataclasses import replace

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from tagger.model.vector_cache import CACHE_VARIABLE
from tagger.training import EncoderCache, default_encoder_cache
from tagger.training.encoders import EncoderPlan
from tagger.training.settings import FineTuning

TUNING = FineTuning(max_tokens=32, epochs=1)


@pytest.fixture
def encoder(tmp_path):
    """The folder of an exported encoder of a kilobyte."""
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "encoder.onnx").write_bytes(b"\0" * 1000)
    (tmp_path / "encoder" / "tokenizer.json").write_text("{}")
    return tmp_path / "encoder"


def test_an_encoder_comes_back_as_it_was(tmp_path, encoder):
    cache = EncoderCache(tmp_path / "cache")
    assert not cache.get("a", tmp_path / "first")
    cache.put("a", encoder)
    cache.put("a", encoder)
    assert EncoderCache(tmp_path / "cache").get("a", tmp_path / "first")
    for name in ("encoder.onnx", "tokenizer.json"):
        assert (tmp_path / "first" / name).read_bytes() == (encoder / name).read_bytes()
    assert not cache.get("b", tmp_path / "second")
    assert not (tmp_path / "second").exists()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["a"]


@pytest.mark.parametrize("file", ["encoder.onnx", "tokenizer.json", "sha256"])
@pytest.mark.parametrize("content", [None, b"", b"\xff other"])
def test_a_damaged_encoder_is_thrown_away(tmp_path, encoder, file, content):
    cache = EncoderCache(tmp_path / "cache")
    cache.put("a", encoder)
    (tmp_path / "cache" / "a" / file).unlink()
    if content is not None:
        (tmp_path / "cache" / "a" / file).write_bytes(content)
    assert not cache.get("a", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    cache.put("a", encoder)
    assert cache.get("a", tmp_path / "copy")


def test_the_least_recently_used_go_first(tmp_path, encoder):
    folder = tmp_path / "cache"
    roomy = EncoderCache(folder)
    for age, name in enumerate(["new", "used", "old", "half-written"]):
        roomy.put(name, encoder)
        os.utime(folder / name, (1000 - age, 1000 - age))
    assert roomy.get("used", tmp_path / "copy")
    EncoderCache(folder, limit=2500).put("last", encoder)
    assert sorted(path.name for path in folder.iterdir()) == ["last", "used"]
    EncoderCache(folder, limit=1).put("alone", encoder)
    assert [path.name for path in folder.iterdir()] == ["alone"]


def test_a_cache_that_cannot_be_used_is_done_without(tmp_path, encoder, monkeypatch):
    (tmp_path / "file").write_text("")
    cache = EncoderCache(tmp_path / "file" / "cache")
    cache.put("a", encoder)
    assert not cache.get("a", tmp_path / "copy")
    monkeypatch.setenv(CACHE_VARIABLE, "off")
    assert default_encoder_cache() is None
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "chosen"))
    assert default_encoder_cache().folder.parent == tmp_path / "chosen"


def test_the_key_follows_every_input(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    tag = ClassLabel(names=["a", "b"])
    features = Features({"text": Value("string"), "tags.kind": tag, "tags.field": List(tag)})
    rows = {"text": ["a", "b"], "tags.kind": [0, None], "tags.field": [[0, 1], []]}

    def examples(**change):
        return Dataset.from_dict(rows | change, features)

    plan = EncoderPlan("", examples(), TUNING)

    def key(arithmetic="cpu", **change):
        return replace(plan, **change).cache_key(arithmetic)

    changes = [
        {"examples": examples(text=["a", "c"])},
        {"examples": examples(**{"tags.kind": [0, 1]})},
        {"examples": examples(**{"tags.field": [[0, 1], None]})},
        {"examples": examples().rename_column("tags.kind", "tags.form")},
        {"examples": examples().cast_column("tags.kind", ClassLabel(names=["a", "c"]))},
        {"tuning": replace(TUNING, seed=1)},
        {"arithmetic": "cuda"},
        {"float32": True},
        {"tuning": replace(TUNING, encoder=str(tmp_path))},
    ]
    keys = {key(), *(key(**change) for change in changes)}
    assert len(keys) == 1 + len(changes)
    assert key(tuning=replace(TUNING)) in keys
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert key(**changes[-1]) not in keys
    monkeypatch.setattr("tagger.training.encoders.CACHE_VERSION", 0)
    assert key() not in keys
    # Without its weights at hand, an encoder is known by a name alone, which says too little.
    assert key(tuning=replace(TUNING, encoder="./mine")) is None
