import errno
import os
import stat
import subprocess
import sys
from unittest.mock import Mock

import pytest

from tagger._util import atomic
from tagger._util.atomic import exclusively, making, replacing, replacing_folder
from tagger.errors import TaggerError

HOLD = (
    "import sys; from pathlib import Path; from tagger._util.atomic import exclusively\n"
    "with exclusively(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


def holder(path):
    """Start a process that holds the lock of a path until its input ends."""
    command = [sys.executable, "-c", HOLD, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def write_file(path, content):
    with replacing(path) as file:
        file.write(content)


def write_folder(path, content):
    with replacing_folder(path) as folder:
        (folder / "part").write_text(content, encoding="utf-8")


def write_by_library(path, content):
    with making(path) as place:
        place.write_text(content, encoding="utf-8")


@pytest.mark.parametrize(
    ("write", "part"), [(write_file, ""), (write_folder, "part"), (write_by_library, "")]
)
def test_paths_are_replaced_atomically(tmp_path, write, part):
    path = tmp_path / "new" / "path"
    for content in ("first", "second"):
        write(path, content)
    with pytest.raises(TypeError):
        write(path, None)
    assert (path / part).read_text(encoding="utf-8") == "second"
    assert list(path.parent.iterdir()) == [path]


def test_what_killed_writers_left_goes_after_a_day(tmp_path):
    path = tmp_path / "file[1].txt"
    old, new, of_another = (
        tmp_path / f".{name}.tmp" for name in ("file[1].txt.aaaaaaaa", "file[1].txt.bbbbbbbb", "x")
    )
    for left in (old, new, of_another):
        write_folder(left, "half")
    for left in (old, of_another):
        os.utime(left, (0, 0))
    write_file(path, "content")
    assert {*tmp_path.iterdir()} == {path, new, of_another}


def test_unwritable_path_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TaggerError, match="file/x: cannot be written"):
        write_file(tmp_path / "file" / "x", "line")


def test_permissions_and_links_are_kept(tmp_path):
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old", encoding="utf-8")
    real.chmod(0o600)
    link.symlink_to(real)
    write_file(link, "new")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_new_files_and_folders_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_file(tmp_path / "file", "content")
        write_folder(tmp_path / "folder", "content")
        with replacing(tmp_path / "secret", mode=0o600):
            pass
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"file": 0o666 & ~umask, "folder": 0o777 & ~umask, "secret": 0o600}


@pytest.mark.parametrize("reason", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_failed_rename_keeps_the_old_folder(tmp_path, monkeypatch, reason):
    path = tmp_path / "folder"
    write_folder(path, "old")
    move = type(path).replace

    def refused(self, target):
        if self.name == "new":
            raise reason
        return move(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "replace", refused)
        with pytest.raises((TaggerError, KeyboardInterrupt)):
            write_folder(path, "new")
    # What a kill left aside, the next writer puts back first.
    assert path.exists() == isinstance(reason, OSError)
    with pytest.raises(TypeError):
        write_folder(path, None)
    assert (path / "part").read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_file(path, "first")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", Mock(side_effect=full))
    with pytest.raises(TaggerError, match=r"file.txt: cannot be written \(No space left"):
        write_file(path, "second")
    assert path.read_text(encoding="utf-8") == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_waiting_for_a_lock_is_logged(tmp_path, monkeypatch, caplog):
    path = tmp_path / "file.txt"
    other = holder(path)
    monkeypatch.setattr(atomic, "_PATIENCE", 0.05)
    warn = atomic._LOG.warning

    def release(*said):
        warn(*said)
        other.stdin.close()

    monkeypatch.setattr(atomic._LOG, "warning", release)
    with exclusively(path), exclusively(path):
        assert other.wait() == 0
    assert caplog.messages == [f"waiting for another tagger process that uses {path}"]


def test_a_link_has_the_lock_of_its_file(tmp_path):
    link = tmp_path / "links" / "link.txt"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "file.txt")
    other = holder(tmp_path / "file.txt")
    with pytest.raises(TaggerError, match="another tagger process"), exclusively(link, wait=False):
        pass
    other.communicate()


def test_lock_of_a_killed_process_is_released(tmp_path, caplog):
    other = holder(tmp_path / "file.txt")
    other.kill()
    other.communicate()
    with exclusively(tmp_path / "file.txt"):
        assert not caplog.messages
