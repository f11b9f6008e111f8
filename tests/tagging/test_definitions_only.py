import numpy as np
import pytest

from tagger.model import ReviewRule, explain, model_of_definitions
from tagger.model.risk_control import NEVER, reach_precision
from tagger.papers import Paper
from tagger.tagging import tag_papers
from tagger.taxonomy import Taxonomy

MEANINGS = {"heart": "cardiac ventricle aorta", "law": "court judge statute", "code": "loop stack"}
"""What stands in a definition, and in papers on it."""

COMMON = "we find that in all of these"
"""What stands in every paper."""

WORDS = " ".join([*MEANINGS.values(), COMMON]).split()


class Counting:
    """Counts words that it knows, each a direction of its own."""

    def encode(self, texts, progress=None):
        counts = np.array([[text.split().count(word) for word in WORDS] for text in texts])
        if progress:
            progress(len(texts), len(texts))
        lengths = np.linalg.norm(counts, axis=1, keepdims=True)
        return (counts / np.maximum(lengths, 1e-9)).astype(np.float32)


def defined_by(tags):
    listed = [{"name": name, "definition": words} for name, words in tags.items()]
    kind = {"name": "kind", "definition": "?", "exclusive": True, "tags": listed}
    topic = {"name": "topic", "definition": "?", "tags": listed}
    return Taxonomy.model_validate({"name": "defined", "facets": [kind, topic]})


DEFINED = defined_by(MEANINGS)
PAGE = [Paper(f"Paper {n}", f"{COMMON} {[*MEANINGS.values()][n % 3]}") for n in range(15)]
PAGE.append(Paper("Something else", COMMON))


@pytest.fixture
def told():
    return model_of_definitions(DEFINED, PAGE, Counting())


def test_papers_get_the_tags_whose_definitions_they_are_near(told):
    probabilities = told.predict_proba(PAGE)
    expected = np.arange(15) % 3
    assert (probabilities["kind"][:15].argmax(axis=1) == expected).all()
    assert probabilities["kind"].sum(axis=1) == pytest.approx(np.ones(16))
    given = probabilities["topic"] > 0.5
    assert (given[:15] == np.eye(3, dtype=bool)[expected]).all()
    assert not given[15].any()


def test_a_definition_in_general_terms_draws_no_more_than_its_share():
    tags = {"general": COMMON, "heart": MEANINGS["heart"], "law": MEANINGS["law"]}
    alone, beside = (
        model_of_definitions(defined_by(tags), papers, Counting()).predict_proba(PAGE)["topic"]
        for papers in ([], PAGE)
    )
    rows = [row for row in range(15) if row % 3 < 2]
    assert (alone[rows, 0] > 0.5).all()
    assert (beside[rows, 0] < 0.5).all()
    assert (beside[rows].argmax(axis=1) - 1 == np.array(rows) % 3).all()


def test_the_model_is_named_by_what_it_is_made_of(told):
    again = model_of_definitions(DEFINED, PAGE, Counting())
    other = model_of_definitions(DEFINED, PAGE[1:], Counting())
    assert told.name.startswith("local/definitions-")
    assert (told.name, told.digest) == (again.name, again.digest)
    assert told.digest != other.digest


def test_it_tags_and_explains_and_meets_no_target(told, tmp_path):
    run = tag_papers(PAGE, told, tmp_path, ReviewRule())
    assert run.drift is None
    assert run.counts["topic"] == {"heart": 5, "law": 5, "code": 5}
    explained = explain(PAGE[0], told, ReviewRule())
    assert explained.decision.tags["topic"] == ("heart",)
    assert explained.neighbours == ()
    target = reach_precision(told.reference, DEFINED, 0.9, ReviewRule())
    assert set(target.rule.accept["topic"].values()) == {NEVER}
    assert len(target.shortfalls) == 1


def test_many_papers_are_looked_at_in_part():
    papers = [Paper(f"{paper.title} {n}", paper.abstract) for n in range(40) for paper in PAGE]
    steps = []
    model_of_definitions(DEFINED, papers, Counting(), lambda *step: steps.append(step))
    assert steps == [(500, 500)]
