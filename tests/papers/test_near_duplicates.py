"""Near duplicates equal those found by comparing every pair."""

import re
from collections import Counter, defaultdict
from itertools import combinations
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.papers import (
    NearDuplicate,
    Paper,
    find_near_duplicates,
    group_near_duplicates,
    near_duplicates,
)

THRESHOLD = 0.15


def shingles(paper):
    words = re.findall(r"\w+", paper.abstract.casefold())
    return set(zip(words, words[1:], words[2:], strict=False))


def every_pair(papers, common=50):
    """Compare every pair: the ids and the similarity of those above the threshold.

    Copies of one abstract count once, and are paired with the first of them.
    """
    own, originals, found = [shingles(paper) for paper in papers], {}, {}
    holders, shared = defaultdict(list), Counter()
    for number, some in enumerate(own):
        first = originals.setdefault(frozenset(some), number)
        if first == number:
            for shingle in some:
                holders[shingle].append(number)
        elif some:
            found[papers[first].id, papers[number].id] = 1.0
    for numbers in holders.values():
        if len(numbers) <= common:
            shared.update(combinations(numbers, 2))
    for (one, other), count in shared.items():
        similarity = count / (len(own[one]) + len(own[other]) - count)
        if similarity >= THRESHOLD:
            found[papers[one].id, papers[other].id] = round(similarity, 4)
    return found


def found_pairs(papers):
    return {pair.ids: pair.similarity for pair in find_near_duplicates(papers)}


@pytest.fixture(scope="module")
def rewritten():
    """Generate studies with three versions each, which differ in a varying number of words."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"w{n}" for n in range(5000)])
    # As in any language, few words make most of a text.
    weights = 1 / np.arange(1, len(vocabulary) + 1)
    weights /= weights.sum()
    papers = []
    for study in range(500):
        text = rng.choice(vocabulary, 120, p=weights)
        for version in range(3):
            other = rng.choice(vocabulary, len(text), p=weights)
            own = np.where(rng.random(len(text)) < rng.uniform(0, 0.5) * (version > 0), other, text)
            papers.append(Paper(f"Study {study}, version {version}", " ".join(own)))
    rng.shuffle(papers)
    return papers, every_pair(papers)


@pytest.mark.parametrize(("at_once", "keys"), [(8192, 1 << 19), (100, 1000)])
def test_all_similar_pairs_among_thousands_are_found(monkeypatch, rewritten, at_once, keys):
    monkeypatch.setattr(near_duplicates, "_PAPERS_AT_ONCE", at_once)
    monkeypatch.setattr(near_duplicates, "_KEYS_AT_ONCE", keys)
    papers, expected = rewritten
    found = found_pairs(papers)
    assert found.items() <= expected.items()
    clear = {ids for ids, similarity in expected.items() if similarity >= THRESHOLD + 0.1}
    assert len(clear) > 350
    assert clear <= found.keys()
    assert len(found) >= 0.99 * len(expected)


@settings(max_examples=60)
@given(st.lists(st.text("ab c", max_size=40), max_size=12), st.integers(2, 5))
def test_pairs_of_short_abstracts_are_always_found(texts, common):
    papers = [Paper(f"Title {n}", text) for n, text in enumerate(texts)]
    with patch("tagger.papers.near_duplicates._COMMON", common):
        assert found_pairs(papers) == every_pair(papers, common)


def test_common_phrases_do_not_count_as_similarity():
    phrase = " ".join(f"we{n}" for n in range(30))
    own = " ".join(f"own{n}" for n in range(30))
    papers = [Paper(f"Title {n}", f"{phrase} {n}") for n in range(60)]
    papers += [Paper(name, f"{own} {name} {phrase}") for name in ("One", "Two")]
    assert found_pairs(papers) == every_pair(papers)
    (pair,) = find_near_duplicates(papers)
    assert pair.titles == ("One", "Two")
    assert pair.similarity < 0.5


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh"))))
def test_pairs_that_share_a_paper_are_one_group(edges):
    pairs = [
        NearDuplicate(edge, (edge[0].upper(), edge[1].upper()), 1 - number / 100)
        for number, edge in enumerate(edges)
        if edge[0] != edge[1]
    ]
    joined = {paper: {paper} for pair in pairs for paper in pair.ids}
    for _ in pairs:
        for one, other in (pair.ids for pair in pairs):
            joined[one] = joined[other] = joined[one] | joined[other]
    groups = group_near_duplicates(pairs)
    assert {frozenset(group.titles) for group in groups} == {*map(frozenset, joined.values())}
    assert sum(len(group.titles) for group in groups) == len(joined)
    # The group with the most similar pair comes first.
    most = [group.similarity[-4:] for group in groups]
    assert most == sorted(most, reverse=True)
    assert all(title == paper.upper() for one in groups for paper, title in one.titles.items())
