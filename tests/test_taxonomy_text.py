from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.taxonomy import Facet, Tag, Taxonomy, parse_taxonomy
from tagger.taxonomy_changes import AddTag, MergeTags, RenameTag, RetireTag, SplitTag
from tagger.taxonomy_text import edit_taxonomy

PATH = Path("taxonomy.yaml")
TEXT = """\
# At the head.
name: small   # the name
facets:
  - name: field
    definition: What it is about.
    # About the tags.
    tags:
      - name: health  # well-being
        definition: >
          Health and
          all that.

      # About the heart.
      - name: heart
        definition: "The heart."
        parent: health
      - {name: law, definition: Law., examples: ["Law: Old and New"]}
  - name: size
    definition: How big.
    tags: [{name: big, definition: Big}, {name: small, definition: Small}]
# At the end.
"""


def edit(text, change):
    before = parse_taxonomy(text, PATH)
    kept = change.entries_kept(before.facet(change.facet))
    return edit_taxonomy(text, change.apply(before), change.facet, kept, PATH)


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (
            RenameTag(facet="field", tag="health", into="medicine"),
            ["name: health  # well", "parent: health"],
            ["name: medicine  # well", "parent: medicine"],
        ),
        (
            AddTag(
                facet="field",
                tag="sea",
                definition="The sea: ships.",
                parent="law",
                examples=("Ships", "Law: The Sea"),
            ),
            ['["Law: Old and New"]}\n'],
            [
                '["Law: Old and New"]}\n      - name: sea\n'
                "        definition: 'The sea: ships.'\n        parent: law\n"
                "        examples:\n        - Ships\n        - 'Law: The Sea'\n"
            ],
        ),
        (
            RetireTag(facet="field", tag="heart"),
            ['      - name: heart\n        definition: "The heart."\n        parent: health\n'],
            [""],
        ),
        (
            MergeTags(facet="field", tags=("health", "law"), into="society", definition="Both."),
            [
                "name: health  #",
                ">\n          Health and\n          all that.\n",
                "parent: health",
                '      - {name: law, definition: Law., examples: ["Law: Old and New"]}\n',
                "\n\n      # About the heart.",
            ],
            [
                "name: society  #",
                '"Both."\n',
                "parent: society",
                "",
                '\n        examples:\n        - "Law: Old and New"\n\n      # About the heart.',
            ],
        ),
        (
            RetireTag(facet="field", tag="health"),
            [
                "      - name: health  # well-being\n        definition: >\n"
                "          Health and\n          all that.\n",
                "\n        parent: health",
            ],
            ["", ""],
        ),
        (
            SplitTag(
                facet="size",
                tag="big",
                into=("tall", "wide"),
                definitions={"tall": "T", "wide": "W"},
            ),
            ["definition: Big}"],
            [
                'definition: Big}, {"name": "tall", "definition": "T", "parent": "big"}, '
                '{"name": "wide", "definition": "W", "parent": "big"}'
            ],
        ),
        (
            MergeTags(facet="size", tags=("big",), into="small"),
            ["{name: big, definition: Big}, "],
            [""],
        ),
    ],
)
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_only_what_changes_is_written_anew(change, old, new, line_break):
    expected = TEXT
    for was, now in zip(old, new, strict=True):
        assert expected.count(was) == 1
        expected = expected.replace(was, now)
    after = edit(TEXT.replace("\n", line_break), change)
    assert after == expected.replace("\n", line_break)


def test_a_name_that_yaml_takes_for_something_else_is_quoted():
    after = edit(TEXT, RenameTag(facet="field", tag="health", into="null"))
    assert 'name: "null"  # well-being' in after
    assert 'parent: "null"' in after


def test_a_file_without_a_last_line_break_is_edited():
    text = "name: s\nfacets:\n- name: f\n  definition: F\n  tags:\n  - name: a\n    definition: A"
    after = edit(text, AddTag(facet="f", tag="b", definition="B"))
    assert after == text + "\n  - name: b\n    definition: B"
    assert edit(after, RetireTag(facet="f", tag="b")) == text


def test_a_layout_that_cannot_be_edited_is_refused():
    odd = "-\n        # a-b\n        name: heart"
    text = TEXT.replace("- name: heart", odd)
    with pytest.raises(TaggerError, match="cannot be edited"):
        edit(text, RetireTag(facet="field", tag="heart"))


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1)
definitions = words.map(str.strip).filter(bool)


@given(
    st.lists(definitions, min_size=3, max_size=3),
    definitions,
    st.lists(st.lists(definitions, max_size=2).map(tuple), min_size=3, max_size=3),
    st.booleans(),
    st.booleans(),
    st.sampled_from(
        [
            RenameTag(facet="f", tag="b", into="x"),
            RetireTag(facet="f", tag="a"),
            RetireTag(facet="f", tag="c"),
            RetireTag(facet="f", tag="b", into="c"),
            MergeTags(facet="f", tags=("a", "b"), into="c"),
            MergeTags(facet="f", tags=("b", "c"), into="a"),
            None,
        ]
    ),
)
def test_whatever_a_definition_holds_the_file_can_be_edited(
    texts, new, examples, flow, lists, change
):
    tags = [
        Tag(name=name, definition=text, parent=parent, examples=some)
        for name, text, parent, some in zip("abc", texts, (None, "a", "b"), examples, strict=True)
    ]
    taxonomy = Taxonomy(name="t", facets=(Facet(name="f", definition="F.", tags=tuple(tags)),))
    text = yaml.safe_dump(
        taxonomy.model_dump(mode="json", exclude_none=True),
        allow_unicode=True,
        sort_keys=False,
        # True: all on one line; None: lists that hold no others.
        default_flow_style=flow or (None if lists else False),
    )
    change = change or MergeTags(facet="f", tags=("a", "c"), into="y", definition=new)
    assert parse_taxonomy(edit(text, change), PATH) == change.apply(taxonomy)
    added = AddTag(facet="f", tag="z", definition=new, examples=examples[0])
    assert parse_taxonomy(edit(text, added), PATH) == added.apply(taxonomy)
