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
