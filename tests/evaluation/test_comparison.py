import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tagger.errors import TaggerError
from tagger.evaluation import HeldOut, compare, measure_churn
from tagger.evaluation.comparison import Change, Flip
from tagger.taxonomy import Facet

probabilities = arrays(np.float64, (8, 3), elements=st.floats(0, 1))
truths = arrays(np.bool_, (8, 3))


def held_out(facet, y_true, probabilities, names=None):
    names = names or [f"t-{n}" for n in range(len(y_true))]
    titles = tuple(f"Title {name}" for name in names)
    folds = np.array([ord(name[-1]) % 2 + 1 for name in names])
    return HeldOut(facet, tuple(names), titles, folds, np.asarray(y_true), probabilities)


def answers(columns):
    return np.eye(3)[columns] * 0.7 + 0.1


def compared(facet, before, after, y_true):
    y_true = np.eye(3, dtype=bool)[y_true]
    return compare(
        ("tagger/1", {"kind": held_out(facet, y_true, answers(before))}),
        ("tagger/2", {"kind": held_out(facet, y_true, answers(after))}),
    )


def test_flips_are_listed_with_their_tags(taxonomy):
    found = compared(taxonomy.facet("kind"), [0, 1, 2, 0], [0, 1, 0, 1], [0, 1, 2, 1])
    (facet,) = found.facets
    assert facet.negative_flips == (Flip("t-2", "Title t-2", ("study",), ("study",), ("survey",)),)
    assert facet.positive_flips == (
        Flip("t-3", "Title t-3", ("method",), ("survey",), ("method",)),
    )
    assert facet.negative_flip_rate == 0.25
    assert (facet.sample, facet.papers, facet.unseen, facet.p_value) == ("seed", 4, 0, 1.0)
    assert facet.figures["accuracy"].difference == 0
    assert facet.labels == {"survey": 1, "method": 2, "study": 1}
    assert (found.before, found.after, found.verdict) == ("tagger/1", "tagger/2", "no difference")
    content = json.loads(json.dumps(found.as_dict()))
    assert content["verdict"] == found.verdict
    assert content["facets"][0]["negative_flip_rate"] == 0.25
    assert content["facets"][0]["tags"].keys() == facet.tags.keys()


@pytest.mark.parametrize(
    ("before", "after", "verdict"), [(0.5, 0.95, "better"), (0.95, 0.5, "worse")]
)
def test_a_clear_difference_has_a_verdict_and_a_small_p(taxonomy, before, after, verdict):
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 3, 200)
    given_tags = [np.where(rng.random(200) < s, y_true, (y_true + 1) % 3) for s in (before, after)]
    found = compared(taxonomy.facet("kind"), *given_tags, y_true)
    (facet,) = found.facets
    assert found.verdict == facet.verdict == verdict
    assert facet.p_value < 0.001
    change = facet.figures["macro_f1"]
    assert change.beyond_noise
    assert change.interval[0] < change.difference < change.interval[1]


def test_mcnemar_is_the_sign_test_of_the_flips(taxonomy):
    before, after = [0] * 7 + [1], [1] * 7 + [0]
    (facet,) = compared(taxonomy.facet("kind"), before, after, [1] * 8).facets
    # 7 won, 1 lost: 2 * (1 + 8) / 2^8
    assert facet.p_value == pytest.approx(18 / 256)


@given(truths, probabilities)
def test_a_version_is_no_different_from_itself(taxonomy, y_true, drawn):
    for name in ("kind", "field"):
        table = {name: held_out(taxonomy.facet(name), y_true, drawn)}
        found = compare(("a", table), ("b", table))
        (facet,) = found.facets
        assert found.verdict == "no difference"
        assert facet.negative_flips == facet.positive_flips == ()
        assert all(c.difference == 0 and c.interval == (0, 0) for c in facet.figures.values())


@given(truths, probabilities, probabilities)
def test_swapping_the_versions_swaps_the_signs(taxonomy, y_true, one, two):
    facet = taxonomy.facet("field")
    tables = [("x", {"field": held_out(facet, y_true, p)}) for p in (one, two)]
    (there,), (back,) = compare(*tables).facets, compare(*tables[::-1]).facets
    assert there.negative_flips == tuple(
        replace(flip, before=flip.after, after=flip.before) for flip in back.positive_flips
    )
    for name, change in there.figures.items():
        assert change.difference == pytest.approx(-back.figures[name].difference)
        low, high = back.figures[name].interval
        assert change.interval == pytest.approx((-high, -low))


def test_only_common_papers_are_compared_in_any_order(taxonomy):
    facet = taxonomy.facet("kind")
    eye = np.eye(3, dtype=bool)
    old = held_out(facet, eye[[0, 1, 2]], answers([0, 1, 2]), ["a", "b", "c"])
    new = held_out(facet, eye[[0, 1, 2]], answers([0, 1, 1]), ["d", "c", "b"])
    (found,) = compare(("1", {"kind": old}), ("2", {"kind": new})).facets
    assert found.papers == 2
    # The label that the second was trained on counts: "b" is a study now, "c" a method.
    assert [flip.id for flip in found.positive_flips] == ["c"]
    assert found.negative_flips == ()
    with pytest.raises(TaggerError, match="no labelled paper that can be compared"):
        compare(("1", {"kind": old}), ("2", {"kind": new.take([0])}))


