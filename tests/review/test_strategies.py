from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from tagger.errors import TaggerError
from tagger.model import Predictions, ReviewRule
from tagger.papers import Paper
from tagger.review import load_strategy, strategies, strategy_names
from tagger.review.strategies.base import Pool, Strategy
from tagger.review.strategies.disagreement import Disagreement
from tagger.review.strategies.diversity import Diversity
from tagger.review.strategies.random import Random
from tagger.review.strategies.typical import Typical
from tagger.review.strategies.uncertainty import Uncertainty
from tagger.review.strategies.unfamiliar import Unfamiliar
from tagger.review.strategies.versions import Versions
from tagger.taxonomy import Facet

OWN = ["disagreement", "diversity", "random", "typical", "uncertainty", "unfamiliar"]
SURE = [0.9, 0.05, 0.05], [0.01, 0.01, 0.01]


def pool_of(taxonomy, kinds, fields=None, vectors=None, known=None, parts=None):
    """Make a pool with given probabilities; all members agree unless ``parts`` is given."""
    size = len(kinds)
    fields = [SURE[1]] * size if fields is None else fields
    probabilities = {"kind": np.array(kinds, dtype=float), "field": np.array(fields, dtype=float)}
    agreed = parts or {name: np.stack([values] * 2) for name, values in probabilities.items()}
    own = np.array(np.eye(size) if vectors is None else vectors, dtype=np.float32)
    seen = np.array([] if known is None else known, dtype=np.float32)
    papers = [Paper(f"Title {n}", f"Text {n}", ("a.txt",)) for n in range(size)]
    return Pool(
        papers, Predictions(own, probabilities, agreed), seen.reshape(-1, own.shape[1]), taxonomy
    )


class First(Strategy):
    """A strategy of another package."""

    def select(self, pool, count):
        return list(range(min(count, len(pool.papers))))


class Broken(First):
    def __init__(self):
        raise RuntimeError("no licence")


def install(monkeypatch, name, value):
    """Simulate an installed package with this entry point."""
    point = EntryPoint(name, value, strategies.ENTRY_POINTS)

    def entry_points(group, name=None):
        assert group == strategies.ENTRY_POINTS
        return [point] if name in (None, point.name) else []

    monkeypatch.setattr("tagger._util.plugins.entry_points", entry_points)


@pytest.mark.parametrize("name", OWN)
def test_a_strategy_is_deterministic_and_chooses_each_paper_once(model, papers, name):
    known = model.encode(papers[:20])
    pool = Pool(papers[20:], model.predict(papers[20:]), known, model.taxonomy)
    select = load_strategy(name).select
    chosen = select(pool, 30)
    assert len(set(chosen)) == 30
    assert {type(row) for row in chosen} == {int}
    assert select(pool, 30) == chosen
    assert sorted(select(pool, 1000)) == list(range(130))
    assert select(pool, 0) == []
    before = Pool(papers[:5], model.predict(papers[:5]), model.encode([]), model.taxonomy)
    assert sorted(select(before, 5)) == [0, 1, 2, 3, 4]


def test_versions_differ_first_where_one_of_them_is_probably_right(taxonomy):
    # Both are probably wrong, one is probably right, they agree, they differ in a second facet.
    kinds = [[0.4, 0.3, 0.3], [0.6, 0.4, 0], [0.9, 0.1, 0], [0.9, 0.1, 0]]
    others = [[0.3, 0.3, 0.4], [0.4, 0.6, 0], [0.8, 0.2, 0], [0.8, 0.2, 0]]
    field, other_field = np.full((4, 3), 0.1), np.full((4, 3), 0.1)
    field[3, 2], other_field[3, 2] = 0.6, 0.4

    class Other:
        def predict_proba(self, papers):
            return {"kind": np.array(others), "field": other_field}

        def rule(self):
            return ReviewRule()

    other = Other()
    other.taxonomy = taxonomy
    pool = pool_of(taxonomy, kinds, field)
    assert Versions(ReviewRule(), other).select(pool, 9) == [1, 3, 0]
    kind, _ = taxonomy.facets
    fewer = Facet(name="kind", definition="What.", exclusive=True, tags=kind.tags[:2])
    other.taxonomy = taxonomy.model_copy(update={"facets": (fewer, taxonomy.facets[1])})
    assert Versions(ReviewRule(), other).select(pool, 9) == [3]


def test_a_strategy_of_another_package_is_found(monkeypatch):
    install(monkeypatch, "first", f"{__name__}:First")
    assert strategy_names() == ["first"]
    assert isinstance(load_strategy("first"), First)


