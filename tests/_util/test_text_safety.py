from collections import defaultdict

import pytest
from bs4 import BeautifulSoup
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tagger._util.rendering import render
from tagger._util.text_safety import as_markdown
from tagger.tagging.writers.arrow import arrow_schema
from tagger.tagging.writers.dataset import dataset_card
from tagger.taxonomy import Facet, Tag, Taxonomy
from tagger.training import TrainingSettings

EVIL = (
    "<script>alert(1)</script> ![x](http://x.invalid/track.png) [a](javascript:alert(1)) "
    "| # `code` <img src=x onerror=alert(1)> &lt;b&gt; **b**"
)


def shown(text):
    """Render a text as Markdown, and return the elements and the displayed text."""
    page = BeautifulSoup(MarkdownIt("commonmark").enable("table").render(text), "lxml")
    return {node.name for node in page.find_all()}, " ".join(page.get_text().split())


@example(EVIL)
@given(st.text(st.sampled_from("ab <>&|\\`*_[]()!#~\n"), max_size=40))
def test_markdown_displays_any_text_literally(text):
    expected = " ".join(f"A {text} b".split())
    assert shown(f"A {as_markdown(text)} b") == ({"html", "body", "p"}, expected)


@pytest.fixture
def hostile():
    tags = tuple(Tag(name=name, definition=f"{name} {EVIL}") for name in ("one", "two"))
    return Taxonomy(name="evil", facets=(Facet(name="kind", definition=EVIL, tags=tags),))


def test_the_card_of_a_data_set_shows_definitions_as_text(hostile):
    card = dataset_card(arrow_schema(hostile).empty_table(), hostile)
    elements, said = shown(card.split("---\n", 2)[2])
    assert not elements & {"script", "img", "a"}
    assert f"one {EVIL}" in said


def test_the_card_of_a_model_shows_definitions_as_text(hostile):
    half = defaultdict(lambda: 0.5)
    card = render(
        "registry/model_card.md",
        facets=hostile.facets,
        settings=TrainingSettings(encoder="![x](y)<b>"),
        metrics=half,
        lineage=half,
        samples=[],
        shown_metrics={},
        unknown="unknown",
        min_confidence=0.6,
    )
    elements, said = shown(card)
    assert not elements & {"script", "img", "a", "b"}
    assert f"one {EVIL}" in said
