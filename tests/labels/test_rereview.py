from datetime import UTC, datetime
from functools import partial

import pytest
import yaml
from helpers.samples import contents, write_taxonomy
from helpers.tiny_model import save_tiny_model

from tagger.cli.output import load_model_for
from tagger.errors import TaggerError
from tagger.labels import (
    Label,
    LabelStore,
    Prediction,
    apply_change,
    count_tags,
    labelled_papers,
    papers_to_rereview,
    plan_change,
)
from tagger.taxonomy import (
    Taxonomy,
    TaxonomyDocument,
    add_tag,
    merge_tags,
    rename_tag,
    retire_tag,
    split_tag,
)

SPLIT_LAW = (split_tag, "law", {"civil": "C.", "penal": "P."})


def change(folder, kind, *arguments, facet="field", make=apply_change, **options):
    return make(LabelStore(folder), lambda document: kind(document, facet, *arguments, **options))


def correct(folder, title, tags, **fields):
    """Add a correction with current tags, as a pull does."""
    store = LabelStore(folder)
    said = {"outcome": "tagged", "annotator": "ann", "time": datetime.now(UTC), **fields}
    label = Label(title=title, text="", tags=tags, source="review", **said)
    store.add_corrections(lambda _: [label])


def tags_of(folder):
    return {label.title: label.tags for label in LabelStore(folder).labels()}


def asked(folder):
    return {one.paper.title: list(one.questions) for one in papers_to_rereview(LabelStore(folder))}


def test_labels_are_translated_and_files_stay(label_folder):
    prediction = Prediction(model="tagger/1", tags={"kind": ("survey",), "field": ("law",)})
    correct(label_folder, "Title 0", {"kind": ("survey",)}, prediction=prediction)
    files = ("seed.jsonl", "corrections.jsonl")
    before = [(label_folder / name).read_bytes() for name in files]
    change(label_folder, rename_tag, "survey", "review", facet="kind")
    change(label_folder, retire_tag, "law")
    store = LabelStore(label_folder)
    assert [(label_folder / name).read_bytes() for name in files] == before
    assert tags_of(label_folder)["Title 0"]["kind"] == ("review",)
    labels = store.all_labels()
    assert {label.taxonomy for label in labels} == {store.taxonomy.version}
    assert labels[-1].prediction.tags == {"kind": ("review",), "field": ()}
    assert store.misfits() == []
    kinds = count_tags(store.labels(), store.taxonomy)["kind"]
    assert kinds == {"review": 4, "method": 4, "study": 4}


def test_a_model_without_the_new_tags_is_refused(label_folder, tmp_path):
    old = save_tiny_model(tmp_path / "old", LabelStore(label_folder).taxonomy)
    change(label_folder, rename_tag, "survey", "review", facet="kind")
    with pytest.raises(TaggerError, match="was trained for another taxonomy"):
        load_model_for(LabelStore(label_folder), str(old))
    # One that only lists former names is the same taxonomy.
    change(label_folder, rename_tag, "review", "survey", facet="kind")
    assert load_model_for(LabelStore(label_folder), str(old))


def test_plan_describes_a_change_without_writing(label_folder):
    before = contents(label_folder)
    plan = partial(change, label_folder, make=plan_change)
    retired = plan(retire_tag, "survey", facet="kind")
    assert (retired.labels, retired.labels_changed, retired.papers_unannotated) == (12, 4, 4)
    assert (retired.papers_to_review, retired.becomes_tree) == (4, None)
    added = plan(add_tag, "sea", "The sea.")
    assert (added.labels_changed, added.papers_to_review) == (0, 0)
    assert plan(retire_tag, "heart").becomes_tree is False
    assert plan(*SPLIT_LAW).papers_to_review == 3
    assert contents(label_folder) == before


def test_manually_removed_tag_is_reported_with_a_hint(label_folder):
    changed = yaml.safe_load((label_folder / "taxonomy.yaml").read_text(encoding="utf-8"))
    del changed["facets"][0]["tags"][0]
    write_taxonomy(label_folder, Taxonomy.model_validate(changed))
    store = LabelStore(label_folder)
    with pytest.raises(TaggerError, match="unknown tag 'survey'") as caught:
        store.all_labels()
    assert "tagger taxonomy rename" in caught.value.hint
    assert [misfit.line for misfit in store.misfits()] == [1, 4, 7, 10]
    with pytest.raises(TaggerError, match="unknown tag 'survey'"):
        plan_change(store, partial(rename_tag, facet="kind", tag="study", into="survey"))


