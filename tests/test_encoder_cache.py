import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tagger import encoder_cache
from tagger.encoder import BUNDLED_ENCODER
from tagger.encoder_cache import EncoderCache, key_of, usual_encoder_cache
from tagger.fine_tuning import ContrastiveTarget, FineTuning
from tagger.vector_cache import CACHE_VARIABLE
from tagger.weight_change import WeightChange

TUNING = FineTuning(BUNDLED_ENCODER, 32, 1, 8, 1e-4, 0.1, 16, 0)


def a_change(size=3):
    return WeightChange.of("base", {"w": np.arange(1.0, size + 1, dtype=np.float32)})


def test_a_change_comes_back_as_it_was(tmp_path):
    cache = EncoderCache(tmp_path / "cache")
    assert cache.get("a", "base") is None
    cache.put("a", a_change())
    found = EncoderCache(tmp_path / "cache").get("a", "base")
    assert found.base == "base"
    assert (found.arrays()["w"] == a_change().arrays()["w"]).all()
    assert cache.get("b", "base") is None
    assert cache.get("a", "base")


@pytest.mark.parametrize("place", [0, 32, -1])
def test_a_damaged_change_is_thrown_away(tmp_path, place):
    cache = EncoderCache(tmp_path / "cache")
    cache.put("a", a_change())
    file = tmp_path / "cache" / "a"
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    assert cache.get("a", "base") is None
    assert not file.exists()
    cache.put("a", a_change())
    assert cache.get("a", "base")
    file.write_bytes(b"")
    assert cache.get("a", "base") is None


def test_those_unused_for_longest_go_first(tmp_path):
    folder = tmp_path / "cache"
    roomy = EncoderCache(folder)
    for age, name in enumerate(["new", "used", "old"]):
        roomy.put(name, a_change(1000))
        os.utime(folder / name, (1000 - age, 1000 - age))
    assert roomy.get("used", "base")
    size = (folder / "used").stat().st_size
    EncoderCache(folder, limit=2 * size + 10).put("last", a_change(1000))
    assert sorted(path.name for path in folder.iterdir()) == ["last", "used"]
    EncoderCache(folder, limit=1).put("alone", a_change())
    assert [path.name for path in folder.iterdir()] == ["alone"]


def test_a_cache_that_cannot_be_used_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    cache = EncoderCache(tmp_path / "file" / "cache")
    cache.put("a", a_change())
    assert cache.get("a", "base") is None
    monkeypatch.setenv(CACHE_VARIABLE, "off")
    assert usual_encoder_cache() is None
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "chosen"))
    assert usual_encoder_cache().folder.parent == tmp_path / "chosen"


def test_the_key_follows_every_input():
    tags, judged = np.array([[True, False], [False, False]]), np.array([True, True])
    target = ContrastiveTarget(tags, judged, 1.0)
    targets = {"kind": target}
    keys = [
        key_of(*inputs)
        for inputs in [
            (["a", "b"], targets, TUNING, "cpu"),
            (["a", "c"], targets, TUNING, "cpu"),
            (["a", "\ud800"], targets, TUNING, "cpu"),
            (["a", "b"], {"kind": replace(target, memberships=tags[::-1].copy())}, TUNING, "cpu"),
            (["a", "b"], {"kind": replace(target, memberships=~tags)}, TUNING, "cpu"),
            (["a", "b"], {"kind": replace(target, judged=~judged)}, TUNING, "cpu"),
            (["a", "b"], {"field": target}, TUNING, "cpu"),
            (["a", "b"], {"kind": replace(target, weight=0.5)}, TUNING, "cpu"),
            (["a", "b"], targets, replace(TUNING, seed=1), "cpu"),
            (["a", "b"], targets, TUNING, "cuda"),
        ]
    ]
    assert len(set(keys)) == len(keys)
    assert key_of(["a", "b"], dict(targets), replace(TUNING), "cpu") == keys[0]
    assert key_of(["a", "b"], targets, replace(TUNING, encoder="./mine"), "cpu") is None


def test_the_key_follows_the_modules_that_fine_tune(monkeypatch):
    hashed = []

    def record(path):
        hashed.append(path.stem)
        return path.stem

    monkeypatch.setattr(encoder_cache, "sha256_of", record)
    assert key_of(["a"], {}, TUNING, "cpu")
    source = Path(encoder_cache.__file__).with_name("contrastive.py").read_text(encoding="utf-8")
    imported = re.findall(r"^from tagger\.(\w+) import", source, re.MULTILINE)
    assert len(imported) >= 3
    assert {"contrastive", *imported} <= set(hashed)
