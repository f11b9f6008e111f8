import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.taxonomy import Facet, Tag, Taxonomy
from tagger.taxonomy_changes import (
    AddTag,
    MergeTags,
    RenameTag,
    RetireTag,
    SplitTag,
    make_change,
)
from tagger.taxonomy_diff import compare_taxonomies

DEFINITIONS = {"left": "On the left.", "right": "On the right."}


def parents(taxonomy, facet="field"):
    return {tag.name: tag.parent for tag in taxonomy.facet(facet).tags}


def chain(*names):
    """A taxonomy of one facet whose tags each have the one before for a parent."""
    tags = [
        Tag(name=name, definition=f"About {name}.", parent=above)
        for name, above in zip(names, (None, *names), strict=False)
    ]
    return Taxonomy(name="c", facets=(Facet(name="field", definition="F.", tags=tuple(tags)),))


def test_a_new_tag_stands_at_the_end(taxonomy):
    change = AddTag(facet="field", tag="lungs", definition="Lungs.", parent="health")
    after = change.apply(taxonomy)
    assert parents(after) == {"health": None, "heart": "health", "law": None, "lungs": "health"}
    field = taxonomy.facet("field")
    assert change.rewrite({"field": ("law",)}, field) == {"field": ("law",)}
    assert not change.questions({"field": ("health",)}, taxonomy.facet("field"))
    queued = change.model_copy(update={"queue": True})
    assert queued.questions({"field": ("heart",)}, field)
    assert not queued.questions({"field": ("law",)}, field)
    assert not queued.questions({}, field)


def test_a_renamed_tag_keeps_its_place_its_children_and_its_papers(taxonomy):
    change = RenameTag(facet="field", tag="health", into="medicine")
    after = change.apply(taxonomy)
    assert parents(after) == {"medicine": None, "heart": "medicine", "law": None}
    tags = {"kind": ("survey",), "field": ("health", "heart")}
    assert change.rewrite(tags, taxonomy.facet("field")) == {
        "kind": ("survey",),
        "field": ("medicine", "heart"),
    }


def test_examples_go_where_papers_go():
    tags = [Tag(name=name, definition="D.", examples=(f"On {name}",)) for name in ("a", "b", "c")]
    facet = Facet(name="field", definition="F.", tags=tuple(tags))
    before = Taxonomy(name="t", facets=(facet,))

    def examples(change):
        after = change.apply(before)
        return {tag.name: tag.examples for tag in after.facet("field").tags}

    renamed = RenameTag(facet="field", tag="a", into="x")
    assert examples(renamed) == {"x": ("On a",), "b": ("On b",), "c": ("On c",)}
    assert examples(MergeTags(facet="field", tags=("c",), into="b")) == {
        "a": ("On a",),
        "b": ("On b", "On c"),
    }
    new = MergeTags(facet="field", tags=("c", "a"), into="x", definition="Both.")
    assert examples(new) == {"x": ("On a", "On c"), "b": ("On b",)}
    assert examples(RetireTag(facet="field", tag="a", into="c"))["c"] == ("On c", "On a")
    assert examples(RetireTag(facet="field", tag="a")) == {"b": ("On b",), "c": ("On c",)}
    added = AddTag(facet="field", tag="d", definition="D.", examples=("On d", "Of d"))
    assert examples(added)["d"] == ("On d", "Of d")
    barer = [tags[0].model_copy(update={"examples": ()}), *tags[1:]]
    after = Taxonomy(name="t", facets=(facet.model_copy(update={"tags": tuple(barer)}),))
    [difference] = compare_taxonomies(before, after)
    assert difference.describe() == "~ field/a has other examples: 1 -> 0"


def test_merged_tags_become_one(taxonomy):
    change = MergeTags(
        facet="field", tags=("law", "health"), into="society", definition="People and the state."
    )
    after = change.apply(taxonomy)
    assert parents(after) == {"society": None, "heart": "society"}
    assert after.facet("field").tags[0].definition == "People and the state."
    assert change.rewrite({"field": ("health", "heart", "law")}, taxonomy.facet("field")) == {
        "field": ("society", "heart")
    }
    into_third = MergeTags(facet="kind", tags=("survey",), into="study")
    assert into_third.apply(taxonomy).facet("kind").tag_names == ("method", "study")
    assert into_third.rewrite({"kind": ("survey",)}, taxonomy.facet("kind")) == {"kind": ("study",)}


