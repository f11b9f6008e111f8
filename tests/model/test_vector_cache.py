import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tagger.model import CachedEncoder, VectorCache, default_cache


class Counting:
    """An encoder that notes what it was asked."""

    def __init__(self):
        self.asked = []

    def encode(self, texts, progress=None):
        self.asked += texts
        if progress:
            progress(len(texts), len(texts))
        rows = [np.random.default_rng(len(text)).normal(size=8) for text in texts]
        return np.array(rows, dtype=np.float32)


@pytest.fixture
def cache(tmp_path):
    return VectorCache(tmp_path / "deep" / "vectors.sqlite")


def test_a_text_is_encoded_once(cache):
    encoder = Counting()
    cached = CachedEncoder(lambda: encoder, "model a", 8, cache)
    first = cached.encode(["one", "three", "one"])
    assert encoder.asked == ["one", "three"]
    assert (first[0] == first[2]).all()
    steps = []
    both = cached.encode(["three", "eleven", "one"], lambda *step: steps.append(step))
    assert encoder.asked == ["one", "three", "eleven"]
    assert steps == [(3, 3)]
    assert (both[[2, 0]] == first[:2]).all()
    assert (both[1] == Counting().encode(["eleven"])[0]).all()


def test_an_encoder_is_made_only_if_it_is_needed(cache):
    def never():
        raise AssertionError("made")

    CachedEncoder(Counting, "model a", 8, cache).encode(["one"])
    for texts in (["one"], []):
        assert CachedEncoder(never, "model a", 8, cache).encode(texts).shape == (len(texts), 8)
    with pytest.raises(AssertionError, match="made"):
        CachedEncoder(never, "model b", 8, cache).encode(["one"])


@pytest.mark.parametrize("spoilt", [b"1234", b"", "text", b"\xff" * 32, 7])
def test_what_is_no_vector_of_this_encoder_is_not_believed(cache, spoilt):
    encoder = CachedEncoder(Counting, "model a", 8, cache)
    wanted = encoder.encode(["one", "three"])
    with sqlite3.connect(cache.path) as connection:
        connection.execute("UPDATE vectors SET vector = ?", (spoilt,))
    assert (encoder.encode(["one", "three"]) == wanted).all()


def test_a_full_cache_drops_what_was_not_used_for_longest(tmp_path, monkeypatch):
    cache = VectorCache(tmp_path / "vectors.sqlite", limit=200_000)
    now = time.time()
    for day in range(30):
        monkeypatch.setattr(time, "time", lambda day=day: now + day * 100_000)
        cache.put({f"{day} {n}".encode(): np.ones(384, dtype=np.float32) for n in range(10)})
        if day >= 2:
            assert cache.get([b"0 0"], 384), "it was used every day"
    assert not cache.get([b"1 0"], 384)
    assert len(cache.get([f"29 {n}".encode() for n in range(10)], 384)) == 10
    with sqlite3.connect(cache.path) as connection:
        kept = connection.execute("SELECT COUNT(*) FROM vectors").fetchone()[0]
    assert 50 < kept < 200_000 / (4 * 384)


def test_damage_begins_a_cache_anew_and_a_mistake_of_ours_does_not(cache):
    vectors = {b"a": np.ones(4, dtype=np.float32)}
    cache.put(vectors)
    cache.path.write_bytes(b"no database at all" * 1000)
    assert cache.get([b"a"], 4) == {}
    cache.put(vectors)
    with pytest.raises(sqlite3.Error):
        cache.get([object()], 4)
    assert set(cache.get([b"a"], 4)) == {b"a"}


def test_a_path_that_cannot_be_a_file_costs_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("v", "v" * 400):
        cached = CachedEncoder(Counting, "model a", 8, VectorCache(tmp_path / "file" / name))
        assert cached.encode(["one"]).shape == (1, 8)


def test_several_use_one_cache_at_once(cache):
    keys = [str(n).encode() for n in range(80)]

    def work(key):
        mine = VectorCache(cache.path)
        mine.put({key: np.ones(4, dtype=np.float32)})
        assert mine.get([key], 4)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, keys))
    assert len(cache.get(keys, 4)) == 80


def test_the_usual_cache_is_where_the_user_says(tmp_path, monkeypatch):
    monkeypatch.setenv("TAGGER_CACHE", str(tmp_path))
    assert default_cache().path.parent == tmp_path
    monkeypatch.setenv("TAGGER_CACHE", "off")
    assert default_cache() is None
    monkeypatch.delenv("TAGGER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert default_cache().path.is_relative_to(tmp_path / "home")
