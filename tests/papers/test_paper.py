import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.papers import KnownPapers, Paper, group_entries, merge_duplicates, paper_id


def test_title_identity_ignores_typesetting():
    assert paper_id("Byte-~and Word-Level") == paper_id("byte and  word level")
    assert paper_id("ﬁne tuning") == paper_id("fine-tuning")
    assert paper_id("Fine tuning") != paper_id("Fine tuning 2")
    assert paper_id("!!!") != paper_id("???")


def test_names_that_differ_in_their_signs_distinguish_titles():
    titles = [f"Teaching programming in {name}" for name in ("C", "C++", "C#", "F#")]
    assert len({paper_id(title) for title in titles}) == 4
    assert len({paper_id(f"{title} – a study") for title in titles}) == 4
    papers = [Paper(title, "", identifiers=("doi:10.5555/a",)) for title in titles[1:]]
    assert len(group_entries(papers)) == 3
    assert paper_id("C#") == paper_id("C\u266f") == paper_id("c sharp")


@pytest.mark.parametrize(
    "title", ["A+", "GPT-4+", "$O(n)$ + c", "Ca++ waves", "C+ and D#", "#hashtag", "C # 2", "abc#"]
)
def test_other_signs_do_not_distinguish_titles(title):
    assert paper_id(title) == paper_id(title.replace("+", "").replace("#", ""))


@given(st.text(min_size=1, max_size=30))
def test_every_title_has_an_identity(title):
    assert Paper(title, "").id == paper_id(title)
    assert paper_id(title).startswith("t-")


def test_vowel_signs_distinguish_titles():
    time, art = "\u0915\u093e\u0932", "\u0915\u0932\u093e"
    assert paper_id(time) != paper_id(art)
    papers = [Paper(title, "", identifiers=("doi:10.5555/a",)) for title in (time, art)]
    assert len(group_entries(papers)) == 2
    # A joiner has no shape.
    assert paper_id("\u0915\u094d\u200d\u0937") == paper_id("\u0915\u094d\u0937")


@pytest.mark.parametrize(
    ("title", "same"),
    [
        ("Caf\u00e9", "cafe\u0301"),
        ("\u0130stanbul", "istanbul"),
        ("\u03b0", "\u03c5"),
        ("q\u0304", "q"),
        ("\u0643\u0650\u062a\u0627\u0628", "\u0643\u062a\u0627\u0628"),
        ("I \u2764\ufe0f maps", "I \u2764 maps"),
    ],
)
def test_accents_apart_from_letters_and_points_do_not(title, same):
    assert paper_id(title) == paper_id(same)


def test_text_joins_title_and_abstract():
    assert Paper("Why?", "Because.").text == "Why? Because."
    assert Paper("A title", "An abstract.").text == "A title. An abstract."
    assert Paper("A title", "").text == "A title."


IDENTIFIERS = ["doi:10.1/a", "doi:10.1/b", "arxiv:1", "arxiv:2", "pmid:1"]
identified = st.builds(
    Paper,
    st.sampled_from(["Introduction", "introduction!", "Another", "A third"]),
    st.text(max_size=5),
    st.sampled_from([("a.bib",), ("b.ris",), ("c.txt",)]),
    st.just(""),
    st.lists(st.sampled_from(IDENTIFIERS), max_size=3).map(tuple),
)


def is_same(one, other):
    """Papers are the same if their titles agree and they share an identifier, or no kind of one."""
    kinds = [{name.split(":")[0] for name in paper.identifiers} for paper in (one, other)]
    shared = set(one.identifiers) & set(other.identifiers)
    return paper_id(one.title) == paper_id(other.title) and (
        bool(shared) or kinds[0].isdisjoint(kinds[1])
    )


@given(st.lists(identified, max_size=7), st.randoms(use_true_random=False))
def test_grouping_does_not_depend_on_order(papers, random):
    order = list(range(len(papers)))
    random.shuffle(order)
    groups, shuffled = group_entries(papers), group_entries([papers[place] for place in order])
    assert sorted(sorted(order[place] for place in group) for group in shuffled) == groups
    assert sorted(place for group in groups for place in group) == list(range(len(papers)))
    classes = {
        frozenset(n for n, other in enumerate(papers) if is_same(paper, other)) for paper in papers
    }
    if sum(map(len, classes)) == len(papers):  # an equivalence
        assert set(map(frozenset, groups)) == classes


@given(st.lists(identified, max_size=8))
def test_merging_loses_no_identifier_and_no_source(papers):
    merged = merge_duplicates(papers)
    assert len({paper.id for paper in merged}) == len(merged)
    for paper, places in zip(merged, group_entries(papers), strict=True):
        entries = [papers[place] for place in places]
        assert paper.title == entries[0].title
        assert set(paper.identifiers) == {name for e in entries for name in e.identifiers}
        assert set(paper.sources) == {source for entry in entries for source in entry.sources}
        assert len(paper.abstract) == max(len(entry.abstract) for entry in entries)
    everywhere = [(name, paper_id(p.title)) for p in merged for name in p.identifiers]
    assert len(everywhere) == len(set(everywhere))


@given(st.lists(identified, max_size=5), identified)
def test_known_papers_recognise_the_same_paper(papers, paper):
    assert (paper in KnownPapers(papers)) == any(is_same(paper, other) for other in papers)


