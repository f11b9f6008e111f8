"""Taxonomies and their files, including hostile files."""

import pytest
from helpers.samples import write_taxonomy
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.taxonomy import load_taxonomy
from tagger.taxonomy.schema import MAX_LEVELS

GOOD = """\
name: tiny
facets:
  - name: kind
    definition: What it is.
    exclusive: true
    retired: [essay]
    tags:
      - name: survey
        definition: Looks back.
        label: Survey or review
        replaces: [overview, yes]
      - name: method
        definition: Something new.
        examples: [A New Way, "Faster: A Method"]
  - name: field
    definition: What it is about.
    tags:
      - name: health
        definition: Health.
      - name: heart
        definition: The heart.
        parent: health
"""


REPLACES = "facets[0].tags[1].replaces"


def load(tmp_path, text):
    path = tmp_path / "taxonomy.yaml"
    path.write_text(text, encoding="utf-8")
    return load_taxonomy(path)


def test_the_shipped_taxonomy_has_the_names_of_the_codebook(shared):
    taxonomy = load_taxonomy("labels/taxonomy.yaml")
    codebook = (shared / "gold" / "codebook.md").read_text(encoding="utf-8")
    names = [line.split("**")[1] for line in codebook.splitlines() if line.startswith("- **")]
    assert [tag for facet in taxonomy.facets for tag in facet.tag_names] == names
    assert [(facet.name, facet.exclusive) for facet in taxonomy.facets] == [
        ("contribution", True),
        ("domain", False),
    ]


def test_a_good_file_loads(tmp_path):
    taxonomy = load(tmp_path, GOOD)
    field = taxonomy.facet("field")
    assert field.ancestors("heart") == ("health",)
    assert field.with_ancestors(["heart"]) == ("health", "heart")
    kind = taxonomy.facet("kind")
    assert kind.descriptions[2:] == ("A New Way", "Faster: A Method")
    assert kind.tags[0].hint == "Survey or review: Looks back."


def test_former_names_are_translated(tmp_path):
    taxonomy = load(tmp_path, GOOD)
    assert taxonomy.read({"kind": ["yes"], "field": ["heart"]}) == {
        "kind": ("survey",),
        "field": ("health", "heart"),
    }
    # Two names of one tag are one; without its answer an exclusive facet is not annotated.
    assert taxonomy.read({"kind": ["overview", "survey"]}) == {"kind": ("survey",)}
    assert taxonomy.read({"kind": ["essay"], "field": []}) == {"field": ()}
    # What does not fit stays for check_tags to name.
    odd = {"kind": ("poem",), "field": ("heart", "heart"), "colour": ("red",)}
    assert taxonomy.read(odd) == odd


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "reason"),
    [
        ("name: method", "name: survey", 12, "facets[0].tags[1].name", "'survey' is repeated"),
        ("name: field", "name: kind", 15, "facets[1].name", "'kind' is repeated"),
        ("parent: health", "parent: lungs", 22, "facets[1].tags[1].parent", "has no tag 'lungs'"),
        ("parent: health", "parent: heart", 22, "facets[1].tags[1].parent", "own ancestor"),
        ("definition: Health.", "meaning: x", 18, "facets[1].tags[0].definition", "is missing"),
        ("parent: health", "partner: health", 22, "facets[1].tags[1].partner", "unknown field"),
        ("exclusive: true", "exclusive: perhaps", 5, "facets[0].exclusive", "boolean"),
        ("name: tiny", "name: Tiny One", 1, "name", "lower-case"),
        ("name: tiny", "name: tiny\nname: other", 2, None, '"name"'),
        ("definition: Health.", "definition: ''", 19, "facets[1].tags[0].definition", "at least 1"),
        ("[A New Way,", "['',", 14, "facets[0].tags[1].examples[0]", "at least 1"),
        ("[A New Way,", "[[A],", 14, "facets[0].tags[1].examples[0]", "string"),
        ("[A New Way,", "[" + "A, " * 200, 14, "facets[0].tags[1].examples", "at most 200"),
        ("name: tiny", "name: &a tiny", 1, None, "anchors"),
        ("name: tiny", "name: !!str tiny", 1, None, "type tags"),
        ("    exclusive: true\n", "\texclusive: true\n", 5, None, "not valid YAML"),
        ("Looks back.", "Looks: back.", 9, None, "quotes"),
        ("[overview, yes]", "[method]", 11, "facets[0].tags[0].replaces", "'method'"),
        ("[essay]", "[survey]", 6, "facets[0].retired", "'survey'"),
        ("[essay]", "[overview]", 6, "facets[0].retired", "'overview'"),
        ("examples: [", "replaces: [yes]\n        examples: [", 14, REPLACES, "two"),
        ("parent: health", "since: yesterday", 22, "facets[1].tags[1].since", "datetime"),
    ],
)
def test_errors_name_line_and_field(tmp_path, old, new, line, field, reason):
    with pytest.raises(TaggerError) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    error = caught.value
    assert reason in str(error)
    assert (error.line, error.field) == (line, field)
    assert "\n" not in str(error)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(TaggerError, match="no such taxonomy"):
        load_taxonomy(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"name: \xff")
    with pytest.raises(TaggerError, match="not UTF-8"):
        load_taxonomy(tmp_path / "bad.yaml")
    with pytest.raises(TaggerError, match="cannot be read"):
        load_taxonomy(tmp_path)


