import json
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from helpers.made_taxonomies import NAMES, made_facets
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.taxonomy import (
    Taxonomy,
    TaxonomyDocument,
    add_tag,
    compare_taxonomies,
    merge_tags,
    rename_tag,
    retire_tag,
    split_tag,
    translate_facet,
)
from tagger.taxonomy.draft import to_yaml

PATH = Path("taxonomy.yaml")
TWO = {"left": "On the left.", "right": "On the right."}
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


def edit(text, change, *arguments, **options):
    document = TaxonomyDocument(text, PATH)
    change(document, *arguments, **options)
    return document.text()


def apply(taxonomy, change, *arguments, **options):
    text = edit(to_yaml(taxonomy), change, *arguments, **options)
    return TaxonomyDocument(text, PATH).taxonomy


def parents(taxonomy):
    return {tag.name: tag.parent for tag in taxonomy.facet("field").tags}


def tags_of(names, *parents):
    """Return a taxonomy of one facet; the example and the cue of each tag are its name."""
    tags = [
        {"name": name, "definition": "D.", "parent": above, "examples": [name], "cues": [name]}
        for name, above in zip_longest(names, parents)
    ]
    facet = {"name": "field", "definition": "F.", "tags": tags}
    return Taxonomy.model_validate({"name": "c", "facets": [facet]})


HEALTH = "name: health  # well-being\n"
MEANING = "        definition: >\n          Health and\n          all that.\n"
LAW = '      - {name: law, definition: Law., examples: ["Law: Old and New"]}\n'
SEA = "      - name: sea\n        definition: 'The sea: ships.'\n        parent: law\n"


@pytest.mark.parametrize(
    ("change", "arguments", "edits"),
    [
        (
            rename_tag,
            ("field", "health", "null"),
            {
                HEALTH: "name: 'null'  # well-being\n        replaces:\n          - health\n",
                "parent: health": "parent: 'null'",
            },
        ),
        (
            add_tag,
            ("field", "sea", "The sea: ships.", "law", ["Ships", "Law: The Sea"]),
            {LAW: f"{LAW}{SEA}        examples:\n          - Ships\n          - 'Law: The Sea'\n"},
        ),
        (
            retire_tag,
            ("field", "health"),
            {
                f"tags:\n      - {HEALTH}{MEANING}": "retired:\n      - health\n    tags:\n",
                "\n        parent: health": "",
            },
        ),
        (
            merge_tags,
            ("field", ["health", "law"], "both", "Both."),
            {
                HEALTH + MEANING: "name: both    # well-being\n        replaces:\n"
                "          - health\n          - law\n        definition: >-\n          Both.\n"
                "        examples:\n          - 'Law: Old and New'\n",
                "parent: health": "parent: both",
                LAW: "",
            },
        ),
        (
            merge_tags,
            ("size", ["big"], "small"),
            {"{name: big, definition: Big}, {name: small, ": "{name: small, replaces: [big], "},
        ),
    ],
)
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_edits_keep_the_rest_of_the_file(change, arguments, edits, line_break):
    expected = TEXT
    for old, new in edits.items():
        assert expected.count(old) == 1
        expected = expected.replace(old, new)
    after = edit(TEXT.replace("\n", line_break), change, *arguments)
    assert after == expected.replace("\n", line_break)


def test_a_split_tag_has_its_children_after_it(taxonomy):
    after = apply(taxonomy, split_tag, "field", "health", TWO)
    assert after.facet("field").tag_names == ("health", "left", "right", "heart", "law")
    assert parents(after)["left"] == "health"
    assert after.facet("field").tags[1].since is not None


def test_last_tag_of_a_file_without_line_break_can_be_edited():
    text = "name: s\nfacets:\n- name: f\n  definition: F\n  tags:\n  - name: a\n    definition: A"
    after = edit(text, add_tag, "f", "b", "B")
    assert after == text + "\n  - name: b\n    definition: B\n"
    gone = edit(after, retire_tag, "f", "b")
    assert gone == text.replace("  tags", "  retired:\n  - b\n  tags") + "\n"


