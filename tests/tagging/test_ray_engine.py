"""What the engine of Ray does where Ray gives up; Ray itself does not run."""

import pickle

import pytest
from ray.exceptions import ActorDiedError, OwnerDiedError, RayTaskError

from tagger.errors import TaggerError
from tagger.tagging.ray_engine import RayEngine

LOST = OwnerDiedError("", None, "")
NEVER_STARTED = ActorDiedError()


def engine(monkeypatch, *tries, problem=None):
    """Make an engine whose tries each do so many items and then fail with an error, or end."""
    remaining = iter(tries)
    given = []

    def mapped(self, work, items, holds_model):
        count, error = next(remaining)
        given.append(len(items))
        for item in items[:count]:
            done = work(pickle.loads(item))
            yield {"item": item, "result": pickle.dumps((done, problem))}
        if error:
            raise error

    monkeypatch.setattr(RayEngine, "_mapped", mapped)
    return RayEngine(None), given


def test_what_is_left_is_begun_anew_and_counted(monkeypatch, caplog):
    ray, given = engine(monkeypatch, (2, LOST), (0, NEVER_STARTED), (3, LOST), (9, None))
    assert list(ray.each(lambda item: item * 10, range(7))) == [0, 10, 20, 30, 40, 50, 60]
    assert given == [7, 5, 5, 2]
    assert ray.failures == 3
    assert "retry 2 of 5 with 5 items" in caplog.text


def test_tries_without_progress_are_bounded(monkeypatch):
    ray, given = engine(monkeypatch, (1, NEVER_STARTED), *[(0, NEVER_STARTED)] * 9)
    done = []
    with pytest.raises(TaggerError, match=r"the workers failed .*same command again"):
        done.extend(ray.each(abs, range(3)))
    assert given == [3, 2, 2, 2, 2, 2]


def test_an_item_that_comes_twice_counts_once(monkeypatch):
    ray, _ = engine(monkeypatch, (2, None))
    real = RayEngine._mapped
    monkeypatch.setattr(RayEngine, "_mapped", lambda *given: [*real(*given)] * 2)
    assert list(ray.each(abs, range(2))) == [0, 1]


def test_what_the_work_raises_is_not_tried_again(monkeypatch):
    error = RayTaskError("work", "Traceback", ValueError("no"))
    ray, given = engine(monkeypatch, (1, error))
    with pytest.raises(TaggerError, match="the workers failed"):
        list(ray.each(abs, range(3)))
    problem = {"problem": "cannot be written", "path": "out"}
    ray, given = engine(monkeypatch, (1, None), problem=problem)
    with pytest.raises(TaggerError, match="out: cannot be written"):
        list(ray.each(abs, range(3)))
    assert given == [3]
