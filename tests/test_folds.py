from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tagger.folds import assign_folds

labelled = st.lists(
    st.tuples(st.text(min_size=1, max_size=5), st.integers(0, 3)), unique_by=lambda pair: pair[0]
)


@given(labelled, st.integers(2, 5), st.integers(0, 3), st.data())
def test_papers_keep_their_fold_when_labels_are_added(papers, folds, seed, data):
    ids, strata = [p[0] for p in papers], [p[1] for p in papers]
    count = data.draw(st.integers(0, len(papers)))
    before = assign_folds(ids[:count], strata[:count], folds, seed)
    after = assign_folds(ids, strata, folds, seed)
    assert after[:count].tolist() == before.tolist()


@given(labelled, st.integers(2, 5))
def test_each_fold_gets_about_as_many_of_each_kind(papers, folds):
    ids, strata = [p[0] for p in papers], [p[1] for p in papers]
    assigned = assign_folds(ids, strata, folds, 0)
    for stratum in set(strata):
        sizes = Counter(dict.fromkeys(range(folds), 0))
        sizes.update(int(f) for f, s in zip(assigned, strata, strict=True) if s == stratum)
        assert max(sizes.values()) - min(sizes.values()) <= 1


@given(labelled, st.integers(2, 5), st.data())
def test_papers_keep_their_fold_when_others_are_relabelled_or_gone(papers, folds, data):
    ids, strata = [p[0] for p in papers], [p[1] for p in papers]
    before = dict(zip(ids, assign_folds(ids, strata, folds, 0).tolist(), strict=True))
    left = data.draw(st.permutations(papers))[: len(papers) // 2]
    changed = [(name, data.draw(st.integers(0, 3))) for name, _ in left] + [("new paper", 0)]
    ids, strata = [p[0] for p in changed], [p[1] for p in changed]
    after = dict(zip(ids, assign_folds(ids, strata, folds, 1, before).tolist(), strict=True))
    assert all(after[name] == before[name] for name, _ in left)
    assert 0 <= after["new paper"] < folds


def test_no_fold_is_empty_though_every_paper_is_of_its_own_kind():
    assigned = assign_folds([f"t-{n}" for n in range(6)], range(6), 3, 0)
    assert Counter(assigned.tolist()) == {0: 2, 1: 2, 2: 2}


def test_another_seed_gives_other_folds():
    ids = [f"t-{n}" for n in range(30)]
    kinds = [n % 3 for n in range(30)]
    assert assign_folds(ids, kinds, 5, 0).tolist() != assign_folds(ids, kinds, 5, 1).tolist()