@pytest.mark.parametrize(
    ("name", "value", "problem", "hint"),
    [
        ("uncertain", None, "no strategy", "uncertainty"),
        ("broken", f"{__name__}:Broken", "no licence", "Broken"),
        ("dict", "builtins:dict", "not a strategy", "dict"),
    ],
)
def test_a_strategy_that_cannot_be_loaded_is_an_error(monkeypatch, name, value, problem, hint):
    if value:
        install(monkeypatch, name, value)
    with pytest.raises(TaggerError, match=problem) as caught:
        load_strategy(name)
    assert hint in str(caught.value.hint)


def test_random_depends_on_the_seed_and_the_paper_but_not_on_the_others(taxonomy):
    pool = pool_of(taxonomy, [SURE[0]] * 20)
    fewer = pool_of(taxonomy, [SURE[0]] * 10)
    assert Random(seed=1).select(pool, 20) != Random(seed=2).select(pool, 20)
    among = [row for row in Random().select(pool, 20) if row < 10]
    assert Random().select(fewer, 10) == among
    # A preprint that appears in a journal is not drawn a second time.
    journal = [
        replace(one, id="", identifiers=(f"doi:10.1/{n}",)) for n, one in enumerate(pool.papers)
    ]
    assert Random().select(replace(pool, papers=journal), 20) == Random().select(pool, 20)


@pytest.mark.parametrize(
    ("kinds", "fields", "order"),
    [
        ([[0.9, 0.05, 0.05], [0.5, 0.5, 0], [0.4, 0.35, 0.25]], None, [2, 1, 0]),
        # In a facet that is not exclusive, the entropies of the tags are averaged.
        ([SURE[0]] * 3, [[0.99, 0.01, 0.01], [0.99, 0.01, 0.5], [0.3, 0.3, 0.3]], [2, 1, 0]),
    ],
)
def test_uncertainty_prefers_high_entropy(taxonomy, kinds, fields, order):
    assert Uncertainty().select(pool_of(taxonomy, kinds, fields), 3) == order


def test_uncertainty_is_normalized_entropy(taxonomy):
    pool = pool_of(taxonomy, [[1.0, 0, 0], [1 / 3] * 3], [[0, 1.0, 0], [0.5] * 3])
    assert Uncertainty().score(pool) == pytest.approx([0, 1])


def test_disagreement_is_one_where_members_contradict_each_other(taxonomy):
    kinds, other = [[1.0, 0, 0], [0.5, 0.5, 0]], [[0, 1.0, 0], [0.5, 0.5, 0]]
    fields = np.array([[1.0, 0, 0], [0.5, 0, 0]])
    parts = {"kind": np.array([kinds, other]), "field": np.array([fields, 1 - fields])}
    pool = pool_of(taxonomy, kinds, fields, parts=parts)
    assert Disagreement().score(pool) == pytest.approx([1, 0.5])
    agreed = pool_of(taxonomy, [[0.34, 0.33, 0.33]], [[0.5, 0.5, 0.5]])
    assert Disagreement().score(agreed) == pytest.approx([0])


def test_diversity_does_not_choose_two_similar_papers(taxonomy):
    kinds = [[0.5, 0.5, 0], [0.5, 0.5, 0], [0.6, 0.4, 0], [0.98, 0.01, 0.01]]
    vectors = [[1, 0, 0], [1, 0.01, 0], [0, 1, 0], [0, 0, 1]]
    pool = pool_of(taxonomy, kinds, vectors=vectors)
    assert Uncertainty().select(pool, 2) == [0, 1]
    assert Diversity().select(pool, 2) == [0, 2]


def test_unfamiliar_chooses_papers_unlike_the_known_ones(taxonomy):
    vectors = [[1, 0, 0], [0.7, 0.7, 0], [0, 0, 1], [0, 0.1, 1]]
    pool = pool_of(taxonomy, [SURE[0]] * 4, vectors=vectors, known=[[2, 0, 0]])
    assert Unfamiliar().select(pool, 4)[0] in (2, 3)
    assert Unfamiliar().select(pool, 2)[1] == 1
    assert Unfamiliar().select(pool, 4)[-1] in (0, 3)


def around(angle, spread, count):
    """Return unit vectors spread evenly around a direction."""
    angles = angle + spread * np.linspace(-1, 1, count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_typical_takes_the_centre_of_each_cluster_largest_first(taxonomy):
    vectors = np.concatenate([around(0, 0.1, 5), around(2, 0.1, 9), around(4, 0.1, 7)])
    pool = pool_of(taxonomy, [SURE[0]] * 21, vectors=vectors)
    assert Typical().select(pool, 3) == [9, 17, 2]
    # Clusters with labels come last.
    pool = pool_of(taxonomy, [SURE[0]] * 14, vectors=vectors[:14], known=around(2, 0.05, 1))
    assert Typical().select(pool, 1) == [2]


def test_typical_works_on_identical_papers(taxonomy, recwarn):
    pool = pool_of(taxonomy, [SURE[0]] * 4, vectors=np.ones((4, 3)))
    assert sorted(Typical().select(pool, 3)) == [0, 1, 2]
    assert not list(recwarn)
