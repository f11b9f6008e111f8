import json
import shutil

import pytest
from helpers.samples import Terminal, contents, label_line, refused, run
from helpers.tiny_model import save_tiny_model

from tagger.labels import LabelStore

SPLIT = (
    *("split", "field/law", "--into", "civil", "penal"),
    *("--definition", "civil=Between people.", "--definition", "penal=Crimes."),
)


@pytest.fixture
def command(label_folder):
    """The command, in the folder above the labels."""

    def call(*arguments, code=0):
        return run("taxonomy", *arguments, cwd=label_folder.parent, code=code)

    return call


def test_a_taxonomy_is_changed_shown_checked_and_compared(command, label_folder):
    assert "all labels fit" in command("check").stdout
    shutil.copy(label_folder / "taxonomy.yaml", label_folder.parent / "before.yaml")
    assert "survey -> review" in command("rename", "kind/survey", "review", "--yes").stdout
    merge = ("merge", "field/heart", "field/law", "--into", "both", "--definition", "Both.")
    done = json.loads(command(*merge, "--yes", "--json").stdout)
    assert (done["labels_changed"], done["done"]) == (9, True)
    assert "- field/law: Law. -> both" in done["changes"]
    command("retire", "kind/study", "--yes")
    typical = ("--example", "On Reading", "--example", "Against Method: An Essay")
    command("add", "kind/essay", "--definition", "Argues.", *typical, "--yes")
    text = command("show").stdout
    assert "essay 0: Argues. (2 examples)" in text
    assert "4 papers to look at again: tagger taxonomy rereview" in text
    shown = json.loads(command("show", "--json").stdout)
    kind, field = shown["facets"]
    counts = {tag["name"]: tag["papers"] for facet in (kind, field) for tag in facet["tags"]}
    assert counts == {"review": 4, "method": 4, "essay": 0, "health": 6, "both": 9}
    assert kind["tags"][-1]["examples"] == ["On Reading", "Against Method: An Essay"]
    assert (kind["tags"][0]["replaces"], kind["retired"]) == (["survey"], ["study"])
    assert shown["papers_to_rereview"] == 4
    differences = command("diff", "before.yaml").stdout
    assert "~ kind/review renamed: survey -> review" in differences
    assert "- kind/study" in differences
    first, *_ = json.loads(command("diff", "before.yaml", "labels", "--json").stdout)["differences"]
    assert (first["facet"], first["tag"], first["kind"]) == ("kind", "study", "removed")
    assert "0 differences" in command("diff", "labels").stdout
    save_tiny_model(label_folder.parent / "model", LabelStore(label_folder).taxonomy)
    assert "0 differences" in command("diff", "model").stdout
    waiting = json.loads(command("rereview", "--json", code=1).stdout)
    assert len(waiting["papers"]) == 4
    assert "all labels fit" in command("check").stdout


def test_commands_to_give_next_name_the_label_folder(command, label_folder):
    label_folder.rename(label_folder.parent / "my labels")
    retired = command("retire", "kind/study", "--labels", "my labels", "--yes").stdout
    for text in ("taxonomy rereview", "train"):
        assert f"tagger {text} --labels 'my labels'" in retired


def test_without_a_yes_it_is_said_what_would_change_and_nothing_is_written(command, label_folder):
    before = contents(label_folder)
    said = command(*SPLIT, "--dry-run").stdout
    assert "+ field/civil: Between people." in said
    assert "3 papers to look at again" in said
    assert "Nothing was changed." in said
    done = command(*SPLIT, code=2)
    assert done.stderr.startswith("error: nothing was changed")
    assert "--yes" in done.stderr
    assert contents(label_folder) == before


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_a_person_is_asked(command, label_folder, monkeypatch, answer, code):
    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
    done = command("retire", "field/law", code=code)
    assert "Change the taxonomy?" in done.stdout
    there = "law" in LabelStore(label_folder).taxonomy.facet("field").tag_names
    assert there == (answer == "n")


def test_labels_that_do_not_fit_are_listed(command, label_folder):
    lines = [label_line("A", tags={"kind": ["poem"]}), label_line("B", tags={"colour": []})]
    with (label_folder / "seed.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    done = command("check", code=1)
    assert "seed.jsonl:13: field 'tags.kind': unknown tag 'poem'" in done.stderr
    assert "2 labels do not fit" in done.stdout
    found = json.loads(command("check", "--json", code=1).stdout)["misfits"]
    assert [misfit["line"] for misfit in found] == [13, 14]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("rename", "law", "x"), "expected FACET/TAG, got 'law'"),
        (("merge", "field/law", "kind/study", "--into", "law"), "cannot be merged"),
        (("split", "field/law", "--into", "a", "--definition", "b"), "expected NEW=TEXT, got 'b'"),
        (("retire", "field/sea"), "'field' has no tag 'sea'. Known: health, heart, law"),
        (("diff", "none.yaml"), "none.yaml: no such taxonomy file"),
        ((*SPLIT, "fiscal"), "new tags and definitions do not match"),
    ],
)
def test_mistakes_are_one_line(label_folder, arguments, reason):
    before = contents(label_folder)
    refused(reason, "taxonomy", *arguments, cwd=label_folder.parent)
    assert contents(label_folder) == before
