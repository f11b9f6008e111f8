import pytest
from helpers.samples import label_of

from tagger.labels import measure_agreement


def said(paper, annotator, **tags):
    return label_of(paper, id=paper, tags=tags, annotator=annotator, source="review")


def test_equal_answers_agree_fully(taxonomy):
    labels = [
        said(str(paper), who, kind=(kind,), field=field)
        for paper, (kind, field) in enumerate(
            [("survey", ()), ("method", ("law",)), ("study", ("health", "heart"))]
        )
        for who in ("ann", "bob")
    ]
    kind, field = measure_agreement(labels, taxonomy)
    assert (kind.facet, kind.papers, kind.alpha) == ("kind", 3, 1.0)
    assert kind.kappa == {"ann and bob": 1.0}
    assert field.alpha == 1.0


def test_kappa_equals_the_textbook_example(taxonomy):
    # 20 of 50 both yes, 15 both no: observed 0.7, by chance 0.5, so kappa is 0.4.
    answers = [("survey", "survey")] * 20 + [("survey", "method")] * 5
    answers += [("method", "survey")] * 10 + [("method", "method")] * 15
    labels = [
        said(str(number), who, kind=(kind,))
        for number, kinds in enumerate(answers)
        for who, kind in zip(("ann", "bob"), kinds, strict=True)
    ]
    [kind] = measure_agreement(labels, taxonomy)
    assert kind.kappa["ann and bob"] == pytest.approx(0.4)
    assert kind.alpha == pytest.approx(0.4, abs=0.02)


def test_partly_equal_answers_agree_partly(taxonomy):
    said_so = [("1", "ann", "law", "health"), ("1", "bob", "law"), ("2", "ann"), ("2", "bob")]
    said_so += [("3", "ann", "heart")]
    labels = [said(paper, who, field=fields) for paper, who, *fields in said_so]
    [field] = measure_agreement(labels, taxonomy)
    assert field.papers == 2
    assert 0 < field.alpha < 1


def test_constant_answers_agree_and_one_reviewer_is_not_measured(taxonomy):
    labels = [said("1", who, kind=("survey",)) for who in ("ann", "bob")]
    [kind] = measure_agreement(labels, taxonomy)
    assert (kind.alpha, kind.kappa) == (1.0, {"ann and bob": 1.0})
    assert measure_agreement(labels[:1], taxonomy) == []