def test_papers_of_a_split_tag_need_review_until_answered(label_folder):
    correct(label_folder, "Title 4", {"field": ("health",)})
    change(label_folder, *SPLIT_LAW)
    # Title 4 was corrected before the split: it is no paper of the tag.
    assert asked(label_folder) == {"Title 3": ["field"], "Title 5": ["field"]}
    [first, _] = papers_to_rereview(LabelStore(label_folder))
    assert first.reason == "Recheck: look at field, which has new tags: civil, penal."
    # Under an identifier, too, it is the paper of the title.
    correct(label_folder, "Title 3", {"field": ("law", "penal")}, id="doi:10.1234/a")
    correct(label_folder, "Title 5", {"kind": ("study",)})
    assert asked(label_folder) == {"Title 5": ["field"]}
    # Nothing is asked about tags that are gone again.
    change(label_folder, rename_tag, "civil", "private")
    change(label_folder, merge_tags, ["private"], "law")
    assert asked(label_folder) == {"Title 5": ["field"]}
    correct(label_folder, "Title 5", {}, outcome="not-a-paper")
    assert asked(label_folder) == {}


def test_papers_without_an_answer_need_review(label_folder):
    correct(label_folder, "Alone", {"kind": ("survey",)})
    change(label_folder, retire_tag, "survey", facet="kind")
    waiting = {**{f"Title {n}": ["kind"] for n in (0, 3, 6, 9)}, "Alone": ["kind"]}
    assert asked(label_folder) == waiting
    assert "kind" not in tags_of(label_folder)["Title 0"]
    # Not trained on, and not lost.
    assert "Alone" not in tags_of(label_folder)
    assert LabelStore(label_folder).all_labels()[-1].title == "Alone"
    correct(label_folder, "Alone", {"kind": ("study",)})
    assert "Alone" not in asked(label_folder)
    change(label_folder, add_tag, "lungs", "L.", "health")
    assert len(asked(label_folder)) == 4
    change(label_folder, add_tag, "veins", "V.", "health", queue=True)
    assert asked(label_folder)["Title 0"] == ["kind", "field"]
    assert set(asked(label_folder)) == {f"Title {n}" for n in (0, 1, 2, 3, 6, 9, 10, 11)}


def test_of_a_split_tag_that_is_retired_only_its_own_papers_need_review(label_folder):
    change(label_folder, split_tag, "survey", {"x": "X.", "y": "Y."}, facet="kind")
    correct(label_folder, "Title 0", {"kind": ("x",)})
    change(label_folder, retire_tag, "survey", facet="kind")
    assert asked(label_folder) == {f"Title {n}": ["kind"] for n in (3, 6, 9)}


def test_a_paper_is_asked_about_with_the_abstract_of_any_of_its_labels(label_folder):
    correct(label_folder, "Title 0", {"field": ("law",)})
    change(label_folder, add_tag, "ships", "S.", queue=True)
    papers = [one.paper for one in papers_to_rereview(LabelStore(label_folder))]
    texts = {label.title: label.text for label in LabelStore(label_folder).labels()}
    assert texts["Title 0"]
    assert {paper.title: paper.abstract for paper in papers} == texts
    assert {
        one.title: one.abstract for one in labelled_papers(LabelStore(label_folder).all_labels())
    } == texts


def test_open_store_reads_a_changed_taxonomy(label_folder):
    held = LabelStore(label_folder)
    change(label_folder, rename_tag, "survey", "review", facet="kind")
    correct(label_folder, "Elsewhere", {"kind": ("review",)})
    held.add_corrections(lambda labels: [labels[-1].model_copy(update={"title": "Here"})])
    assert tags_of(label_folder)["Here"]["kind"] == ("review",)


def test_snapshot_is_consistent_during_changes(label_folder, monkeypatch):
    held, whole = LabelStore(label_folder), LabelStore._stored_lines
    late = [(rename_tag, "survey", "review")]

    def lines(store):
        found = whole(store)
        while late:
            change(label_folder, *late.pop(), facet="kind")
        return found

    monkeypatch.setattr(LabelStore, "_stored_lines", lines)
    snapshot = held.snapshot()
    text = snapshot.files["taxonomy.yaml"].decode()
    assert snapshot.taxonomy == TaxonomyDocument(text, label_folder).taxonomy
    assert snapshot.labels[0].tags["kind"] == ("review",)
