import re
import xml.etree.ElementTree as ET

from helpers.made_taxonomies import made_taxonomies
from hypothesis import given

from tagger.review.interface import (
    CANNOT_TELL,
    NOT_A_PAPER,
    NOTE,
    PAPER,
    VERDICT,
    VERDICTS,
    adapt_interface,
    build_interface,
    data_name,
    has_facet_of,
    tag_path,
)


def offered(config):
    """Return the choices of each control as paths."""

    def walk(node, path=()):
        for child in (*node.findall("Choice"), *node.findall("View/Choice")):
            here = (*path, child.get("value"))
            yield here
            yield from walk(child, here)

    controls = [
        node for node in ET.fromstring(config).iter() if node.tag in ("Choices", "Taxonomy")
    ]
    return {control.get("name"): set(walk(control)) for control in controls}


def expected(taxonomy):
    return {
        facet.name: {
            tuple([tag] if facet.exclusive else tag_path(facet, tag)) for tag in facet.tag_names
        }
        for facet in taxonomy.facets
    }


def test_the_control_depends_on_the_kind_of_facet(taxonomy):
    root = ET.fromstring(build_interface(taxonomy))
    kind = root.find(".//Choices[@name='kind']")
    assert kind.get("choice") == "single"
    assert [child.tag for child in kind[0]] == ["Choice", "Header"]
    assert kind[0][0].get("hint") == "Looks back."
    tree = root.find(".//Taxonomy[@name='field']")
    assert tree.find("Choice[@value='health']/Choice[@value='heart']") is not None
    assert root.find(f".//HyperText[@name='{PAPER}']").get("value") == "$marked"
    assert root.find(f".//TextArea[@name='{NOTE}']") is not None
    references = [header.get("value") for header in kind.iter("Header")]
    assert references == [
        f"$confidence.kind.{choice.get('value')}" for choice in kind.iter("Choice")
    ]
    assert root.find(".//Header[@value='$confidence.field.ALL']") is not None
    verdict = root.find(f".//Choices[@name='{VERDICT}']")
    assert {choice.get("value") for choice in verdict} == {NOT_A_PAPER, CANNOT_TELL}
    assert verdict.get("value") == f"${VERDICTS}"


@given(made_taxonomies(), made_taxonomies())
def test_an_interface_follows_the_taxonomy(before, after):
    first = build_interface(before)
    keys = [c.get("hotkey") for c in ET.fromstring(first).iter("Choice") if c.get("hotkey")]
    assert len(keys) == len(set(keys))
    config, changes = adapt_interface(first, after, set)
    for interface, taxonomy in ((first, before), (config, after)):
        found = offered(interface)
        found.pop(VERDICT)
        assert found == expected(taxonomy)
    assert adapt_interface(config, after, set) == (config, [])
    if before == after:
        assert not changes


@given(made_taxonomies(), made_taxonomies())
def test_tags_that_annotations_use_stay(before, after):
    used = {(facet.name, tag) for facet in before.facets for tag in facet.tag_names}
    config, _ = adapt_interface(build_interface(before), after, lambda: used)
    found = offered(config)
    assert used <= {(facet, path[-1]) for facet, paths in found.items() for path in paths}
    assert adapt_interface(config, after, lambda: used) == (config, [])


def test_manual_changes_of_the_interface_are_kept(taxonomy):
    config = build_interface(taxonomy)
    edited = config.replace('<Header value="$title" size="3"/>', '<Header value="Paper: $title"/>')
    edited = edited.replace('hotkey="1"', 'hotkey="ctrl+1"').removesuffix("</View>\n")
    edited += '<Choices name="mood" toName="Paper"><Choice value="good"/></Choices></View>\n'
    assert adapt_interface(edited, taxonomy, set) == (edited, [])
    turned = edited.replace('<Choice value="law" hint="Law."/>', "").replace(
        '<Choice value="health"',
        '<!-- mine --><Choice value="law" hint="Law."/><Choice value="health"',
    )
    assert adapt_interface(turned, taxonomy, set) == (turned, [])
    broken = edited.replace('<Choice value="law" hint="Law."/>', "")
    repaired, changes = adapt_interface(broken, taxonomy, set)
    assert changes == ["the facet 'field' changed (+law)"]
    assert ("law",) in offered(repaired)["field"]
    assert "Paper: $title" in repaired
    assert 'name="mood"' in repaired
    assert 'hotkey="ctrl+1"' in repaired


