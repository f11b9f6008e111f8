import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.paper import Paper
from tagger.readers.identifiers import (
    arxiv_mentions,
    identifier_of_link,
    identifiers_of,
    normal_arxiv,
    normal_doi,
    normal_pmid,
    pmid_mentions,
)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("10.1234/ABC", "doi:10.1234/abc"),
        ("https://doi.org/10.1234/ABC", "doi:10.1234/abc"),
        ("DOI: 10.1234/abc.", "doi:10.1234/abc"),
        ("(doi:10.1016/S0140-6736(05)12345-6).", "doi:10.1016/s0140-6736(05)12345-6"),
        (r"10.1007/978-3-030\_2", "doi:10.1007/978-3-030_2"),
        ("10.1007%2F978-3", "doi:10.1007/978-3"),
        (
            "10.1002/(SICI)1097(1998)17:15&lt;16::AID-SIM9&gt;3.0.CO;2-2",
            "doi:10.1002/(sici)1097(1998)17:15<16::aid-sim9>3.0.co;2-2",
        ),
        ("10.1234.56/x", "doi:10.1234.56/x"),
        ("https://doi.org/10.48550/arXiv.2101.00001v2", "arxiv:2101.00001"),
        ("10.48550/arXiv.hep-th/9901001", "arxiv:hep-th/9901001"),
        ("10.48550/arXiv.nonsense", None),
        ("n/a", None),
        ("10.1234/", None),
        ("10.12/abc", None),
        ("", None),
    ],
)
def test_a_doi_has_one_form(written, normal):
    assert normal_doi(written) == normal


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("arXiv:2101.00001v2", "arxiv:2101.00001"),
        ("2101.00001 [cs.CL]", "arxiv:2101.00001"),
        ("0704.0001", "arxiv:0704.0001"),
        ("math.GT/0309136v1", "arxiv:math/0309136"),
        ("hep-th/9901001", "arxiv:hep-th/9901001"),
        ("2113.00001", None),
        ("12101.00001", None),
        ("2101.000011", None),
        ("of nothing", None),
    ],
)
def test_an_arxiv_id_has_one_form_without_version(written, normal):
    assert normal_arxiv(written) == normal


@pytest.mark.parametrize(
    ("written", "normal"),
    [("123", "pmid:123"), (" PMID: 0123 ", "pmid:123"), ("PMC123", None), ("0", None), ("", None)],
)
def test_a_pubmed_number_has_one_form(written, normal):
    assert normal_pmid(written) == normal


@pytest.mark.parametrize(
    ("link", "normal"),
    [
        ("http://dx.doi.org/10.1234/X?from=y", "doi:10.1234/x"),
        ("see https://arxiv.org/pdf/2101.00001v3.pdf", "arxiv:2101.00001"),
        ("http://arxiv.org/abs/hep-th/9901001", "arxiv:hep-th/9901001"),
        ("https://pubmed.ncbi.nlm.nih.gov/123/", "pmid:123"),
        ("https://www.ncbi.nlm.nih.gov/pubmed/123", "pmid:123"),
        ("https://example.org/10.1234/abc", None),
    ],
)
def test_a_link_tells_what_it_leads_to(link, normal):
    assert identifier_of_link(link) == normal


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("10.1000/a;10.1000/B", ("doi:10.1000/a", "doi:10.1000/b")),
        ("10.1000/a; https://doi.org/10.1000/b", ("doi:10.1000/a", "doi:10.1000/b")),
        ("10.1000/a;2-2;", ("doi:10.1000/a;2-2",)),
    ],
)
def test_a_cell_may_hold_several_dois(cell, found):
    assert identifiers_of(dois=[cell]) == found


def test_mentions_are_told_from_other_words():
    assert arxiv_mentions("see arXiv: 2101.00001 and 2101.00002") == ["arXiv: 2101.00001"]
    assert pmid_mentions("PMID: 12; PMID13; 14") == ["PMID: 12", "PMID13"]


def test_what_is_no_identifier_is_passed_over_and_the_rest_kept_once():
    found = identifiers_of(
        dois=["", "10.1234/A"],
        arxiv=["2101.00001"],
        pmids=["none"],
        links=["https://doi.org/10.1234/a"],
    )
    assert found == ("doi:10.1234/a", "arxiv:2101.00001")


@given(st.text(), st.sampled_from([normal_doi, normal_arxiv, normal_pmid, identifier_of_link]))
def test_whatever_comes_out_is_an_identity(text, normal):
    for prefix in ("", "10.1234/", "https://doi.org/10.1234/", "2101.00001"):
        found = normal(prefix + text)
        if found:
            assert Paper("A title", "", identifiers=(found,)).id == found
