import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.taxonomy import Taxonomy
from tagger.taxonomy_draft import (
    TaxonomyDraft,
    load_template,
    taxonomy_name,
    template_names,
    write_taxonomy,
)
from tagger.taxonomy_file import load_taxonomy

NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,11}", fullmatch=True)
DEFINITIONS = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cn", "Cs"]), min_size=1, max_size=120
).filter(str.strip)


@pytest.mark.parametrize("name", template_names())
def test_a_template_is_a_taxonomy_that_survives_being_written(tmp_path, name):
    template = load_template(name)
    path = tmp_path / "review" / "taxonomy.yaml"
    write_taxonomy(path, TaxonomyDraft(template).finished("review"))
    text = path.read_text(encoding="utf-8")
    assert load_taxonomy(path).facets == template.facets
    assert text.startswith("# What the papers of this review are tagged with.")
    for facet in template.facets:
        said = "Exactly one" if facet.exclusive else "None, one or several"
        assert f"  # {said} of these tags a paper.\n  - name: {facet.name}\n" in text
        assert all(len(tag.definition.split()) >= 4 for tag in facet.tags)


@settings(max_examples=40)
@given(
    st.dictionaries(
        NAMES,
        st.tuples(
            DEFINITIONS, st.booleans(), st.dictionaries(NAMES, DEFINITIONS, min_size=2, max_size=4)
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_draft_reads_back_as_it_was(tmp_path_factory, facets):
    draft = TaxonomyDraft()
    for name, (definition, exclusive, tags) in facets.items():
        draft.add_facet(name, definition, exclusive=exclusive)
        for tag, meaning in tags.items():
            draft.add_tag(name, tag, meaning)
    taxonomy = draft.finished("1e3")
    path = tmp_path_factory.mktemp("any") / "taxonomy.yaml"
    write_taxonomy(path, taxonomy)
    assert load_taxonomy(path) == taxonomy
    for name, (_, _, tags) in facets.items():
        meanings = [tag.definition for tag in taxonomy.facet(name).tags]
        assert meanings == [meaning.strip() for meaning in tags.values()]


@pytest.mark.parametrize(
    ("folder", "name"),
    [("My Review (2026)", "my-review-2026"), ("labels", "labels"), ("日本", "review")],
)
def test_a_taxonomy_is_named_after_its_folder(tmp_path, folder, name):
    assert taxonomy_name(tmp_path / folder) == name
    Taxonomy.model_validate({"name": name, "facets": load_template("empty").facets})
