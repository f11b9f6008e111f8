import pytest

from tagger.taxonomy import (
    Taxonomy,
    TaxonomyDraft,
    load_taxonomy,
    load_template,
    taxonomy_name,
    template_names,
    write_taxonomy,
)


@pytest.mark.parametrize("name", template_names())
def test_templates_survive_writing_and_loading(tmp_path, name):
    template = load_template(name)
    path = tmp_path / "review" / "taxonomy.yaml"
    write_taxonomy(path, TaxonomyDraft(template).build("review"))
    text = path.read_text(encoding="utf-8")
    assert load_taxonomy(path).facets == template.facets
    assert text.startswith("# The tags of this review.")
    for facet in template.facets:
        said = "Exactly one" if facet.exclusive else "None, one or several"
        assert f"  # {said} of these tags per paper.\n  - name: {facet.name}\n" in text
        assert all(len(tag.definition.split()) >= 4 for tag in facet.tags)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("My Review (2026)", "my-review-2026"), ("my-review/labels", "my-review"), ("日本", "review")],
)
def test_a_taxonomy_is_named_after_its_folder(tmp_path, folder, name):
    assert taxonomy_name(tmp_path / folder) == name
    Taxonomy.model_validate({"name": name, "facets": load_template("empty").facets})
