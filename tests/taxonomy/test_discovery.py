import numpy as np
import pytest

from tagger.papers import Paper
from tagger.taxonomy import Facet, Tag, discover, uncovered_papers
from tagger.taxonomy.discovery import distinctive_terms, find_clusters

SIZE = 48
TAGS = (Tag(name="heart", definition="Hearts."), Tag(name="pumps", definition="Pumps."))
FACET = Facet(name="topic", definition="?", tags=TAGS)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def scattered(count, seed=0):
    """Draw vectors without a common direction."""
    return unit(np.random.default_rng(seed).normal(size=(count, SIZE)))


def around(axis, count, seed=1):
    """Draw vectors around an axis."""
    return unit(np.eye(SIZE)[[axis] * count] + 0.06 * scattered(count, seed) * np.sqrt(SIZE))


@pytest.fixture
def hidden():
    """Return ten papers with a known tag, eight on kites without a tag, and thirty random ones."""
    texts = [f"the heart of patient {n} beats" for n in range(10)]
    texts += [f"box kites of silk soar on wind {n}" for n in range(8)]
    texts += [f"we study something number {n} and find much" for n in range(30)]
    papers = [Paper(f"Title {n}", text, ("page.txt",)) for n, text in enumerate(texts)]
    vectors = np.concatenate([around(0, 10), around(1, 8), scattered(30, 2)])
    probabilities = np.full((48, 2), 0.1)
    probabilities[:10, 0] = 0.9
    return papers, vectors, probabilities


def test_hidden_tag_is_rediscovered(hidden):
    papers, vectors, probabilities = hidden
    (found,) = discover(papers, vectors, probabilities, FACET)
    assert set(found.papers) == set(papers[10:18])
    assert {"kites", "box kites"} & set(found.terms)
    assert not {"heart", "study"} & set(found.terms)
    assert found.facet == "topic"
    assert found.name == found.terms[0].replace(" ", "-")
    assert 0.5 < found.coherence < 1
    assert found.definition.endswith(".")


def test_papers_with_a_likely_tag_are_left_out(hidden):
    papers, vectors, probabilities = hidden
    assert uncovered_papers(probabilities).tolist() == list(range(10, 48))
    probabilities[:, 0] = 0.1
    groups = discover(papers, vectors, probabilities, FACET)
    # Ten papers before eight, at like coherence.
    assert [{*group.papers} for group in groups] == [{*papers[:10]}, {*papers[10:18]}]
    assert "heart" not in {group.name for group in groups}, "the facet has that tag"


def test_random_papers_give_no_candidates():
    for count in (0, 1, 3, 60):
        papers = [Paper(f"Title {n}", f"text {n}") for n in range(count)]
        assert discover(papers, scattered(count, 3), np.zeros((count, 2)), FACET) == []


def test_common_direction_makes_no_cluster():
    # All of one field: near to each other, and yet no group among them.
    vectors = unit(scattered(60) + 2 * np.eye(SIZE)[0])
    assert (vectors @ vectors.T).min() > 0.5
    assert find_clusters(vectors, np.arange(60)) == []


def test_settings_limit_number_and_size_of_clusters(hidden):
    papers, vectors, _ = hidden
    probabilities = np.zeros((48, 2))
    assert len(discover(papers, vectors, probabilities, FACET, count=1)) == 1
    (large,) = discover(papers, vectors, probabilities, FACET, min_papers=9)
    assert len(large.papers) == 10
    # A group without words gets a number.
    silent = [Paper(f"{n}", "!", paper.sources) for n, paper in enumerate(papers)]
    groups = discover(silent, vectors, probabilities, FACET)
    assert [group.name for group in groups] == ["new-1", "new-2"]


def test_terms_occur_in_several_papers_of_a_cluster():
    texts = ["zebra zebra kite kites", "kites soar", "kites glide, a kite"] + ["on boats"] * 9
    (terms,) = distinctive_terms(texts, [np.arange(3)])
    assert terms == ("kites",)
    assert distinctive_terms(["1 2", "3 4"], [np.arange(2)]) == [()]
