import os
from dataclasses import replace

import numpy as np
import pytest

from tagger.encoder_cache import EncoderCache, default_encoder_cache, key_of
from tagger.fine_tuning import ContrastiveTarget, FineTuning
from tagger.vector_cache import CACHE_VARIABLE

TUNING = FineTuning(max_tokens=32, epochs=1)


def an_encoder(folder, size=3):
    folder.mkdir(exist_ok=True)
    (folder / "encoder.onnx").write_bytes(b"\0" * size)
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_an_encoder_comes_back_as_it_was(tmp_path):
    cache = EncoderCache(tmp_path / "cache")
    assert not cache.get("a", tmp_path / "first")
    cache.put("a", an_encoder(tmp_path / "encoder"))
    cache.put("a", an_encoder(tmp_path / "encoder"))
    assert EncoderCache(tmp_path / "cache").get("a", tmp_path / "first")
    assert (tmp_path / "first" / "encoder.onnx").read_bytes() == b"\0\0\0"
    assert (tmp_path / "first" / "tokenizer.json").read_text() == "{}"
    assert not cache.get("b", tmp_path / "second")
    assert not (tmp_path / "second").exists()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["a"]


@pytest.mark.parametrize("file", ["encoder.onnx", "tokenizer.json", "sha256"])
@pytest.mark.parametrize("content", [None, b"", b"\xff other"])
def test_a_damaged_encoder_is_thrown_away(tmp_path, file, content):
    cache = EncoderCache(tmp_path / "cache")
    cache.put("a", an_encoder(tmp_path / "encoder"))
    (tmp_path / "cache" / "a" / file).unlink()
    if content is not None:
        (tmp_path / "cache" / "a" / file).write_bytes(content)
    assert not cache.get("a", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    cache.put("a", an_encoder(tmp_path / "encoder"))
    assert cache.get("a", tmp_path / "copy")


def test_the_least_recently_used_go_first(tmp_path):
    folder, big = tmp_path / "cache", an_encoder(tmp_path / "big", 1000)
    roomy = EncoderCache(folder)
    for age, name in enumerate(["new", "used", "old", "half-written"]):
        roomy.put(name, big)
        os.utime(folder / name, (1000 - age, 1000 - age))
    assert roomy.get("used", tmp_path / "copy")
    EncoderCache(folder, limit=2500).put("last", big)
    assert sorted(path.name for path in folder.iterdir()) == ["last", "used"]
    EncoderCache(folder, limit=1).put("alone", big)
    assert [path.name for path in folder.iterdir()] == ["alone"]


def test_a_cache_that_cannot_be_used_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    cache = EncoderCache(tmp_path / "file" / "cache")
    cache.put("a", an_encoder(tmp_path / "encoder"))
    assert not cache.get("a", tmp_path / "copy")
    monkeypatch.setenv(CACHE_VARIABLE, "off")
    assert default_encoder_cache() is None
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "chosen"))
    assert default_encoder_cache().folder.parent == tmp_path / "chosen"


def test_the_key_follows_every_input(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    tags, judged = np.array([[True, False], [False, False]]), np.array([True, True])
    target = ContrastiveTarget(tags, judged, 1.0)
    targets = {"kind": target}
    own = replace(TUNING, encoder=str(tmp_path))
    changed = [
        {"kind": replace(target, memberships=tags[::-1].copy())},
        {"kind": replace(target, memberships=~tags)},
        {"kind": replace(target, judged=~judged)},
        {"kind": replace(target, weight=0.5)},
        {"field": target},
    ]
    inputs = [
        (["a", "b"], targets, TUNING, "cpu"),
        (["a", "c"], targets, TUNING, "cpu"),
        (["a", "\ud800"], targets, TUNING, "cpu"),
        *((["a", "b"], other, TUNING, "cpu") for other in changed),
        (["a", "b"], targets, replace(TUNING, seed=1), "cpu"),
        (["a", "b"], targets, TUNING, "cuda"),
        (["a", "b"], targets, own, "cpu"),
    ]
    keys = [key_of(*each) for each in inputs]
    assert len(set(keys)) == len(keys)
    assert key_of(["a", "b"], dict(targets), replace(TUNING), "cpu") == keys[0]
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert key_of(*inputs[-1]) != keys[-1]
    monkeypatch.setattr("tagger.encoder_cache.CACHE_VERSION", 0)
    assert key_of(*inputs[0]) != keys[0]
    # Without its weights at hand, an encoder is known by a name alone, which says too little.
    assert key_of(["a", "b"], targets, replace(TUNING, encoder="./mine"), "cpu") is None
