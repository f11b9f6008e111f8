from hypothesis import given
from hypothesis import strategies as st

from tagger.paper import Paper, find_near_duplicates, merge_duplicates, paper_id

titles = st.text(min_size=1, max_size=30)
entries = st.builds(
    Paper,
    st.sampled_from(["One Title", "one  title!", "Another", "A third: title"]),
    st.text(max_size=20),
    st.tuples(st.sampled_from(["a.txt", "b.txt", "c.txt"])),
)


def test_typesetting_does_not_change_identity():
    assert paper_id("Byte-~and Word-Level") == paper_id("byte and  word level")
    assert paper_id("ﬁne tuning") == paper_id("fine-tuning")
    assert paper_id("Fine tuning") != paper_id("Fine tuning 2")


@given(titles)
def test_every_title_has_an_identity(title):
    assert paper_id(title).startswith("t-")
    assert Paper(title, "").id == paper_id(title)


def test_titles_without_letters_stay_apart():
    assert paper_id("!!!") != paper_id("???")


def test_text_joins_title_and_abstract():
    assert Paper("Why?", "Because.").text == "Why? Because."
    assert Paper("A title", "An abstract.").text == "A title. An abstract."
    assert Paper("A title", "").text == "A title."


@given(st.lists(entries, max_size=12))
def test_merging_keeps_every_source_and_is_stable(papers):
    merged = merge_duplicates(papers)
    assert len({paper.id for paper in merged}) == len(merged)
    assert [p.id for p in merged] == list(dict.fromkeys(p.id for p in papers))
    for paper in merged:
        same = [entry for entry in papers if entry.id == paper.id]
        assert set(paper.sources) == {source for entry in same for source in entry.sources}
        assert len(paper.abstract) == max(len(entry.abstract) for entry in same)
    assert merge_duplicates(merged) == merged


def test_versions_of_one_study_are_linked_and_unrelated_papers_are_not():
    text = " ".join(f"word{n} speaks of thing{n}" for n in range(20))
    first = Paper("One", text)
    second = Paper("Two", text.replace("word3 ", "other ").replace("word9 ", "other "))
    third = Paper("Three", " ".join(f"else{n} tells about part{n}" for n in range(20)))
    (pair,) = find_near_duplicates([third, first, second])
    assert {pair.first, pair.second} == {first, second}
    assert 0.5 < pair.similarity < 1


def test_set_phrases_are_no_evidence():
    papers = [Paper(f"Title {n}", "in this paper we propose") for n in range(60)]
    assert find_near_duplicates(papers, common=50) == []
