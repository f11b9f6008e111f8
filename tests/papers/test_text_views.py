import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.papers import TEXT_VIEWS, Paper
from tagger.papers.text_views import EXCERPT_WORDS, excerpt, title

FILLER = "Hearts beat in many ways. " * 20


def test_excerpt_begins_with_title_and_own_work():
    paper = Paper("On Hearts", f"{FILLER}We survey hearts. {FILLER}This study counts beats.")
    words = excerpt(paper)
    assert words.startswith("On Hearts. We survey hearts. This study counts beats. Hearts beat")
    assert len(words.split()) == EXCERPT_WORDS


def test_short_paper_is_its_own_excerpt():
    paper = Paper("On Hearts", "Hearts beat. We survey hearts.")
    assert excerpt(paper) == paper.text
    assert title(paper) == "On Hearts."
    assert title(Paper("", "Hearts beat.")) == "Hearts beat."


@given(st.builds(Paper, st.text(max_size=80), st.text(max_size=600)))
def test_views_contain_only_words_of_the_paper(paper):
    letters = set(paper.text) | {" ", "."}
    for read in TEXT_VIEWS.values():
        assert set(read(paper)) <= letters
        assert len(read(paper).split()) <= len(paper.text.split())
    assert excerpt(paper) == paper.text or len(excerpt(paper).split()) == EXCERPT_WORDS


@pytest.mark.parametrize("text", ["Das Herz schlägt. " * 40, "心臓" * 200])
def test_excerpt_of_other_languages_is_the_beginning(text):
    paper = Paper("T", text.strip())
    assert paper.text.startswith(excerpt(paper))
