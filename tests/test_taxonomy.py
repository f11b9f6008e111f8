import pytest
import yaml
from helpers.samples import write_taxonomy
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.taxonomy import Taxonomy, load_taxonomy

GOOD = """\
name: tiny
facets:
  - name: kind
    definition: What it is.
    exclusive: true
    tags:
      - name: survey
        definition: Looks back.
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
    assert taxonomy.version.startswith("tiny@")
    kind = taxonomy.facet("kind")
    assert kind.descriptions[2:] == kind.examples == ("A New Way", "Faster: A Method")
    assert kind.described_tags == (0, 1, 1, 1)
    assert field.implied == ((True, False), (True, True))
    with pytest.raises(KeyError):
        taxonomy.facet("nothing")


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "reason"),
    [
        ("name: method", "name: survey", 9, "facets[0].tags[1].name", "'survey' is there twice"),
        ("name: field", "name: kind", 12, "facets[1].name", "'kind' is there twice"),
        ("parent: health", "parent: lungs", 19, "facets[1].tags[1].parent", "is no tag of"),
        ("parent: health", "parent: heart", 19, "facets[1].tags[1].parent", "own ancestor"),
        ("definition: Health.", "meaning: x", 15, "facets[1].tags[0].definition", "is missing"),
        ("parent: health", "partner: health", 19, "facets[1].tags[1].partner", "unknown field"),
        ("exclusive: true", "exclusive: perhaps", 5, "facets[0].exclusive", "boolean"),
        ("name: tiny", "name: Tiny One", 1, "name", "pattern"),
        ("name: tiny", "name: tiny\nname: other", 2, "name", "given twice"),
        ("definition: Health.", "definition: ''", 16, "facets[1].tags[0].definition", "at least 1"),
        ("[A New Way,", "['',", 11, "facets[0].tags[1].examples[0]", "at least 1"),
        ("[A New Way,", "[[A],", 11, "facets[0].tags[1].examples[0]", "string"),
        ("[A New Way,", "[" + "A, " * 200, 11, "facets[0].tags[1].examples", "at most 200"),
        ("name: tiny", "name: &a tiny", 1, None, "anchors and aliases"),
        ("    exclusive: true\n", "\texclusive: true\n", 5, None, "not valid YAML"),
    ],
)
def test_errors_name_line_and_field(tmp_path, old, new, line, field, reason):
    with pytest.raises(TaggerError, match=reason) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    error = caught.value
    assert (error.line, error.field) == (line, field)
    assert "taxonomy.yaml" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("text", ["", "[]", "3", "facets: []\nname: x", "name: x\nfacets: 3"])
def test_other_shapes_are_refused(tmp_path, text):
    with pytest.raises(TaggerError):
        load(tmp_path, text)


def test_an_exclusive_facet_needs_a_choice(tmp_path):
    text = "".join(line for line in GOOD.splitlines(True) if not is_of_method(line))
    with pytest.raises(TaggerError, match="at least two tags"):
        load(tmp_path, text)


def is_of_method(line):
    return any(word in line for word in ("name: method", "Something new", "A New Way"))


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(TaggerError, match="no such taxonomy"):
        load_taxonomy(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"name: \xff")
    with pytest.raises(TaggerError, match="not UTF-8"):
        load_taxonomy(tmp_path / "bad.yaml")
    with pytest.raises(TaggerError, match="cannot be read"):
        load_taxonomy(tmp_path)
    (tmp_path / "deep.yaml").write_text("[" * 5000, encoding="utf-8")
    with pytest.raises(TaggerError):
        load_taxonomy(tmp_path / "deep.yaml")


@given(st.text(alphabet=st.sampled_from(list("name:facets-[]{}&*!|>'\" \n#?,0")), max_size=80))
def test_any_text_loads_or_is_refused_in_words(tmp_path_factory, text):
    with pytest.raises(TaggerError):
        load(tmp_path_factory.mktemp("t"), text)


def test_the_version_follows_the_content(tmp_path, taxonomy):
    assert load(tmp_path, GOOD).version == load(tmp_path, GOOD + "\n# a remark\n").version
    assert load(tmp_path, GOOD).version != load(tmp_path, GOOD.replace("Health.", "H.")).version
    assert load(tmp_path, GOOD).version != load(tmp_path, GOOD.replace("New Way", "Way")).version
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
        ({"field": ["law", "law"]}, "tags.field", "given twice"),
        ({"kind": []}, "tags.kind", "exactly one tag is needed here, 0"),
        ({"kind": ["survey", "study"]}, "tags.kind", "exactly one tag is needed here, 2"),
    ],
)
def test_tags_that_do_not_fit_are_refused(taxonomy, tags, field, reason):
    with pytest.raises(TaggerError, match=reason) as caught:
        taxonomy.check_tags(tags)
    assert caught.value.field == field


@given(st.data())
def test_implied_tags_are_closed(taxonomy, data):
    facet = taxonomy.facet("field")
    tags = data.draw(st.sets(st.sampled_from(facet.tag_names)))
    closed = facet.with_ancestors(tags)
    assert tags <= set(closed)
    assert facet.with_ancestors(closed) == closed
    assert "heart" not in closed or "health" in closed


def test_yaml_tags_build_nothing(tmp_path):
    with pytest.raises(TaggerError):
        load(tmp_path, "!!python/object/apply:os.system ['true']")
    assert yaml.safe_load(GOOD)
    assert isinstance(Taxonomy.model_validate(yaml.safe_load(GOOD)), Taxonomy)