def test_papers_held_out_in_other_folds_do_not_count(taxonomy):
    y_true = np.eye(3, dtype=bool)[[0, 1, 2]]
    old = held_out(taxonomy.facet("kind"), y_true, answers([0, 1, 2]))
    # The first is in another fold now; the last is new to the first version.
    new = replace(old, folds=np.array([2, 2, 1]))
    old = replace(old, folds=np.array([1, 2, 0]))
    pair = ("1", {"kind": old}), ("2", {"kind": new})
    (found,) = compare(*pair).facets
    assert (found.papers, found.unseen, compare(*pair).left_out) == (2, 1, 1)
    (found,) = compare(*pair, same_folds=False).facets
    assert (found.papers, found.unseen) == (1, 1)
    with pytest.raises(TaggerError, match="in different folds"):
        compare(pair[0], ("2", {"kind": new.take([0, 1])}), same_folds=False)


def test_reviewed_papers_decide_where_there_are_enough(taxonomy):
    facet, rng = taxonomy.facet("kind"), np.random.default_rng(0)
    kinds = rng.integers(0, 3, 140)
    y_true, seed = np.eye(3, dtype=bool)[kinds], np.arange(140) < 100
    samples = np.where(seed, "seed", "audit")
    old = replace(held_out(facet, y_true, answers(kinds)), samples=samples)
    new = replace(old, probabilities=answers(np.where(seed, kinds, (kinds + 1) % 3)))
    found = compare(("1", {"kind": old}), ("2", {"kind": new}))
    assert [(part.sample, part.papers) for part in found.facets] == [("audit", 40), ("seed", 100)]
    assert [part.verdict for part in found.facets] == ["worse", "no difference"]
    assert found.main["kind"].sample == "audit"
    assert found.verdict == "worse"
    # All 40 turned from right to wrong: 100 points of accuracy.
    assert found.facets[0].score.points == pytest.approx(-1, abs=0.02)
    few = compare(("1", {"kind": old.take(range(129))}), ("2", {"kind": new}))
    assert (few.main["kind"].sample, few.facets[0].papers) == ("seed", 29)


def test_a_tag_that_one_version_lacks_counts_as_never_predicted(taxonomy):
    kind = taxonomy.facet("kind")
    tags = [tag.model_dump() for tag in kind.tags]
    narrow = Facet.model_validate({**kind.model_dump(), "tags": tags[:2]})
    wide = Facet.model_validate({**kind.model_dump(), "tags": [tags[2], *tags[:2]]})
    old = held_out(narrow, np.eye(2, dtype=bool)[[0, 1, 1]], np.eye(2)[[0, 1, 1]])
    new = held_out(wide, np.eye(3, dtype=bool)[[1, 2, 0]], answers([1, 2, 0]))
    (found,) = compare(("1", {"kind": old}), ("2", {"kind": new})).facets
    assert set(found.tags) == {"survey", "method", "study"}
    assert (found.tags["study"].before, found.tags["study"].after) == (0, 1)
    assert [flip.y_true for flip in found.positive_flips] == [("study",)]


def test_facets_that_cannot_be_compared_are_named(taxonomy):
    kind, field = (
        held_out(facet, np.eye(3, dtype=bool), answers([0, 1, 2])) for facet in taxonomy.facets
    )
    several = Facet.model_validate({**kind.facet.model_dump(), "exclusive": False})
    both = {"kind": kind, "field": field}
    changed = {"kind": replace(kind, facet=several), "field": field}
    # Only one version has it; it asks for several tags now.
    for old, new, skipped in (({"kind": kind}, both, "field"), (both, changed, "kind")):
        found = compare(("1", old), ("2", new))
        assert {facet.facet for facet in found.facets} == {"kind", "field"} - {skipped}
        assert found.skipped == (skipped,)


def test_churn_counts_papers_whose_tags_differ():
    before = {"kind": [frozenset("a"), frozenset("b")], "gone": [frozenset(), frozenset()]}
    after = {"kind": [frozenset("a"), frozenset("c")]}
    churn = measure_churn(["One", "Two"], before, after)
    assert churn.shares == {"kind": 0.5}
    assert churn.titles == {"kind": ("Two",)}
    assert measure_churn([], {"kind": []}, {"kind": []}).shares == {"kind": 0}


CLEAR, NOISE = 0.05, 0.5


@pytest.mark.parametrize(
    ("facets", "headline"),
    [
        (
            [("kind", "audit", 90, 0.3, CLEAR), ("kind", "seed", 60, -0.1, CLEAR)],
            "better, +0.30 on 90 reviewed",
        ),
        ([("kind", "audit", 60, -0.2, CLEAR)], "worse, -0.20 on 60 reviewed"),
        ([("kind", "audit", 60, 0.02, NOISE)], "no difference, +0.02 on 60 reviewed"),
        (
            [("kind", "selected", 12, -0.2, CLEAR), ("kind", "seed", 60, 0.2, CLEAR)],
            "better, +0.20 on 60 seed labels, too few reviewed",
        ),
        (
            [("kind", "audit", 60, 0.35, CLEAR), ("field", "audit", 58, -0.3, CLEAR)],
            "worse, kind +0.35, field -0.30 on 60 reviewed",
        ),
        (
            [("kind", "audit", 60, 0.2, CLEAR), ("field", "audit", 60, 0.1, NOISE)],
            "better, +0.15 on 60 reviewed",
        ),
        (
            [("kind", "audit", 60, 0.18, NOISE), ("field", "seed", 40, -0.3, CLEAR)],
            "worse, kind +0.18 on 60 reviewed, field -0.30 on 40 seed labels, too few reviewed",
        ),
    ],
)
def test_the_headline_names_the_better_version_and_hides_no_facet(taxonomy, facets, headline):
    base = compared(taxonomy.facet("kind"), [0, 1], [0, 1], [0, 1])
    made = [
        replace(
            base.facets[0],
            facet=name,
            sample=sample,
            papers=papers,
            figures={"macro_f1": Change(0.5, 0.5 + gain, (gain - noise, gain + noise))},
        )
        for name, sample, papers, gain, noise in facets
    ]
    assert replace(base, facets=tuple(made)).headline == headline
