"""Two commands at once in one workspace: one waits, or is told; nothing is mixed up."""

import pytest
from helpers.samples import page, run, start

from tagger._util.atomic import exclusively
from tagger.labels import LabelStore
from tagger.tagging import TAGS_FILE


def test_a_second_run_into_one_folder_waits_and_says_so(tmp_path, saved_model):
    (tmp_path / "page.txt").write_text(page("First paper", "Second paper"), encoding="utf-8")
    tags = tmp_path / "out" / TAGS_FILE
    with exclusively(tags):
        second = start(tmp_path, "tag", "page.txt", "-m", saved_model, "-o", "out")
        said = next(line for line in second.stderr if "waiting" in line)
        assert said == f"warning: waiting for another tagger process that uses out/{TAGS_FILE}\n"
        assert not tags.exists()
    second.communicate()
    assert second.returncode == 0
    assert tags.read_text(encoding="utf-8").count("\n") == 2


@pytest.mark.parametrize("command", ["tag page.txt -m MODEL -o out", "library export lib -o out"])
def test_a_command_that_waited_does_not_replace_results_of_other_papers(
    tmp_path, saved_model, command
):
    (tmp_path / "page.txt").write_text(page("First paper"), encoding="utf-8")
    if command.startswith("library"):
        run("tag", "page.txt", "-m", saved_model, "--into", "lib", cwd=tmp_path, code=0)
    tags = tmp_path / "out" / TAGS_FILE
    words = [saved_model if word == "MODEL" else word for word in command.split()]
    with exclusively(tags):
        second = start(tmp_path, *words)
        assert "waiting" in next(iter(second.stderr))
        tags.write_text('{"id": "t-0", "title": "Another paper"}\n', encoding="utf-8")
    assert "has results of 1 papers" in second.communicate()[1]
    assert second.returncode == 2
    assert "Another paper" in tags.read_text(encoding="utf-8")


def test_two_changes_of_one_taxonomy_are_made_one_after_the_other_or_refused(label_folder):
    renames = {
        name: start(
            label_folder.parent, "taxonomy", "rename", f"field/{name}", f"{name}-2", "--yes"
        )
        for name in ("law", "heart")
    }
    said = {name: process.communicate()[1] for name, process in renames.items()}
    made = {name for name, process in renames.items() if process.returncode == 0}
    assert made, said
    for name in renames.keys() - made:
        assert renames[name].returncode == 2
        assert "was changed by another process" in said[name]
    store = LabelStore(label_folder)
    names = store.taxonomy.facet("field").tag_names
    assert {name for name in renames if f"{name}-2" in names} == made
    assert len(store.all_labels()) == 12