def of_one_facet(definition="It is.", tags="", name="first"):
    return (
        f'name: small\nfacets:\n  - name: kind\n    definition: "{definition}"\n    tags:\n'
        f"      - {{name: {name}, definition: One.}}\n" + tags
    )


def chain(length):
    line = "      - {{name: t{}, definition: A., parent: {}}}\n"
    return "".join(line.format(n, f"t{n - 1}" if n else "first") for n in range(length))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected"),
        ("[]", "expected"),
        ("name: x\nfacets: 3", "expected a list"),
        (of_one_facet() + "    exclusive: true\n", "at least two tags"),
        ("a: &a [1]\nb: [*a, *a, *a]", "anchors and aliases"),
        ("[" * 10_000, "nested too deeply"),
        ("- " * 10_000, "nested too deeply"),
        ("a: !!python/object/apply:os.system [x]", "type tags"),
        ("a: x" * 200_000, "a taxonomy may have 500,000"),
        ("{[a, {b: c}]: d}", "taxonomy.yaml"),
        (of_one_facet(definition="\\x1b[31m"), r"U\+001B"),
        (of_one_facet(definition="\\u202ekcab"), r"U\+202E"),
        (of_one_facet(tags=chain(MAX_LEVELS + 2)), f"more than {MAX_LEVELS} ancestors"),
        (of_one_facet(name="fіrst"), "lower-case"),  # Cyrillic
        (of_one_facet(name="../first"), "lower-case"),
        # As a number in base 60, this one would take minutes to work out.
        (of_one_facet(name="1:" * 100_000 + "1"), "lower-case"),
    ],
)
def test_hostile_files_are_refused(tmp_path, text, reason):
    with pytest.raises(TaggerError, match=reason):
        load(tmp_path, text)


@pytest.mark.parametrize("name", ["2024", "yes", "true", "0x1f", "1e3", "2026-01-01"])
def test_yaml_numbers_and_booleans_are_valid_names(tmp_path, name):
    assert load(tmp_path, of_one_facet(name=name)).facets[0].tag_names == (name,)


@given(st.text(alphabet=st.sampled_from(list("name:facets-[]{}&*!|>'\" \n#?,0")), max_size=80))
def test_any_invalid_text_raises_a_tagger_error(tmp_path_factory, text):
    with pytest.raises(TaggerError):
        load(tmp_path_factory.mktemp("t"), text)


def test_version_changes_with_the_meaning_of_tags(tmp_path, taxonomy):
    version = load(tmp_path, GOOD).version
    assert version.startswith("tiny@")
    for same in (("[essay]", "[]"), ("[overview, yes]", "[]"), ("Survey or review", "Review")):
        assert load(tmp_path, GOOD.replace(*same)).version == version
    for other in (("Health.", "H."), ("New Way", "Way")):
        assert load(tmp_path, GOOD.replace(*other)).version != version
    # As it was before tags had examples.
    without = "".join(line for line in GOOD.splitlines(True) if "examples" not in line)
    assert load(tmp_path, without).version == "tiny@81924006d126"
    write_taxonomy(tmp_path, taxonomy)
    assert load_taxonomy(tmp_path / "taxonomy.yaml") == taxonomy


@pytest.mark.parametrize(
    ("tags", "field", "reason"),
    [
        ({"colour": ["red"]}, "tags", "unknown facet 'colour'"),
        ({"field": ["lungs"]}, "tags.field", "unknown tag 'lungs'"),
        ({"field": ["law", "law"]}, "tags.field", "repeated"),
        ({"kind": []}, "tags.kind", "exactly one tag, found 0"),
        ({"kind": ["survey", "study"]}, "tags.kind", "exactly one tag, found 2"),
    ],
)
def test_invalid_tags_are_refused(taxonomy, tags, field, reason):
    with pytest.raises(TaggerError, match=reason) as caught:
        taxonomy.check_tags(tags)
    assert caught.value.field == field
