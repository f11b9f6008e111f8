import stat

import pytest

from tagger.durable import append_line, replacing, replacing_folder
from tagger.errors import TaggerError


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as file:
        file.write("first")

    def fail_midway():
        with replacing(path) as file:
            file.write("second")
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        fail_midway()
    assert path.read_text(encoding="utf-8") == "first"
    assert list(path.parent.iterdir()) == [path]


def test_lines_are_appended_and_a_torn_one_is_closed_first(tmp_path):
    path = tmp_path / "log.jsonl"
    append_line(path, "one")
    with path.open("a", encoding="utf-8") as file:
        file.write("torn")
    append_line(path, "three")
    assert path.read_text(encoding="utf-8") == "one\ntorn\nthree\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    for write in (
        lambda: replacing(tmp_path / "file" / "x").__enter__(),
        lambda: append_line(tmp_path / "file" / "x", "line"),
    ):
        with pytest.raises(TaggerError, match="cannot be written"):
            write()


def test_mode_and_link_of_a_file_stay(tmp_path):
    real = tmp_path / "real.txt"
    real.write_text("old", encoding="utf-8")
    real.chmod(0o600)
    link = tmp_path / "link.txt"
    link.symlink_to(real)
    with replacing(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "folder"
    for content in ("first", "second"):
        with replacing_folder(path) as folder:
            (folder / content).touch()

    def fail_midway():
        with replacing_folder(path) as folder:
            (folder / "third").touch()
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        fail_midway()
    assert [file.name for file in path.iterdir()] == ["second"]
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_moved_in_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    move = type(path).replace

    def refused(self, target):
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return move(self, target)

    monkeypatch.setattr(type(path), "replace", refused)
    with pytest.raises(TaggerError, match="No space left"), replacing_folder(path) as folder:
        (folder / "new").touch()
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]
