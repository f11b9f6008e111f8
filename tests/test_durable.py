import errno
import os
import stat
import subprocess
import sys

import pytest

from tagger import durable
from tagger.durable import append_line, exclusively, making, replacing, replacing_folder
from tagger.errors import TaggerError

HOLD = (
    "import sys; from pathlib import Path; from tagger.durable import exclusively\n"
    "with exclusively(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


def holder(path):
    """Start a process that holds the lock of a path until its input ends."""
    command = [sys.executable, "-c", HOLD, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


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
    # As on a system where folders cannot change places.
    monkeypatch.setattr(durable, "_exchange", lambda *folders: False)
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


def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    path = tmp_path / "file.txt"
    left = tmp_path / ".file.txt.abcd_123.tmp"
    other = tmp_path / ".file.txt.old.abcd_123.tmp"
    for name in (left, other):
        name.write_text("half", encoding="utf-8")
    with replacing(path) as first:
        first.write("first")
        assert not left.exists()
        with replacing(path) as second:
            second.write("second")
        assert path.read_text(encoding="utf-8") == "second"
    assert path.read_text(encoding="utf-8") == "first"
    assert sorted(tmp_path.iterdir()) == [other, path]


def test_a_folder_that_a_kill_left_aside_is_put_back(tmp_path):
    path = tmp_path / "folder"
    aside = tmp_path / ".folder.abcd_123.tmp" / "old"
    aside.mkdir(parents=True)
    (aside / "first").touch()

    def fail_midway():
        with replacing_folder(path):
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        fail_midway()
    assert [file.name for file in path.iterdir()] == ["first"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux lets folders change places")
def test_a_folder_is_there_at_every_moment(tmp_path, monkeypatch):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()

    def refused(self, target):
        raise AssertionError(f"{self} was moved away")

    monkeypatch.setattr(type(path), "replace", refused)
    with replacing_folder(path) as folder:
        (folder / "new").touch()
    assert [file.name for file in path.iterdir()] == ["new"]


def test_a_file_that_a_library_makes_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "made"

    def fail_midway():
        with making(path) as place:
            place.write_text("half", encoding="utf-8")
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        fail_midway()
    assert not list(path.parent.iterdir())
    with making(path) as place:
        place.write_text("whole", encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_costs_nothing_and_the_file_is_named(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    with replacing(path) as file:
        file.write("first")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write():
        with replacing(path) as file:
            file.write("second")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TaggerError, match=r"file.txt: cannot be written \(No space left"):
        write()
    assert path.read_text(encoding="utf-8") == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_one_waits_for_another_and_says_so(tmp_path, monkeypatch, caplog):
    path = tmp_path / "file.txt"
    other = holder(path)
    monkeypatch.setattr(durable, "_PATIENCE", 0.05)
    warn = durable._LOG.warning

    def release(*said):
        warn(*said)
        other.stdin.close()

    monkeypatch.setattr(durable._LOG, "warning", release)
    with exclusively(path), exclusively(path):
        assert other.wait() == 0
    assert caplog.messages == [f"waiting for another tagger that is at work on {path}"]


def test_a_killed_process_keeps_nobody_waiting(tmp_path, caplog):
    other = holder(tmp_path / "file.txt")
    other.kill()
    other.communicate()
    with exclusively(tmp_path / "file.txt"):
        assert not caplog.messages