def test_a_tag_is_never_its_own_ancestor_after_a_merge():
    taxonomy = chain("a", "b", "c", "d")
    merged = MergeTags(facet="field", tags=("b", "d"), into="d").apply(taxonomy)
    assert parents(merged) == {"a": None, "c": "d", "d": "a"}
    upwards = MergeTags(facet="field", tags=("c", "a"), into="a").apply(taxonomy)
    assert parents(upwards) == {"a": None, "b": "a", "d": "a"}


def test_a_new_tag_of_merged_ones_implies_what_they_all_implied(taxonomy):
    both = MergeTags(facet="field", tags=("heart", "law"), into="both", definition="Both.")
    assert parents(both.apply(taxonomy)) == {"health": None, "both": None}
    deep = MergeTags(facet="field", tags=("c", "d"), into="x", definition="X.")
    assert parents(deep.apply(chain("a", "b", "c", "d"))) == {"a": None, "b": "a", "x": "b"}
    there = MergeTags(facet="field", tags=("law",), into="heart")
    assert parents(there.apply(taxonomy)) == {"health": None, "heart": "health"}


def test_a_split_tag_stays_and_its_papers_are_in_question(taxonomy):
    change = SplitTag(facet="kind", tag="study", into=("left", "right"), definitions=DEFINITIONS)
    after = change.apply(taxonomy)
    assert after.facet("kind").tag_names == ("survey", "method", "study", "left", "right")
    assert parents(after, "kind")["left"] == "study"
    kind = taxonomy.facet("kind")
    assert change.rewrite({"kind": ("study",)}, taxonomy.facet("kind")) == {"kind": ("study",)}
    assert change.questions({"kind": ("study",)}, kind)
    assert not change.questions({"kind": ("survey",)}, kind)
    below = SplitTag(facet="field", tag="health", into=("left", "right"), definitions=DEFINITIONS)
    assert below.questions({"field": ("heart",)}, taxonomy.facet("field"))


def test_a_retired_tag_leaves_papers_without_it(taxonomy):
    health = RetireTag(facet="field", tag="health")
    assert parents(health.apply(taxonomy)) == {"heart": None, "law": None}
    assert health.rewrite({"field": ("health",)}, taxonomy.facet("field")) == {"field": ()}
    assert not health.questions({"field": ("health",)}, taxonomy.facet("field"))
    study = RetireTag(facet="kind", tag="study")
    kind = taxonomy.facet("kind")
    assert study.rewrite({"kind": ("study",), "field": ()}, kind) == {"field": ()}
    assert study.questions({"kind": ("study",)}, taxonomy.facet("kind"))
    instead = RetireTag(facet="kind", tag="study", into="method")
    assert instead.rewrite({"kind": ("study",)}, kind) == {"kind": ("method",)}
    assert not instead.questions({"kind": ("study",)}, taxonomy.facet("kind"))
    assert parents(RetireTag(facet="field", tag="b").apply(chain("a", "b", "c"))) == {
        "a": None,
        "c": "a",
    }
    assert parents(RetireTag(facet="field", tag="a", into="c").apply(chain("a", "b", "c"))) == {
        "b": "c",
        "c": None,
    }


def test_what_a_retired_tag_implied_stays(taxonomy):
    heart = RetireTag(facet="field", tag="heart")
    assert heart.rewrite({"field": ("heart",)}, taxonomy.facet("field")) == {"field": ("health",)}
    split = SplitTag(facet="kind", tag="study", into=("left", "right"), definitions=DEFINITIONS)
    kind = split.apply(taxonomy).facet("kind")
    left = RetireTag(facet="kind", tag="left")
    assert left.rewrite({"kind": ("left",)}, kind) == {"kind": ("study",)}
    assert not left.questions({"kind": ("left",)}, kind)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (AddTag(facet="colour", tag="a", definition="A."), "no facet 'colour'. Known: kind, field"),
        (AddTag(facet="field", tag="law", definition="A."), "has a tag 'law' already"),
        (AddTag(facet="field", tag="a", definition="A.", parent="b"), "'field' has no tag 'b'"),
        (RenameTag(facet="field", tag="a", into="b"), "Known: health, heart, law"),
        (RenameTag(facet="field", tag="law", into="law"), "has a tag 'law' already"),
        (MergeTags(facet="field", tags=("law",), into="law"), "two different tags"),
        (MergeTags(facet="field", tags=("law", "law"), into="law"), "two different tags"),
        (MergeTags(facet="field", tags=("law", "heart"), into="new"), "needs a definition"),
        (MergeTags(facet="kind", tags=("survey", "method", "study"), into="study"), "at least two"),
        (SplitTag(facet="field", tag="law", into=("left",), definitions={}), "two different new"),
        (
            SplitTag(facet="field", tag="law", into=("left", "up"), definitions=DEFINITIONS),
            "see 'right'",
        ),
        (
            SplitTag(
                facet="field", tag="law", into=("law", "up"), definitions={"law": "L", "up": "U"}
            ),
            "has a tag 'law' already",
        ),
        (RetireTag(facet="field", tag="law", into="law"), "into itself"),
        (RetireTag(facet="field", tag="law", into="a"), "'field' has no tag 'a'"),
    ],
)
def test_changes_that_make_no_sense_are_refused(taxonomy, change, reason):
    with pytest.raises(TaggerError) as caught:
        change.apply(taxonomy)
    assert reason in str(caught.value)


