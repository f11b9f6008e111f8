"""A disk that is full or read-only: one line that names the file, exit code 2, nothing lost."""

import ctypes
import os
import resource
import shutil
import sys
from pathlib import Path

import pytest
from helpers.samples import contents, page, run, start

RENAME = ("taxonomy", "rename", "field/law", "legal", "--yes", "--labels", "labels")
TAG = ("tag", "page.txt", "--model", "model", "--output", "tagged")
DROP_CAPABILITY, WRITE_ANYWHERE, OWN_ANYTHING = 24, 1, 3
"""Of Linux: what prctl calls it, and the numbers of the rights that root has over files."""


@pytest.fixture
def place(label_folder, saved_model):
    """A workspace with labels, a page and a model."""
    shutil.copytree(saved_model, label_folder.parent / "model")
    text = page("First paper", "Second paper")
    (label_folder.parent / "page.txt").write_text(text, encoding="utf-8")
    return label_folder.parent


def tagger(place, *arguments, prepare=None, **options):
    """Run the command line in a process of its own."""
    process = start(place, *arguments, preexec_fn=prepare, **options)
    _, said = process.communicate()
    return process.returncode, said


def small_files_only(kilobytes):
    """Let no file grow beyond a size, as on a disk that is about to be full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024,) * 2)


def bound_by_rights():
    """Bind root by the rights of files, as everybody else is."""
    if os.geteuid() == 0:
        for right in (WRITE_ANYWHERE, OWN_ANYTHING):
            ctypes.CDLL(None).prctl(DROP_CAPABILITY, right, 0, 0, 0)


def test_a_change_of_the_taxonomy_that_finds_the_disk_full_changes_nothing(place):
    path = place / "labels" / "taxonomy.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"Law."', f'"Law: {1900 * "x"}."'), encoding="utf-8")
    before = contents(place / "labels")
    code, said = tagger(place, *RENAME, prepare=small_files_only(1))
    assert (code, said.count("\n")) == (2, 1)
    assert "taxonomy.yaml: cannot be written (File too large)" in said
    assert contents(place / "labels") == before
    run(*RENAME, cwd=place, code=0)


def test_results_of_an_earlier_run_stay_when_the_disk_is_full(place):
    run(*TAG, cwd=place, code=0)
    before = contents(place / "tagged")
    more = [f"Paper {n} on the heart" for n in range(40)]
    (place / "page.txt").write_text(page(*more), encoding="utf-8")
    again = (*TAG, "--replace")
    code, said = tagger(place, *again, prepare=small_files_only(4))
    assert (code, "Traceback" in said) == (2, False)
    assert "cannot be written (" in said.splitlines()[-1]
    after = contents(place / "tagged")
    assert {name: after[name] for name in before} == before
    run(*again, cwd=place, code=0)
    assert (place / "tagged" / "tags.jsonl").read_text(encoding="utf-8").count("\n") == 40


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_printed_is_told_in_one_line(place):
    with Path("/dev/full").open("w") as full:
        code, said = tagger(place, "taxonomy", "show", stdout=full)
    assert (code, said.count("\n")) == (2, 1)
    assert "No space left on device" in said


@pytest.mark.skipif(os.geteuid() == 0 and sys.platform != "linux", reason="root may write anywhere")
def test_folders_that_are_read_only_are_named(place):
    before = contents(place / "labels")
    (place / "tagged").mkdir()
    commands = {"labels": RENAME, "tagged": TAG, ".": ("init", "mine", "--template", "medicine")}
    for folder, arguments in commands.items():
        (place / folder).chmod(0o555)
        code, said = tagger(place, *arguments, prepare=bound_by_rights)
        assert (code, "Traceback" in said) == (2, False), said
        assert "cannot be written (Permission denied)" in said.splitlines()[-1]
    assert contents(place / "labels") == before
    # What only reads needs no right to write.
    shown, _ = tagger(place, "taxonomy", "show", prepare=bound_by_rights)
    for folder in reversed(commands):
        (place / folder).chmod(0o755)
    assert shown == 0
