"""A spool returns the papers that were added."""

import pickle
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.papers import Paper, PaperSpool, merge_duplicates, spool
from tagger.papers.identity import EntryKeys
from tagger.papers.spool import Entries, MergedPapers

texts = st.text(max_size=20) | st.just("half of a pair: \ud800")
any_papers = st.lists(
    st.builds(
        Paper,
        st.sampled_from(["One", "one!"]) | texts,
        texts,
        st.lists(texts, max_size=2).map(tuple),
        st.sampled_from(["", "my-7", "t-own"]),
        st.sampled_from([(), ("doi:10.1/a",), ("doi:10.1/a", "pmid:7")]),
    ),
    max_size=8,
)


@given(any_papers)
def test_spool_returns_and_merges_papers_like_a_list(papers):
    kept = PaperSpool(iter(papers))
    assert list(kept) == papers
    assert len(kept) == len(papers)
    assert kept[1:-1] == papers[1:-1]
    assert [kept[n] for n in range(-len(papers), 0)] == papers
    with pytest.raises(IndexError):
        kept[len(papers)]
    with tempfile.TemporaryDirectory() as folder:
        places = {}
        for number, some in enumerate((papers[:3], papers[3:])):
            places[Path(folder, str(number))] = len(some)
            PaperSpool(some, Path(folder, str(number))).close()
        keys = EntryKeys()
        entries = Entries(places)
        assert list(keys.adding(entries)) == papers
        merged, expected = MergedPapers(entries, keys, Path(folder)), merge_duplicates(papers)
        for each in (merged, pickle.loads(pickle.dumps(merged))):
            assert list(each) == expected
            assert each[::-1] == expected[::-1]


def test_a_locked_or_damaged_file_is_named(tmp_path, monkeypatch):
    path = tmp_path / "papers.sqlite"
    PaperSpool([Paper("A", "b")], path).close()
    real = sqlite3.connect
    monkeypatch.setattr(
        spool.sqlite3, "connect", lambda *given, **named: real(*given, **named, timeout=0)
    )
    other = real(path)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TaggerError, match="another process uses this file"):
        PaperSpool([Paper("B", "b")], path)
    other.execute("UPDATE papers SET fields = 'x'")
    other.commit()
    with pytest.raises(TaggerError, match=r"papers\.sqlite: cannot be read"):
        PaperSpool(path=path)[0]
    path.write_bytes(b"no database" * 100)
    with pytest.raises(TaggerError, match=r"papers\.sqlite: cannot be read"):
        PaperSpool(path=path)


def test_full_disk_is_reported_with_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(spool.tempfile, "tempdir", None)
    real = sqlite3.connect

    def small(*arguments, **options):
        database = real(*arguments, **options)
        database.execute("PRAGMA max_page_count = 4")
        return database

    monkeypatch.setattr(spool.sqlite3, "connect", small)
    with pytest.raises(TaggerError, match=r"cannot be written .*full.*TMPDIR") as caught:
        PaperSpool(Paper(f"Paper {n}", "text " * 100) for n in range(1000))
    assert caught.value.path == str(tmp_path)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
