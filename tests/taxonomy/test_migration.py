"""Migration of label folders of an earlier version, with a history of changes."""

import json
import logging
import shutil
from pathlib import Path

import pytest
from helpers.samples import contents

from tagger.errors import TaggerError
from tagger.labels import LabelStore, papers_to_rereview
from tagger.taxonomy import load_taxonomy
from tagger.taxonomy import migration as taxonomy_migration

OLD = Path(__file__).parent / "label_folder_of_before"
"""Survey renamed, heart and law merged, study retired, law reused, both split."""


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(OLD, tmp_path / "labels"))


def test_migration_keeps_the_meaning_of_every_label(folder, caplog):
    with caplog.at_level(logging.WARNING):
        store = LabelStore(folder)
    labels = {label.title: label for label in store.all_labels()}
    assert {label.title: label.tags for label in labels.values()} == {
        "One": {"kind": ("review",), "field": ("health", "both")},
        "Two": {"field": ("both",)},
        "Three": {"kind": ("method",), "field": ()},
        "Four": {"kind": ("review",), "field": ("health", "both")},
        "Five": {"field": ("law",)},
    }
    assert labels["Four"].prediction.tags == {"field": ("both",)}
    split = "look at field, which has new tags: civil, penal"
    assert {one.paper.title: list(one.questions.values()) for one in papers_to_rereview(store)} == {
        "One": [split],
        "Two": ["look at kind, which has one tag less", split],
        "Four": [split],
    }
    [record] = caplog.records
    assert "5 changes are now 'replaces'" in record.message
    assert "seed.jsonl" in record.message


def test_the_taxonomy_keeps_its_version_and_nothing_is_lost(folder):
    before = load_taxonomy(folder / "taxonomy.yaml")
    taxonomy = LabelStore(folder).taxonomy
    assert taxonomy.version == before.version
    kind, field = taxonomy.facets
    assert (kind.retired, kind.tags[0].replaces) == (("study",), ("survey",))
    assert field.meanings["heart"] == ("health", "both")
    assert "# Of a review." in (folder / "taxonomy.yaml").read_text(encoding="utf-8")
    for name in ("taxonomy_history.jsonl", "seed.jsonl", "corrections.jsonl"):
        assert (folder / f"{name}.migrated").read_bytes() == (OLD / name).read_bytes()
    content = contents(folder)
    LabelStore(folder)
    assert contents(folder) == content


def test_label_files_without_ambiguous_names_stay(folder):
    history = folder / "taxonomy_history.jsonl"
    first, *_ = history.read_text(encoding="utf-8").splitlines()
    history.write_text(first + "\n", encoding="utf-8")
    text = json.loads(first)["to_text"]
    (folder / "taxonomy.yaml").write_text(text, encoding="utf-8")
    labels = LabelStore(folder).all_labels()
    assert labels[0].tags == {"kind": ("review",), "field": ("health", "heart")}
    assert (folder / "seed.jsonl").read_bytes() == (OLD / "seed.jsonl").read_bytes()


@pytest.mark.parametrize("number", range(5))
def test_killed_migration_is_repeated(folder, tmp_path, monkeypatch, number):
    whole = Path(shutil.copytree(OLD, tmp_path / "whole"))
    expected = LabelStore(whole).all_labels()
    replacing, left = taxonomy_migration.replacing, iter(range(number))

    def killed(path):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return replacing(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        patch.setattr(taxonomy_migration, "replacing", killed)
        LabelStore(folder)
    assert LabelStore(folder).all_labels() == expected
    for path in whole.glob("[!.]*"):
        assert (folder / path.name).read_bytes() == path.read_bytes()


def test_interrupted_change_is_completed(folder):
    last = (folder / "taxonomy_history.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    (folder / "taxonomy.yaml").write_text(json.loads(last)["from_text"], encoding="utf-8")
    assert "penal" in LabelStore(folder).taxonomy.facet("field").tag_names


def test_a_damaged_history_is_named_by_line_and_field(folder):
    path = folder / "taxonomy_history.jsonl"
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace('"retire"', '"vanish"'), encoding="utf-8")
    with pytest.raises(TaggerError) as caught:
        LabelStore(folder)
    assert (caught.value.path, caught.value.line) == (str(path), 3)
    assert "operation" in caught.value.field
    assert (folder / "taxonomy.yaml").read_bytes() == (OLD / "taxonomy.yaml").read_bytes()