def test_the_last_tag_of_a_facet_stays():
    with pytest.raises(TaggerError, match="'field' would have no tag left"):
        RetireTag(facet="field", tag="a").apply(chain("a"))


def test_what_a_person_typed_is_checked():
    with pytest.raises(TaggerError, match="'New Name' is no name") as caught:
        make_change(RenameTag, facet="field", tag="law", into="New Name")
    assert "lower-case" in str(caught.value)
    with pytest.raises(TaggerError, match="field 'definition'"):
        make_change(AddTag, facet="field", tag="law", definition=" ")


def test_differences_are_told(taxonomy):
    assert compare_taxonomies(taxonomy, taxonomy) == []
    steps = [
        RenameTag(facet="field", tag="health", into="medicine"),
        AddTag(facet="field", tag="sea", definition="The sea."),
        RetireTag(facet="kind", tag="study"),
        MergeTags(facet="field", tags=("heart", "law"), into="law", definition="Law and hearts."),
    ]
    after = taxonomy
    for step in steps:
        after = step.apply(after)
    told = [difference.describe() for difference in compare_taxonomies(taxonomy, after)]
    assert told == [
        "- kind/study: Asks a question.",
        "- field/heart: The heart.",
        "~ field/medicine renamed: health -> medicine",
        "~ field/law redefined: Law. -> Law and hearts.",
        "+ field/sea: The sea.",
    ]
    flat = RetireTag(facet="field", tag="health").apply(taxonomy)
    moved = [difference.describe() for difference in compare_taxonomies(taxonomy, flat)]
    assert moved == ["- field/health: Health.", "~ field/heart moved: health -> none"]
    kind, field = taxonomy.facets
    turned = Taxonomy(name="small", facets=(field, kind))
    assert compare_taxonomies(taxonomy, turned)[0].kind == "reordered"
    open_kind = kind.model_copy(update={"exclusive": False, "definition": "Else."})
    less = compare_taxonomies(taxonomy, Taxonomy(name="small", facets=(open_kind,)))
    assert [(one.facet, one.kind) for one in less] == [
        ("field", "removed"),
        ("kind", "redefined"),
        ("kind", "reformed"),
    ]


@given(st.sets(st.sampled_from(["health", "heart", "law"])))
def test_renaming_there_and_back_is_the_identity(taxonomy, tags):
    there = RenameTag(facet="field", tag="health", into="x")
    back = RenameTag(facet="field", tag="x", into="health")
    between = there.apply(taxonomy)
    assert back.apply(between).version == taxonomy.version
    given_tags = {"field": tuple(sorted(tags))}
    renamed = there.rewrite(given_tags, taxonomy.facet("field"))
    assert back.rewrite(renamed, between.facet("field")) == given_tags


def test_taxonomies_that_differ_in_name_alone_are_in_the_same_order(taxonomy):
    other = taxonomy.model_copy(update={"name": "other"})
    [difference] = compare_taxonomies(taxonomy, other)
    assert difference.describe() == "~ other renamed: small -> other"
    turned = Taxonomy(name="other", facets=taxonomy.facets[::-1])
    kinds = [difference.kind for difference in compare_taxonomies(taxonomy, turned)]
    assert kinds == ["renamed", "reordered"]
