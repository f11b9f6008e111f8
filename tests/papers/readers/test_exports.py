"""Exports of reference managers: every paper, title, abstract and identifier is read."""

from pathlib import Path

import pytest

from tagger.papers import collect_papers, merge_duplicates, read_papers

EXPORTS = Path(__file__).parent / "exports"
TIDES = "Tides of Text: A Survey of Streaming Classifiers"
LANTERNS = "Lanterns: Small Models for Night-Shift Notes"
WARDS = "Quiet Wards and Falls at Night: A Cohort Study"
ERRORS = 'Counting "Quiet" Errors: Measures for Rare Tags'
WARDS_IDS = ("doi:10.5555/quiet.wards", "pmid:30000003")
READ = {
    "zotero.bib": [
        (TIDES, "with café chat logs as an open case.", ("doi:10.5555/tides.2024_7",)),
        (LANTERNS, "at night. CO2 values and doses are kept in every", ("arxiv:2305.99001",)),
    ],
    "jabref.bib": [
        (TIDES, "Text arrives in streams.", ("doi:10.5555/tides.2024_7",)),
        (ERRORS, "", ("arxiv:cs/0407001", "pmid:30000001")),
        ("Tides of Text, Once More", "", ()),
    ],
    "zotero.ris": [
        (TIDES, "120 classifiers that keep up.", ("doi:10.5555/tides.2024_7", "pmid:30000002")),
        (LANTERNS, "at night. CO2 values are kept in every summary.", ("arxiv:2305.99001",)),
    ],
    "scopus.ris": [
        (TIDES, "drifts. © 2024 The Authors.", ("doi:10.5555/tides.2024_7",)),
        ("A Benchmark of Half-Read Books", "", ("doi:10.5555/half.read",)),
    ],
    "web_of_science.ris": [
        (TIDES, "and what it is about drifts. We survey 120", ("doi:10.5555/tides.2024_7",)),
        ("A Benchmark of Half-Read Books", "We ask 900 questions", ()),
    ],
    "ieee.ris": [
        ("Gates for Garden Robots", "the sound of the soil.", ("doi:10.5555/garden.2020.1",))
    ],
    "endnote.ris": [(WARDS, "RESULTS: Quiet wards had", WARDS_IDS)],
    "pubmed.nbib": [
        (f"{WARDS}.", "40 wards for a year. RESULTS:", WARDS_IDS),
        ("Letter on Lamps.", "", ("pmid:30000004",)),
    ],
    "pubmed.xml": [
        (
            f"{WARDS}.",
            "BACKGROUND: Wards are loud at night. METHODS: We measured 40 wards for a year, with "
            "CO2 below 5 %. RESULTS: Quiet wards had fewer falls (p < 0.01).",
            WARDS_IDS,
        ),
        ("Briefe an die Nachtwache.", "", ("pmid:30000005",)),
        ("Night Shifts", "A chapter on shifts.", ("pmid:30000006",)),
    ],
}
FORMATS = {".bib": "bibtex", ".ris": "ris", ".nbib": "nbib", ".xml": "pubmed-xml"}


@pytest.mark.parametrize("name", sorted(path.name for path in EXPORTS.iterdir()))
def test_every_field_of_an_export_is_read(name, tmp_path):
    renamed = tmp_path / "export.txt"
    renamed.write_bytes(b"\xef\xbb\xbf" + (EXPORTS / name).read_bytes().lstrip())
    read = collect_papers([EXPORTS / name, renamed])
    assert {file.format for file in read.files} == {FORMATS[Path(name).suffix]}
    for paper, (title, part, identifiers) in zip(read.entries, READ[name] * 2, strict=True):
        assert (paper.title, paper.identifiers) == (title, identifiers)
        assert part in paper.abstract
        assert bool(paper.abstract) == bool(part)


def test_one_paper_from_five_programs_is_one_paper():
    merged = merge_duplicates(read_papers(sorted(EXPORTS.iterdir())))
    found = {paper.title: paper for paper in merged}
    assert len(found) == len(merged) == 10
    assert found[TIDES].id == "doi:10.5555/tides.2024_7"
    assert found[TIDES].identifiers == ("doi:10.5555/tides.2024_7", "pmid:30000002")
    assert set(found[TIDES].sources) == {
        name for name, papers in READ.items() if TIDES in [title for title, _, _ in papers]
    }
    assert found["A Benchmark of Half-Read Books"].abstract.startswith("We ask 900")
