import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.papers import TEXT_VIEWS, Paper
from tagger.papers.text_views import EXCERPT_WORDS, excerpt, title

FILLER = "Hearts beat in many ways. " * 20


def test_an_excerpt_begins_with_the_title_and_what_the_authors_did():
    paper = Paper("On Hearts", f"{FILLER}We survey hearts. {FILLER}This study counts beats.")
    words = excerpt(paper)
    assert words.startswith("On Hearts. We survey hearts. This study counts beats. Hearts beat")
    assert len(words.split()) == EXCERPT_WORDS


def test_a_short_paper_is_read_whole_and_the_title_alone():
    paper = Paper("On Hearts", "Hearts beat. We survey hearts.")
    assert excerpt(paper) == paper.text
    assert title(paper) == "On Hearts."
    assert title(Paper("", "Hearts beat.")) == "Hearts beat."


@given(st.builds(Paper, st.text(max_size=80), st.text(max_size=600)))
def test_no_view_says_more_than_the_paper(paper):
    letters = set(paper.text) | {" ", "."}
    for read in TEXT_VIEWS.values():
        assert set(read(paper)) <= letters
        assert len(read(paper).split()) <= len(paper.text.split())
    assert excerpt(paper) == paper.text or len(excerpt(paper).split()) == EXCERPT_WORDS


@pytest.mark.parametrize("text", ["Das Herz schlägt. " * 40, "心臓" * 200])
def test_other_languages_are_read_from_the_beginning(text):
    paper = Paper("T", text.strip())
    assert paper.text.startswith(excerpt(paper))