def test_the_first_identifier_is_the_id():
    paper = Paper("One", "", identifiers=("pmid:1", "arxiv:1", "doi:10.1/a", "arxiv:1"))
    assert paper.identifiers == ("doi:10.1/a", "arxiv:1", "pmid:1")
    assert paper.id == "doi:10.1/a"
    assert paper.known_as == {"doi:10.1/a", "arxiv:1", "pmid:1", paper_id("One")}
    assert Paper("One", "", id="pmid:1").identifiers == ("pmid:1",)
    with pytest.raises(ValueError, match="tuple"):
        Paper("One", "", identifiers=("isbn:1",))


def test_entries_are_joined_across_what_they_share():
    entries = [
        Paper("A preprint", "Short.", ("a",), identifiers=("arxiv:1",)),
        Paper("Elsewhere", "", ("b",)),
        Paper("A preprint: a study", "Longer text.", ("c",), identifiers=("doi:10.1/a",)),
        Paper("A preprint", "", ("d",), identifiers=("arxiv:1", "doi:10.1/a")),
        Paper("A preprint -- a  study!", "", ("e",)),
    ]
    first, second = merge_duplicates(entries)
    assert (first.id, first.title, second.title) == ("doi:10.1/a", "A preprint", "Elsewhere")
    assert (first.abstract, first.sources) == ("Longer text.", ("a", "c", "d", "e"))


@pytest.mark.parametrize(
    ("entries", "groups"),
    [
        # Two papers of one title stay two, and one without identifier is neither.
        ([("One", "doi:10.1/a"), ("One",), ("One", "doi:10.1/b"), ("one",)], [[0], [1, 3], [2]]),
        # Two titles do not join what neither would alone.
        (
            [("A a", "doi:1"), ("A a: b", "doi:1"), ("A a", "arxiv:1"), ("A a: b", "arxiv:2")],
            [[0, 1], [2], [3]],
        ),
        ([("C", "arxiv:3"), ("C", "pmid:3")], [[0, 1]]),
        # An identifier joins only titles that agree; a book agrees with each of its chapters.
        ([("Lamps", "doi:1"), ("Lamps at sea", "doi:1"), ("Lamp", "doi:1")], [[0], [1], [2]]),
        ([("A b", "doi:1"), ("A b: c", "doi:1"), ("A b: d", "doi:1")], [[0], [1], [2]]),
    ],
)
def test_ambiguous_entries_are_not_joined(entries, groups):
    papers = [Paper(title, "", identifiers=tuple(names)) for title, *names in entries]
    assert group_entries(papers) == groups


@given(st.lists(identified, max_size=8))
def test_titles_do_not_join_different_identifiers_of_one_kind(papers):
    for group in group_entries(papers):
        # The group's entries by identifiers alone: those of a paper, all linked.
        linked = []
        for own in (set(papers[place].identifiers) for place in group):
            near = [each for each in linked if each & own]
            linked = [each for each in linked if each not in near] + [own.union(*near)]
        kinds = [{name.split(":")[0] for name in each} for each in linked]
        assert sum(map(len, kinds)) == len(set().union(*kinds))


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("Colour of lamps", "The color of lamps.", False),
        ("A randomised trial of lamps", "Randomized trial of lamps.", True),
        ("CO 2 on wards", "CO<sub>2</sub> on Wards", False),
        ("CO 2 on wards", "CO2 on Wards", True),
        ("Harbour Lights", "Harbour lights: training small readers", True),
        ("Readers of tide tables in small", "Readers of tide tables in small harbo\u2026", True),
        ("Introduction", "Introduction: lamps at war", False),
        ("Deep learning for lamps", "Deep learning for sleep", False),
        ("Lamps: a survey", "Lamps: a trial", False),
        *(
            (f"Lamps on the quiet ward {one}", f"Lamps on the quiet ward {other}", False)
            for one, other in [("I", "II"), ("1", "2"), ("", "II"), ("A", "B")]
        ),
    ],
)
def test_titles_of_one_work_agree(one, other, agree):
    pair = [Paper(title, "", identifiers=("doi:10.1/a",)) for title in (one, other)]
    assert len(merge_duplicates(pair)) == 2 - agree
    assert (pair[0] in KnownPapers(pair[1:])) == agree


def test_papers_that_share_an_identifier_have_different_ids():
    chapters = [Paper(f"Lamps, part {n}", "", identifiers=("doi:10.1/a",)) for n in range(60)]
    merged = merge_duplicates([*chapters, *chapters])
    assert len({paper.id for paper in merged}) == len(merged) == 60
    assert all(paper.identifiers == ("doi:10.1/a",) for paper in merged)
    assert merge_duplicates([*merged, chapters[0]]) == merged


def test_thousands_of_papers_with_one_title_stay_apart():
    papers = [Paper("Editorial", "", identifiers=(f"doi:10.1/{n}",)) for n in range(20_000)]
    assert len(merge_duplicates(papers)) == 20_000
    assert Paper("Editorial", "", identifiers=("doi:10.1/x",)) not in KnownPapers(papers)


def test_custom_id_is_kept_when_entries_are_merged():
    given_id = Paper("One", "", id="my-7")
    assert [p.id for p in merge_duplicates([Paper("One", "Text."), given_id])] == ["my-7"]
    assert len(merge_duplicates([given_id, Paper("One", "", id="my-8")])) == 2
