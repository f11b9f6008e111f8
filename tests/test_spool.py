"""Papers in a file are the papers that were put there."""

import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger import spool
from tagger.errors import TaggerError
from tagger.paper import Paper, merge_duplicates
from tagger.spool import MergedPapers, PaperSpool

texts = st.text(max_size=20) | st.just("half of a pair: \ud800")
any_papers = st.lists(
    st.builds(
        Paper,
        st.sampled_from(["One", "one!", "Two"]) | texts,
        texts,
        st.lists(texts, max_size=2).map(tuple),
        st.sampled_from(["", "my-7", "t-own"]),
        st.lists(st.sampled_from(["doi:10.1/a", "arxiv:1", "pmid:7"]), max_size=2).map(tuple),
    ),
    max_size=8,
)


@given(any_papers, st.sampled_from([1, 1 << 20]))
def test_papers_come_back_as_they_were(papers, in_memory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "_IN_MEMORY", in_memory)
        kept = PaperSpool(iter(papers))
    assert list(kept) == papers
    assert len(kept) == len(papers)
    assert kept[1:-1] == papers[1:-1]
    assert [kept[n] for n in range(-len(papers), 0)] == papers
    with pytest.raises(IndexError):
        kept[len(papers)]


@given(any_papers)
def test_they_are_merged_as_in_memory(papers):
    merged = MergedPapers(PaperSpool(papers))
    expected = merge_duplicates(papers)
    assert list(merged) == expected
    assert len(merged) == len(expected)
    assert merged[::-1] == expected[::-1]


def test_of_papers_that_break_off_none_is_kept():
    def breaking():
        yield Paper("Two", "")
        raise TaggerError("no more")

    kept = PaperSpool([Paper("One", "")])
    with pytest.raises(TaggerError, match="no more"):
        kept.extend(breaking())
    kept.extend([Paper("Three", "")])
    assert [paper.title for paper in kept] == ["One", "Three"]


def test_a_full_folder_is_named(monkeypatch):
    class Full:
        def seek(self, _place): ...

        def write(self, _content):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "temporary_file", lambda _size: Full())
    with pytest.raises(TaggerError, match=r"No space left on device.*TMPDIR") as caught:
        PaperSpool([Paper("One", "")])
    assert caught.value.path == tempfile.gettempdir()