def test_a_project_of_an_earlier_version_gets_confidences(taxonomy):
    config = build_interface(taxonomy)
    without = re.sub(r'<Header value="\$confidence.kind[^>]*>', "", config)
    apart = ET.fromstring(config)
    kind = apart.find(".//Choices[@name='kind']")
    kind[:] = [child for block in kind for child in block]
    for before in (without, ET.tostring(apart, encoding="unicode")):
        adapted, changes = adapt_interface(before, taxonomy, set)
        kind = ET.fromstring(adapted).find(".//Choices[@name='kind']")
        assert [[child.tag for child in block] for block in kind] == [["Choice", "Header"]] * 3
        assert len(changes) == 1
        assert adapt_interface(adapted, taxonomy, set) == (adapted, [])


def test_the_count_is_hidden_from_several_accounts(taxonomy):
    config = build_interface(taxonomy)
    assert "task-count" not in config
    shared, changes = adapt_interface(config, taxonomy, set, alone=lambda: False)
    assert "task-count" in shared
    assert len(changes) == 1
    # Nobody asks for the accounts again.
    assert adapt_interface(shared, taxonomy, set, alone=None) == (shared, [])


def test_a_dollar_sign_in_a_definition_is_no_reference(taxonomy):
    facet = taxonomy.facets[0].model_copy(update={"definition": "Costs $more or $5."})
    priced = taxonomy.model_copy(update={"facets": (facet,)})
    config = build_interface(priced)
    [heading] = [
        header.get("value")
        for header in ET.fromstring(config).iter("Header")
        if header.get("value").startswith("kind: ")
    ]
    # The pattern by which Label Studio finds references.
    assert not re.search(r"\$[\w[\].{}]+", heading)
    assert adapt_interface(config, priced, set) == (config, [])


def test_references_to_data_have_no_hyphens(taxonomy):
    facet = taxonomy.facets[0]
    tag = facet.tags[0].model_copy(update={"name": "law-of-the-sea"})
    own = facet.model_copy(update={"name": "main-kind", "tags": (tag, *facet.tags[1:])})
    config = build_interface(taxonomy.model_copy(update={"facets": (own,)}))
    assert "$confidence.mainXkind.lawXofXtheXsea" in config
    assert data_name("main-kind") == "mainXkind"


def test_hints_and_headings_follow_the_definitions(taxonomy):
    config = build_interface(taxonomy)
    old = config.replace("Looks back.", "Old.").replace("kind: What it is.", "kind: Retired.")
    changes = ["the facet 'kind' has new definitions"]
    assert adapt_interface(old, taxonomy, set) == (config, changes)
    own = config.replace("kind: What it is.", "Say what it is")
    assert adapt_interface(own, taxonomy, set) == (own, [])


def test_missing_controls_are_restored(taxonomy):
    config, changes = adapt_interface('<View><Text name="x" value="$y"/></View>', taxonomy, set)
    assert len(changes) == 5
    assert set(offered(config)) == {"kind", "field", VERDICT}
    assert has_facet_of(config, taxonomy)


def test_xml_entities_are_not_expanded(taxonomy):
    bomb = (
        '<!DOCTYPE View [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
        "<View><Header>&b;</Header></View>"
    )
    config, _ = adapt_interface(bomb, taxonomy, set)
    assert "aaaaaaaaaaaaaaaaaaaa" not in config
