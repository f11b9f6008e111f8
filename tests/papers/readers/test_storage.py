import pytest

from tagger.errors import TaggerError
from tagger.papers import read_papers
from tagger.papers.readers.storage import find_files

DESCRIPTIONS = (
    "README",
    "README.md",
    "readme.txt",
    "README.zh-CN.md",
    "LICENSE",
    "LICENCE.rst",
    "LICENSE-MIT",
    "CITATION.cff",
    "CITATION.bib",
    "dataset_info.json",
)
PAPERS = ("citation-33301246.nbib", "license-plate-recognition.bib", "readme-papers.ris")


def test_of_a_folder_only_descriptions_are_left_out(tmp_path):
    for name in DESCRIPTIONS + PAPERS:
        (tmp_path / name).write_text("x")
    found = [file.place for file in find_files([str(tmp_path)])]
    assert found == [f"{tmp_path}/{name}" for name in PAPERS]


def test_a_folder_is_read_like_its_files(tmp_path):
    (tmp_path / "README.md").write_text("Papers of two weeks.")
    (tmp_path / "a.csv").write_text("title,abstract\nA Survey of Kites,We survey kites.\n")
    (tmp_path / "b.csv").write_text("title,abstract\nA Corpus of Knots,We collect knots.\n")
    titles = [paper.title for paper in read_papers([tmp_path, tmp_path / "a.csv"])]
    assert titles == ["A Survey of Kites", "A Corpus of Knots"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(TaggerError) as caught:
        list(read_papers(tmp_path / "empty"))
    assert caught.value.path == str(tmp_path / "empty")
