from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.papers import Paper
from tagger.papers.readers.identifiers import (
    bare_arxiv,
    identifier_of_link,
    identifiers_of,
    mentions,
    normal_arxiv,
    normal_doi,
    normal_form,
    written_identifiers,
)

NORMAL_PMID, NORMAL_OPENALEX, NORMAL_S2 = (
    partial(normal_form, kind) for kind in ("pmid", "openalex", "s2")
)


@pytest.mark.parametrize(
    ("normal", "written", "identifier"),
    [
        (normal_doi, "10.1234/ABC", "doi:10.1234/abc"),
        (normal_doi, "https://doi.org/10.1234/ABC", "doi:10.1234/abc"),
        (normal_doi, "DOI: 10.1234/abc.", "doi:10.1234/abc"),
        (normal_doi, "(doi:10.1016/S0140-6736(05)12345-6).", "doi:10.1016/s0140-6736(05)12345-6"),
        (normal_doi, r"10.1007/978-3-030\_2", "doi:10.1007/978-3-030_2"),
        (normal_doi, "10.1007%2F978-3", "doi:10.1007/978-3"),
        (
            normal_doi,
            "10.1002/(SICI)1097(1998)17:15&lt;16::AID-SIM9&gt;3.0.CO;2-2",
            "doi:10.1002/(sici)1097(1998)17:15<16::aid-sim9>3.0.co;2-2",
        ),
        (normal_doi, "10.1234.56/x", "doi:10.1234.56/x"),
        (normal_doi, "10.5555 / harbour. 2020.01", "doi:10.5555/harbour.2020.01"),
        (normal_doi, "10.5555/harbour lights", "doi:10.5555/harbourlights"),
        (normal_doi, "10.5555/\u200bharbour [doi]", "doi:10.5555/harbour"),
        (normal_doi, "10.5555/harbour. Epub 2020 Jan 1", "doi:10.5555/harbour"),
        (NORMAL_OPENALEX, "https://openalex.org/W12", "openalex:w12"),
        (NORMAL_S2, "AB" * 20, f"s2:{'ab' * 20}"),
        (bare_arxiv, "2101.00001v3", "arxiv:2101.00001"),
        (bare_arxiv, "arXiv:hep-th/9901001", "arxiv:hep-th/9901001"),
        *((bare_arxiv, text, None) for text in ("record/1234567", "2101.00001 x", "12345")),
        (identifier_of_link, "https://rss.arxiv.org/abs/2101.00001", "arxiv:2101.00001"),
        (identifier_of_link, "https://huggingface.co/papers/2101.00001", "arxiv:2101.00001"),
        (
            identifier_of_link,
            "x.org/?u=https%3A%2F%2Fdoi.org%2F10.5555%2Fa",
            "doi:10.5555/a",
        ),
        (identifier_of_link, "https://api.semanticscholar.org/CorpusID:7", "corpusid:7"),
        (normal_doi, "https://doi.org/10.48550/arXiv.2101.00001v2", "arxiv:2101.00001"),
        (normal_doi, "10.48550/arXiv.hep-th/9901001", "arxiv:hep-th/9901001"),
        *((normal_doi, text, None) for text in ("10.48550/arXiv.x", "n/a", "10.1234/", "10.12/a")),
        (normal_arxiv, "arXiv:2101.00001v2", "arxiv:2101.00001"),
        (normal_arxiv, "2101.00001 [cs.CL]", "arxiv:2101.00001"),
        (normal_arxiv, "math.GT/0309136v1", "arxiv:math/0309136"),
        (normal_arxiv, "hep-th/9901001", "arxiv:hep-th/9901001"),
        *((normal_arxiv, text, None) for text in ("2113.00001", "12101.00001", "2101.000011", "x")),
        (NORMAL_PMID, "123", "pmid:123"),
        (NORMAL_PMID, " PMID: 0123 ", "pmid:123"),
        *((NORMAL_PMID, text, None) for text in ("PMC123", "0", "")),
        (identifier_of_link, "http://dx.doi.org/10.1234/X?from=y", "doi:10.1234/x"),
        (identifier_of_link, "see https://arxiv.org/pdf/2101.00001v3.pdf", "arxiv:2101.00001"),
        (identifier_of_link, "http://arxiv.org/abs/hep-th/9901001", "arxiv:hep-th/9901001"),
        (identifier_of_link, "https://pubmed.ncbi.nlm.nih.gov/123/", "pmid:123"),
        (identifier_of_link, "https://www.ncbi.nlm.nih.gov/pubmed/123", "pmid:123"),
        (identifier_of_link, "https://example.org/10.1234/abc", None),
        *(
            (identifier_of_link, f"https://example.org/{path}", "doi:10.1234/a.b-c")
            for path in (
                "doi/10.1234/a.b-c",
                "doi/full/10.1234/a.b-c?x=y",
                "article/10.1234/a.b-c/abstract",
                "articles/10.1234/a.b-c/full",
                "plosone/article?id=10.1234/a.b-c",
                "x?url=https://example.org/doi/pdf/10.1234/a.b-c&hl=en",
            )
        ),
        *(
            (identifier_of_link, f"https://www.{link}", "doi:10.1101/2026.11.01.123456")
            for link in (
                "biorxiv.org/content/10.1101/2026.11.01.123456v1",
                "medrxiv.org/content/10.1101/2026.11.01.123456v2.full.pdf?x=y",
                "biorxiv.org/content/10.1101/2026.11.01.123456.abstract",
            )
        ),
        (identifier_of_link, "https://doi.org/10.21203/rs.3.rs-1/v1", "doi:10.21203/rs.3.rs-1/v1"),
    ],
)
def test_identifiers_are_normalised(normal, written, identifier):
    assert normal(written) == identifier


