from collections import Counter

import numpy as np
from helpers.samples import small_taxonomy
from hypothesis import given
from hypothesis import strategies as st

from tagger.labels import LabelStore
from tagger.taxonomy import Taxonomy
from tagger.training import TrainingData
from tagger.training.data import assign_folds, examples_of
from tagger.training.fine_tuning import targets_of


def test_papers_come_first_and_then_examples_each_judged_in_its_own_facet(label_folder):
    labels = LabelStore(label_folder).labels()
    content = small_taxonomy().model_dump()
    kind, field = content["facets"]
    kind["tags"][2]["examples"] = ["Does It Work?", "We Asked"]
    field["tags"][1]["examples"] = ["Heart Rates"]
    data = TrainingData.of(labels, Taxonomy.model_validate(content))
    papers = data.papers(np.array([3, 1]))
    examples = examples_of(data, [paper.text for paper in papers], np.array([3, 1]))
    texts = [*(paper.text for paper in papers), "Does It Work?", "We Asked", "Heart Rates"]
    assert examples["text"][:] == texts
    assert examples.features["tags.kind"].names == [tag["name"] for tag in kind["tags"]]
    kinds = [int(data.y_true["kind"][row].argmax()) for row in (3, 1)]
    assert examples["tags.kind"][:] == [*kinds, 2, 2, None]
    fields = [np.flatnonzero(data.y_true["field"][row]).tolist() for row in (3, 1)]
    # What is about the heart is about health.
    assert examples["tags.field"][:] == [*fields, None, None, [0, 1]]
    targets = targets_of(examples)
    for name, y_true in data.y_true.items():
        assert (targets[name].memberships[:2] == y_true[[3, 1]]).all()
    assert targets["kind"].annotated.tolist() == [True] * 4 + [False]
    assert targets["field"].annotated.tolist() == [True, True, False, False, True]
    # Without examples there are the papers.
    data = TrainingData.of(labels, small_taxonomy())
    assert examples_of(data, ["a", "b"], np.array([3, 1]))["text"][:] == ["a", "b"]


labelled = st.lists(
    st.tuples(st.text(min_size=1, max_size=5), st.integers(0, 3)), unique_by=lambda pair: pair[0]
)


def folds_of(papers, folds, seed=0, known=None):
    ids, strata = [name for name, _ in papers], [kind for _, kind in papers]
    assigned = assign_folds(ids, strata, folds, seed, known)
    return dict(zip(ids, assigned.tolist(), strict=True))


@given(labelled, st.integers(2, 5), st.integers(0, 3), st.data())
def test_papers_keep_their_fold_when_labels_are_added(papers, folds, seed, data):
    before = folds_of(papers[: data.draw(st.integers(0, len(papers)))], folds, seed)
    assert before.items() <= folds_of(papers, folds, seed).items()


@given(labelled, st.integers(2, 5))
def test_each_fold_gets_about_as_many_of_each_kind(papers, folds):
    assigned = folds_of(papers, folds)
    sizes = Counter((kind, assigned[name]) for name, kind in papers)
    for kind in {kind for _, kind in papers}:
        of_kind = [sizes[kind, fold] for fold in range(folds)]
        assert max(of_kind) - min(of_kind) <= 1


@given(labelled, st.integers(2, 5), st.data())
def test_papers_keep_their_fold_when_others_are_relabelled_or_gone(papers, folds, data):
    before = folds_of(papers, folds)
    left = data.draw(st.permutations(papers))[: len(papers) // 2]
    changed = [(name, data.draw(st.integers(0, 3))) for name, _ in left] + [("new paper", 0)]
    after = folds_of(changed, folds, 1, before)
    assert all(after[name] == before[name] for name, _ in left)
    assert 0 <= after["new paper"] < folds


def test_no_fold_is_empty_though_every_paper_is_of_its_own_kind():
    assigned = assign_folds([f"t-{n}" for n in range(6)], range(6), 3, 0)
    assert Counter(assigned.tolist()) == {0: 2, 1: 2, 2: 2}


def test_another_seed_gives_other_folds():
    papers = [(f"t-{n}", n % 3) for n in range(30)]
    assert folds_of(papers, 5, 0) != folds_of(papers, 5, 1)


@given(labelled, st.integers(2, 5), st.data())
def test_near_duplicates_share_a_fold(papers, folds, data):
    ids, strata = [name for name, _ in papers], [kind for _, kind in papers]
    groups = [data.draw(st.integers(0, index)) for index in range(len(ids))]
    assigned = assign_folds(ids, strata, folds, 0, groups=groups)
    assert len({*zip(groups, assigned.tolist(), strict=True)}) == len({*groups})


def test_tags_of_all_facets_are_spread_over_the_folds():
    ids = [f"t-{n}" for n in range(60)]
    tagged = [["law"] * (n % 4 == 0) + ["heart"] * (n % 6 == 0) for n in range(60)]
    assigned = assign_folds(ids, [0] * 60, 5, 0, tagged=tagged)
    for tag in ("law", "heart"):
        of_tag = Counter(assigned[[tag in tags for tags in tagged]].tolist())
        assert max(of_tag.values()) - min(of_tag[fold] for fold in range(5)) <= 2


def test_rewritten_abstracts_are_near_duplicates_and_short_texts_are_not(label_folder):
    labels = LabelStore(label_folder).labels()
    text = " ".join(f"word{n}" for n in range(80))
    texts = {3: text, 7: f"We wrote it anew: {text}", 9: f"{text} And more."}
    labels = [
        label.model_copy(update={"text": texts.get(index, label.text)})
        for index, label in enumerate(labels)
    ]
    groups = TrainingData.of(labels, small_taxonomy()).groups
    assert [groups[index] for index in texts] == [3, 3, 3]
    assert len({*groups}) == len(labels) - 2