@pytest.mark.parametrize(
    ("change", "arguments", "tree", "label", "now"),
    [
        (rename_tag, ("b", "x"), "a:None x:a c:x d:c", "b", ("a", "x")),
        # A tag is never its own ancestor.
        (merge_tags, (["b", "d"], "d"), "a:None c:d d:a", "b", ("a", "d")),
        (merge_tags, (["c", "a"], "a"), "a:None b:a d:a", "c", ("a", "b")),
        # A new tag implies what all merged ones did.
        (merge_tags, (["c", "d"], "x", "X."), "a:None b:a x:b", "d", ("a", "b", "x")),
        (retire_tag, ("b",), "a:None c:a d:c", "b", ("a",)),
        (retire_tag, ("a",), "b:None c:b d:c", "a", ()),
        (retire_tag, ("a", "c"), "b:c c:None d:c", "a", ("c",)),
    ],
)
def test_changes_update_parents_and_papers(change, arguments, tree, label, now):
    after = apply(tags_of("abcd", None, "a", "b", "c"), change, "field", *arguments)
    assert " ".join(f"{tag}:{parent}" for tag, parent in parents(after).items()) == tree
    assert after.read({"field": [label]}) == {"field": now}


@pytest.mark.parametrize(
    ("change", "arguments", "expected"),
    [
        (rename_tag, ("a", "x"), {"x": "a", "b": "b", "c": "c"}),
        (merge_tags, (["c"], "b"), {"a": "a", "b": "bc"}),
        (merge_tags, (["c", "a"], "x", "X."), {"x": "ac", "b": "b"}),
        (retire_tag, ("a", "c"), {"b": "b", "c": "ca"}),
        (retire_tag, ("a",), {"b": "b", "c": "c"}),
    ],
)
def test_examples_and_cues_move_with_papers(change, arguments, expected):
    after = apply(tags_of("abc"), change, "field", *arguments)
    assert {tag.name: "".join(tag.examples) for tag in after.facets[0].tags} == expected
    assert {tag.name: "".join(tag.cues) for tag in after.facets[0].tags} == expected


@pytest.mark.parametrize(
    ("change", "arguments", "reason"),
    [
        (add_tag, ("colour", "a", "A."), "unknown facet 'colour'. Known: kind, field, one"),
        (add_tag, ("field", "law", "A."), "already has a tag 'law'"),
        (add_tag, ("field", "a", "A.", "b"), "'field' has no tag 'b'"),
        (add_tag, ("field", "a", " "), "field 'definition'"),
        (add_tag, ("field", "courts", "A."), "'courts' is a former name"),
        (add_tag, ("field", "sea", "A."), "'sea' is a former name"),
        (rename_tag, ("field", "a", "b"), "Known: health, heart, law"),
        (rename_tag, ("field", "law", "New Name"), "'New Name' is not a valid name"),
        (rename_tag, ("field", "heart", "courts"), "cannot get a new meaning"),
        (merge_tags, ("field", ["law"], "law"), "two different tags"),
        (merge_tags, ("field", ["law", "law"], "law"), "two different tags"),
        (merge_tags, ("field", ["law", "heart"], "new"), "needs a definition"),
        (merge_tags, ("kind", ["survey", "method", "study"], "study"), "at least two"),
        (split_tag, ("field", "law", {"left": "L."}), "at least two new tags"),
        (split_tag, ("field", "law", {"law": "L.", "up": "U."}), "already has a tag 'law'"),
        (retire_tag, ("field", "law", "law"), "replace itself"),
        (retire_tag, ("field", "law", "a"), "'field' has no tag 'a'"),
        (retire_tag, ("one", "only"), "the last tag of the facet 'one'"),
    ],
)
def test_invalid_changes_are_refused(taxonomy, change, arguments, reason):
    content = taxonomy.model_dump()
    content["facets"][1]["tags"][2]["replaces"] = ["courts"]
    content["facets"][1]["retired"] = ["sea"]
    only = {"name": "only", "definition": "O."}
    content["facets"] += ({"name": "one", "definition": "One.", "tags": [only]},)
    with pytest.raises(TaggerError) as caught:
        apply(Taxonomy.model_validate(content), change, *arguments)
    assert reason in str(caught.value)


