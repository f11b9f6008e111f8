from dataclasses import replace

import numpy as np
import pytest

from tagger.evaluation import GateRules, HeldOut, apply_gate, compare
from tagger.taxonomy import Facet


def facet_of(tags, *, exclusive=True):
    content = [{"name": f"tag-{n}", "definition": "A tag."} for n in range(tags)]
    return Facet.model_validate(
        {"name": "kind", "definition": "What.", "exclusive": exclusive, "tags": content}
    )


def held_out(facet, y_true, probabilities, sample="audit", fold=1):
    ids = tuple(f"{sample} {n}" for n in range(len(y_true)))
    folds, samples = np.full(len(ids), fold), np.full(len(ids), sample)
    return HeldOut(facet, ids, ids, folds, y_true, probabilities, samples=samples)


def answers(tags, given, sure=0.8):
    other = (1 - sure) / (tags - 1)
    return np.eye(tags)[given] * (sure - other) + other


def versions(papers, right, sample="audit", tags=5, fold=1):
    """Two versions, and for each paper and version whether its tag is right."""
    facet, kinds = facet_of(tags), np.arange(papers) % tags
    return [
        held_out(
            facet,
            np.eye(tags, dtype=bool)[kinds],
            answers(tags, np.where(mask, kinds, (kinds + 1) % tags)),
            sample,
            fold,
        )
        for mask in right
    ]


def joined(one, two):
    return replace(
        one,
        ids=one.ids + two.ids,
        titles=one.titles + two.titles,
        **{
            name: np.concatenate([getattr(one, name), getattr(two, name)])
            for name in ("folds", "y_true", "probabilities", "samples")
        },
    )


def judged(old, new, rules=None):
    found = compare(("tagger/1", {"kind": old}), ("tagger/2", {"kind": new}))
    return apply_gate(found, rules or GateRules())


def failed(outcomes):
    return [one.rule for one in outcomes if not one.passed]


def right(papers, wrong):
    return np.arange(papers) >= wrong


def test_an_equal_version_passes():
    outcomes = judged(*versions(100, [right(100, 25), right(100, 25)]))
    assert failed(outcomes) == []
    assert len(outcomes) == 2
    assert "+0.0 points" in outcomes[0].figure


def test_a_version_that_is_wrong_on_all_new_papers_is_refused():
    old, new = versions(150, [right(150, 10), right(150, 10)], "seed")
    # The champion has never seen the papers that were reviewed after its training.
    unseen, learned = versions(300, [right(300, 60), right(300, 300)], "audit")
    unseen = replace(unseen, folds=np.zeros(300, int))
    outcomes = judged(joined(old, unseen), joined(new, learned))
    assert "less than 5 points worse" in failed(outcomes)[0]
    assert not any(one.cannot_tell for one in outcomes)


@pytest.mark.parametrize(
    ("papers", "sample", "missing"), [(29, "audit", "--audit 1"), (99, "selected", "--audit 30")]
)
def test_too_few_papers_sampled_at_random_cannot_tell(papers, sample, missing):
    first, *_ = judged(*versions(papers, [right(papers, 5), right(papers, 0)], sample))
    assert (first.passed, first.cannot_tell) == (False, True)
    assert missing in first.figure


def test_seed_labels_alone_cannot_tell():
    first, *others = judged(*versions(200, [right(200, 20), right(200, 0)], "seed"))
    assert first.cannot_tell
    assert failed(others) == []


def test_noise_cannot_tell_and_names_the_papers_that_would():
    rng = np.random.default_rng(0)
    shuffled = [rng.permutation(right(40, 10)) for _ in range(2)]
    first, *_ = judged(*versions(40, shuffled))
    assert first.cannot_tell
    assert "tagger review push FILES --audit" in first.figure


def test_a_wider_margin_lets_a_worse_version_pass():
    pair = versions(400, [right(400, 40), right(400, 60)])
    assert not judged(*pair)[0].passed
    assert judged(*pair, GateRules(margin=0.1))[0].passed


def test_a_version_that_is_worse_on_seed_labels_is_refused():
    old, new = versions(150, [right(150, 10), right(150, 60)], "seed")
    same = versions(60, [right(60, 10)] * 2)
    outcomes = judged(joined(old, same[0]), joined(new, same[1]))
    assert any("macro-F1 on seed labels" in rule for rule in failed(outcomes))


def test_a_few_seed_labels_do_not_show_that_a_version_is_worse():
    old, new = versions(5, [right(5, 0), right(5, 2)], "seed")
    same = versions(60, [right(60, 10)] * 2)
    assert failed(judged(joined(old, same[0]), joined(new, same[1]))) == []


@pytest.mark.parametrize(("lost", "passes"), [(3, True), (20, False)])
def test_a_tag_is_lost_if_it_is_beyond_noise(lost, passes):
    tags = 60
    kinds = np.r_[np.repeat(0, lost), np.arange(200) % (tags - 1) + 1]
    y_true = np.eye(tags, dtype=bool)[kinds]
    given = np.where(kinds == 0, 1, kinds)
    old = held_out(facet_of(tags), y_true, answers(tags, kinds))
    new = held_out(facet_of(tags), y_true, answers(tags, given))
    outcomes = judged(old, new, GateRules(margin=0.99))
    assert (failed(outcomes) == []) is passes
    if not passes:
        assert "tag-0 1.00 to 0.00" in outcomes[-1].figure


@pytest.mark.parametrize("exclusive", [True, False])
def test_equal_versions_of_many_tags_pass(exclusive):
    """Scores of two versions of equal quality, as close to each other as two trainings are."""
    rng, tags, papers = np.random.default_rng(0), 60, 200
    weight = 1 / np.arange(1, tags + 1) ** 0.8
    passed = 0
    for _ in range(5):
        y_true = np.zeros((papers, tags), bool)
        for row in y_true:
            size = 1 if exclusive else rng.integers(0, 4)
            row[rng.choice(tags, size, replace=False, p=weight / weight.sum())] = True
        common = rng.normal(size=y_true.shape)
        pair = []
        for _ in range(2):
            noise = 0.95**0.5 * common + 0.05**0.5 * rng.normal(size=y_true.shape)
            logit = np.exp((5 * y_true if exclusive else 6 * y_true - 4.2) + 1.6 * noise)
            total = logit.sum(axis=1, keepdims=True) if exclusive else 1 + logit
            pair.append(held_out(facet_of(tags, exclusive=exclusive), y_true, logit / total))
        passed += failed(judged(*pair)) == []
    assert passed >= 4


def test_a_facet_that_cannot_be_compared_does_not_pass():
    old, new = versions(100, [right(100, 25)] * 2)
    found = compare(("1", {"kind": old}), ("2", {"kind": new}))
    outcome = apply_gate(replace(found, skipped=("domain",)), GateRules())[-1]
    assert (outcome.facet, outcome.figure) == ("domain", "it cannot be compared")
    assert not outcome.passed


def test_a_facet_that_the_champion_was_not_measured_in_passes():
    old, new = versions(100, [right(100, 25)] * 2)
    found = compare(("1", {"kind": old}), ("2", {"kind": new}))
    outcomes = apply_gate(replace(found, unmeasured=("domain",)), GateRules())
    assert (outcomes[-1].facet, failed(outcomes)) == ("domain", [])
    assert "1 was not measured in it" in outcomes[-1].figure