def test_identifiers_of_fields_are_unique():
    several = "10.1000/a;10.1000/B; https://doi.org/10.1000/c"
    assert identifiers_of(dois=[several]) == ("doi:10.1000/a", "doi:10.1000/b", "doi:10.1000/c")
    assert identifiers_of(dois=["10.1000/a;2-2;"]) == ("doi:10.1000/a;2-2",)
    link = "https://doi.org/10.1234/a"
    found = identifiers_of(dois=["", "10.1234/A"], arxiv=["2101.00001"], pmids=["x"], links=[link])
    assert found == ("doi:10.1234/a", "arxiv:2101.00001")
    assert mentions("arxiv", "see arXiv: 2101.00001 and 2101.00002") == ["arXiv: 2101.00001"]
    assert mentions("pmid", "PMID: 12; PMID13; 14") == ["PMID: 12", "PMID13"]


@given(st.text(), st.sampled_from([normal_doi, normal_arxiv, NORMAL_PMID, identifier_of_link]))
def test_normalised_identifiers_are_valid_ids(text, normal):
    for prefix in ("", "10.1234/", "https://doi.org/10.1234/", "2101.00001"):
        found = normal(prefix + text)
        if found:
            assert Paper("A title", "", identifiers=(found,)).id == found


def test_written_identifiers_are_found_as_links_guids_and_bare_ids():
    text = "oai:arXiv.org:2101.00001v1 https://openalex.org/W3 pmid:https://pubmed.gov/7 10.5555/A"
    found = ("arxiv:2101.00001", "openalex:w3", "pmid:7", "doi:10.5555/a")
    assert written_identifiers(text) == found


@pytest.mark.parametrize(
    "note",
    ["see also doi:10.1234/b", "Erratum in: Sea, PMID: 12", "Reply to X (arXiv:2101.00001)"],
)
def test_a_note_about_another_paper_gives_no_identifier(note):
    assert identifiers_of(notes=note) == ()
    assert identifiers_of(notes=f"DOI: 10.1234/a; {note}") == ("doi:10.1234/a",)