def test_reused_own_name_is_not_a_former_name(taxonomy):
    there = apply(taxonomy, rename_tag, "field", "health", "x")
    back = apply(there, rename_tag, "field", "x", "health")
    assert back.version == taxonomy.version
    assert back.facet("field").tags[0].replaces == ("x",)
    assert back.read({"field": ("x", "law")}) == {"field": ("health", "law")}


def test_differences_are_described(taxonomy):
    assert compare_taxonomies(taxonomy, taxonomy) == []
    after = apply(taxonomy, rename_tag, "field", "health", "medicine")
    after = apply(after, add_tag, "field", "sea", "The sea.")
    after = apply(after, retire_tag, "kind", "study")
    after = apply(after, merge_tags, "field", ["heart", "law"], "law", "Law and hearts.")
    assert [difference.describe() for difference in compare_taxonomies(taxonomy, after)] == [
        "- kind/study: Asks a question.",
        "- field/heart: The heart. -> medicine, law",
        "~ field/medicine renamed: health -> medicine",
        "~ field/law redefined: Law. -> Law and hearts.",
        "+ field/sea: The sea.",
    ]
    kind, field = taxonomy.facets
    turned = Taxonomy(name="other", facets=(field, kind))
    assert [one.kind for one in compare_taxonomies(taxonomy, turned)] == ["renamed", "reordered"]
    open_kind = kind.model_copy(update={"exclusive": False, "definition": "Else."})
    less = compare_taxonomies(taxonomy, Taxonomy(name="small", facets=(open_kind,)))
    assert [one.kind for one in less] == ["removed", "redefined", "reformed"]


@pytest.mark.parametrize(("into", "label"), [("both", None), ("heart", "The heart")])
def test_a_new_tag_of_a_merge_has_not_the_label_of_a_merged_one(into, label):
    text = TEXT.replace("- name: heart\n", "- name: heart\n        label: The heart\n")
    after = edit(text, merge_tags, "field", ["heart", "law"], into, "Both.")
    [_, tag] = TaxonomyDocument(after, PATH).taxonomy.facets[0].tags
    assert (tag.name, tag.label) == (into, label)


def test_a_change_of_cues_is_a_difference():
    cues = tags_of("ab").model_dump()
    cues["facets"][0]["tags"][1]["cues"] = ("b", "c")
    [difference] = compare_taxonomies(tags_of("ab"), Taxonomy.model_validate(cues))
    assert (difference.kind, difference.tag) == ("cued", "b")


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1)
texts = words.map(str.strip).filter(bool)


@settings(max_examples=40, deadline=None)
@example(["D."] * 3 + ["?0"], [["?0"], [], []], True, (rename_tag, "b", "x"))
@given(
    st.lists(texts, min_size=4, max_size=4),
    st.lists(st.lists(texts, max_size=2), min_size=3, max_size=3),
    st.booleans(),
    st.sampled_from([(rename_tag, "b", "x"), (retire_tag, "a"), (merge_tags, ["b", "c"], "a")]),
)
def test_files_with_any_definition_can_be_edited(definitions, lists, as_json, change):
    *definitions, new = definitions
    rows = zip("abc", definitions, (None, "a", "b"), lists, strict=True)
    tags = [
        dict(zip(("name", "definition", "parent", "examples"), row, strict=True)) for row in rows
    ]
    content = {"name": "1e3", "facets": [{"name": "yes", "definition": new, "tags": tags}]}
    taxonomy = Taxonomy.model_validate(content)
    text = json.dumps(content, ensure_ascii=False) if as_json else to_yaml(taxonomy)
    assert TaxonomyDocument(text, PATH).taxonomy == taxonomy
    kind, *arguments = change
    after = TaxonomyDocument(edit(text, kind, "yes", *arguments), PATH).taxonomy
    said, left = (
        {text for tag in one.facets[0].tags for text in (tag.definition, *tag.examples)}
        for one in (taxonomy, after)
    )
    assert left <= said
    added = edit(text, add_tag, "yes", "z", new, examples=lists[0])
    [facet] = TaxonomyDocument(added, PATH).taxonomy.facets
    assert facet.tags[:-1] == taxonomy.facets[0].tags
    assert facet.tags[-1].definition == taxonomy.facets[0].definition


