import numpy as np
import pytest
from helpers.samples import page, run

from tagger.model import Head, LexicalFeatures, Linear, ReviewRule, TaggerModel, explain
from tagger.papers import Paper, split_sentences

PAPER = Paper("On hearts", "The court is closed. Nothing happens here. A court is a court.")


@pytest.fixture
def lexical_model(model):
    """A model that takes a paper for a survey, and for law, by how often it says 'court'."""
    heads = {}
    for name, head in model.heads.items():
        weights = np.zeros((len(head.facet.tags), 1))
        weights[0 if name == "kind" else head.facet.tag_names.index("law")] = 3
        still = Linear(np.zeros_like(head.encoder.weights), head.encoder.bias)
        bias = np.full(len(weights), -1.0)
        heads[name] = Head(head.facet, still, Linear(weights, bias))
    once, lexical = model, LexicalFeatures(("court",), np.ones(1))
    return TaggerModel(once.taxonomy, once.encoder, lexical, heads, once.reference, once.name, "")


def test_the_sentences_that_carry_a_tag_come_first(lexical_model):
    one_court = Paper("On hearts", "Nothing happens here. The court is closed. It is late.")
    explanation = explain(one_court, lexical_model, ReviewRule())
    evidence = explanation.evidence["field"]["law"]
    assert evidence[0].sentence == "The court is closed."
    assert len(evidence) == 4
    # Without the word the logit falls from 2 to -1.
    assert evidence[0].confidence == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-4)
    assert evidence[0].without == pytest.approx(1 / (1 + np.exp(1)), abs=1e-4)
    assert [one.change for one in evidence[1:]] == [0, 0, 0]
    assert set(explanation.evidence["kind"]) == {"survey"}


@pytest.mark.parametrize("abstract", ["It is late.", ""])
def test_the_title_counts_as_a_sentence(lexical_model, abstract):
    explanation = explain(Paper("A court", abstract), lexical_model, ReviewRule())
    first, *others = explanation.evidence["field"]["law"]
    assert first.sentence == "A court"
    assert first.change > 0.5
    assert len(others) == bool(abstract)


def test_tags_in_doubt_are_explained_as_well(lexical_model):
    explanation = explain(Paper("None", "Nothing."), lexical_model, ReviewRule(0.9))
    assert explanation.decision.tags["field"] == ()
    assert set(explanation.evidence["field"]) == set(lexical_model.taxonomy.facets[1].tag_names)


def test_neighbours_are_the_nearest_labelled_papers(lexical_model, monkeypatch):
    near = explain(PAPER, lexical_model, ReviewRule()).neighbours
    cosines = lexical_model.reference.vectors @ lexical_model.encode([PAPER])[0]
    expected = [f"Title {row}" for row in np.argsort(-cosines, kind="stable")[:3]]
    assert [one.title for one in near] == expected
    assert near[0].similarity == pytest.approx(cosines.max(), abs=1e-4)
    assert near[0].tags == {"kind": ("survey",), "field": ("health",)}
    # A labelled paper is not its own neighbour, also if it was labelled before it had a DOI.
    for itself in (
        Paper(PAPER.title, PAPER.abstract, id=near[0].id),
        Paper(near[0].title, PAPER.abstract, identifiers=("doi:10.1/a",)),
    ):
        again = explain(itself, lexical_model, ReviewRule()).neighbours
        assert near[0].id not in {one.id for one in again}
        assert len(again) == 3
    monkeypatch.setitem(lexical_model.reference.annotated, "kind", np.zeros(12, dtype=bool))
    near = explain(PAPER, lexical_model, ReviewRule()).neighbours
    assert near[0].tags == {"field": ("health",)}


@pytest.mark.parametrize(
    "sentences",
    [
        [],
        ["One only"],
        ["We ask.", "We answer!", "Why?", "(Because.)"],
        ["As Li et al. Show, e.g. BERT, 3.5 is ok.", "2 more."],
    ],
)
def test_sentences(sentences):
    assert split_sentences(" ".join(sentences)) == sentences


def test_the_command_finds_a_paper_by_part_of_its_title(saved_model, tmp_path):
    (tmp_path / "page.txt").write_text(page("On courts", "On hearts"), encoding="utf-8")

    def ask(wanted, *options):
        return run("explain", wanted, "page.txt", "--model", saved_model, *options, cwd=tmp_path)

    shown = ask("COURTS")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("On courts\n")
    assert "Nearest labelled papers" in shown.stdout
    assert '"title": "On hearts"' in ask("On hearts", "--json").stdout
    several, none = ask("on"), ask("trees")
    assert (several.returncode, none.returncode) == (2, 2)
    assert "2 papers have 'on' in their titles: On courts; On hearts" in several.stderr
    assert "no paper has the id or title 'trees'" in none.stderr
