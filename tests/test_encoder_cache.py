import os
from dataclasses import replace

import numpy as np
import pytest

from tagger.contrastive import Anchor, ContrastiveTarget, FineTuning
from tagger.encoder import BUNDLED_ENCODER
from tagger.encoder_cache import EncoderCache, key_of, usual_encoder_cache
from tagger.vector_cache import CACHE_VARIABLE

TUNING = FineTuning(BUNDLED_ENCODER, 32, 1, 8, 1e-4, 0.1, 16, 0)


def an_encoder(folder, content="weights"):
    folder.mkdir(parents=True)
    (folder / "encoder.onnx").write_text(content)
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_an_encoder_comes_back_as_it_was(tmp_path):
    cache = EncoderCache(tmp_path / "cache")
    assert not cache.get("a", tmp_path / "out")
    cache.put("a", an_encoder(tmp_path / "one"))
    assert EncoderCache(tmp_path / "cache").get("a", tmp_path / "out")
    assert (tmp_path / "out" / "encoder.onnx").read_text() == "weights"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "encoder.onnx",
        "tokenizer.json",
    ]
    assert not cache.get("b", tmp_path / "out")
    assert cache.get("a", tmp_path / "again")
    assert cache.found == 1


@pytest.mark.parametrize("file", ["encoder.onnx", "tokenizer.json", "hashes.json"])
def test_a_damaged_encoder_is_thrown_away(tmp_path, file):
    cache = EncoderCache(tmp_path / "cache")
    cache.put("a", an_encoder(tmp_path / "one"))
    with (tmp_path / "cache" / "a" / file).open("r+") as damaged:
        damaged.write("junk")
    assert not cache.get("a", tmp_path / "out")
    assert not (tmp_path / "cache" / "a").exists()
    assert cache.found == 0
    cache.put("a", tmp_path / "one")
    assert cache.get("a", tmp_path / "out")


def test_those_unused_for_longest_go_first(tmp_path):
    roomy = EncoderCache(tmp_path / "cache")
    for age, name in enumerate(["new", "used", "old", "half-written"]):
        roomy.put(name, an_encoder(tmp_path / name, "x" * 1000))
        os.utime(tmp_path / "cache" / name, (1000 - age, 1000 - age))
    (tmp_path / "cache" / "half-written" / "hashes.json").unlink()
    assert roomy.get("used", tmp_path / "out")
    cache = EncoderCache(tmp_path / "cache", limit=3000)
    cache.put("last", an_encoder(tmp_path / "last", "x" * 1000))
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["last", "used"]
    tight = EncoderCache(tmp_path / "cache", limit=1)
    tight.put("alone", an_encoder(tmp_path / "alone"))
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["alone"]


def test_a_cache_that_cannot_be_used_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    cache = EncoderCache(tmp_path / "file" / "cache")
    cache.put("a", an_encoder(tmp_path / "one"))
    assert not cache.get("a", tmp_path / "out")
    monkeypatch.setenv(CACHE_VARIABLE, "off")
    assert usual_encoder_cache() is None
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "chosen"))
    assert usual_encoder_cache().folder.parent == tmp_path / "chosen"


def test_the_key_follows_every_input():
    rng = np.random.default_rng(0)
    similarity = rng.random((2, 2)).astype(np.float32)
    targets = {"kind": ContrastiveTarget(similarity, 1.0)}
    anchor = Anchor(rng.random((2, 4)).astype(np.float32), np.array([True, False]))
    other = ContrastiveTarget(similarity.T.copy(), 1.0)
    keys = [
        key_of(*inputs)
        for inputs in [
            (["a", "b"], targets, TUNING, None),
            (["a", "c"], targets, TUNING, None),
            (["a", "\ud800"], targets, TUNING, None),
            (["a", "b"], {"kind": other}, TUNING, None),
            (["a", "b"], {"field": targets["kind"]}, TUNING, None),
            (["a", "b"], {"kind": ContrastiveTarget(similarity, 0.5)}, TUNING, None),
            (["a", "b"], targets, replace(TUNING, seed=1), None),
            (["a", "b"], targets, TUNING, anchor),
            (["a", "b"], targets, TUNING, replace(anchor, kept=~anchor.kept)),
            (["a", "b"], targets, TUNING, replace(anchor, vectors=-anchor.vectors)),
        ]
    ]
    assert len(set(keys)) == len(keys)
    assert key_of(["a", "b"], dict(targets), replace(TUNING), None) == keys[0]
    assert key_of(["a", "b"], targets, replace(TUNING, encoder="./mine"), None) is None