@st.composite
def answers(draw, taxonomy):
    tags = {}
    for facet in taxonomy.facets:
        fewest, most = (1, 1) if facet.exclusive else (0, None)
        some = st.sets(st.sampled_from(facet.tag_names), min_size=fewest, max_size=most)
        tags[facet.name] = list(draw(some))
    return taxonomy.read(tags)


@st.composite
def changes(draw, facet):
    """A change of a facet, and the successor of each removed tag or None."""
    there = st.sampled_from(facet.tag_names)
    tag, into, above = draw(there), draw(st.sampled_from(NAMES)), draw(st.none() | there)
    tags = draw(st.lists(there, min_size=1, max_size=3))
    retired_into = above or next(iter(facet.ancestors(tag)), None)
    possible = [
        ((add_tag, into, "D.", above), {}),
        ((rename_tag, tag, into), {tag: into}),
        ((merge_tags, tags, into, "D."), dict.fromkeys(tags, into)),
        ((split_tag, tag, {into: "D.", NAMES[0]: "D."}), {}),
        ((retire_tag, tag, above), {tag: retired_into}),
    ]
    return draw(st.sampled_from(possible))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_translation_equals_applying_each_change(data):
    """The oracle rewrites tags at each change; translation starts from the original tags."""
    one, many = data.draw(made_facets("one", True)), data.draw(made_facets("many", False))
    taxonomy = Taxonomy(name="made", facets=(one, many))
    said, expected = [], []
    for _ in range(data.draw(st.integers(1, 7))):
        said.append(data.draw(answers(taxonomy)))
        expected.append(dict(said[-1]))
        facet = data.draw(st.sampled_from(taxonomy.facets))
        (change, *arguments), moved = data.draw(changes(facet))
        try:
            after = apply(taxonomy, change, facet.name, *arguments)
        except TaggerError:
            continue
        for tags in expected:
            if facet.name in tags:
                now = {moved.get(tag, tag) for tag in tags[facet.name]} - {None}
                tags[facet.name] = after.facet(facet.name).with_ancestors(now)
                if facet.exclusive and not now:
                    del tags[facet.name]
        assert [after.read(tags) for tags in said] == expected
        taxonomy = after


def test_merged_exclusive_tags_add_probabilities(taxonomy):
    after = apply(taxonomy, rename_tag, "kind", "survey", "review")
    after = apply(after, merge_tags, "kind", ["study"], "review")
    found = translate_facet(after, "kind", ("survey", "method", "study"))
    assert found.facet.tag_names == ("review", "method")
    np.testing.assert_allclose(found.probabilities(np.array([[0.2, 0.3, 0.5]])), [[0.7, 0.3]])


def test_unknown_tags_are_not_translated(taxonomy):
    after = apply(taxonomy, retire_tag, "kind", "survey")
    found = translate_facet(after, "kind", ("survey", "method", "study"))
    assert found.facet.tag_names == ("method", "study")
    assert found.becomes == ((), ("method",), ("study",))
    assert translate_facet(after, "kind", ("survey", "poem")) is None
    assert translate_facet(after, "kind", ("survey",)) is None
    assert translate_facet(after, "colour", ("red",)) is None
