import pytest

from tagger.report.figures import read_figures


def test_the_figures_of_a_version_are_those_that_were_logged(registry, log):
    version = log(right=0.7)
    log(seed=1)
    found = read_figures(registry, version)
    assert found.version.name == "tagger/1"
    assert [one.name for one in found.versions] == ["tagger/1", "tagger/2"]
    assert [facet.facet for facet in found.facets] == ["kind", "field"]
    for facet in found.facets:
        logged = found.version.macro_f1[facet.facet]
        assert facet.figures["macro_f1"].value == pytest.approx(logged)
        assert facet.papers == 12
