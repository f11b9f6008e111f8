from dataclasses import replace
from functools import partial

import pytest
from helpers.samples import add_audit, label_line, ran, run
from helpers.tiny_model import save_tiny_model

from tagger.errors import TaggerError
from tagger.evaluation import share
from tagger.labels import LabelStore, apply_change
from tagger.papers import Paper
from tagger.registry import evaluate_models
from tagger.registry.predictions import training_data
from tagger.taxonomy import merge_tags, rename_tag


def of(model, facet, sample):
    (found,) = [
        one for one in model.facets if (one.measured.facet, one.measured.sample) == (facet, sample)
    ]
    return found


def test_two_versions_are_evaluated_on_the_same_papers(registry, log, label_folder):
    log(right=0.5)
    add_audit(label_folder, 40)
    log(right=1.0)
    # Papers that neither has seen.
    add_audit(label_folder, 50)
    found = evaluate_models(registry, ["champion", "challenger"], label_folder)
    first, second = (of(model, "kind", "audit") for model in found.models)
    assert (first.measured.papers, second.measured.papers) == (50, 50)
    assert (first.out_of_fold, second.out_of_fold) == (0, 40)
    # All are methods, as the second version found in cross-validation on 40 of the 50.
    model = registry.load(registry.find("2"))
    given = model.predict_proba([Paper(f"New {n}", f"A text on New {n}.") for n in range(50)])
    right = 40 + (given["kind"].argmax(axis=1) == 1)[40:].sum()
    assert second.measured.figures["accuracy"].value == pytest.approx(right / 50)
    assert of(found.models[0], "kind", "seed").measured.figures["accuracy"].value == 0.5
    change = found.comparison.facets[0].figures["accuracy"]
    assert change.after == second.measured.figures["accuracy"].value
    assert first.coverage.interval[0] <= first.coverage.value <= first.coverage.interval[1]


def test_a_paper_of_the_training_stays_one_when_its_id_changes(registry, log, label_folder):
    add_audit(label_folder, 40)
    version = log()
    earlier = {"source": "review", "queue": "audit", "annotator": "bob"}
    line = label_line("New 0", **earlier, id="doi:10.1/x", time="2025-01-01T00:00:00Z")
    with (label_folder / "corrections.jsonl").open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    assert "doi:10.1/x" in {label.id for label in LabelStore(label_folder).labels()}
    trained = [label.id for label in training_data(registry, version).labels]
    now = training_data(registry, version, label_folder)
    assert [label.id for label in now.labels] == trained
    [found] = evaluate_models(registry, ["1"], label_folder).models
    assert of(found, "kind", "audit").out_of_fold == of(found, "kind", "audit").measured.papers


def test_a_file_is_an_evaluation_set(registry, log, saved_model, tmp_path):
    log()
    file = add_audit(tmp_path, 30) / "corrections.jsonl"
    registered = evaluate_models(registry, ["1"], file)
    # The same model as a folder, which is not registered.
    alone = evaluate_models(registry, [str(saved_model)], file)
    assert alone.models[0].facets == registered.models[0].facets
    assert {one.measured.sample for one in alone.models[0].facets} == {"audit"}
    add_audit(tmp_path, 29)
    few = run("evaluate", "--model", "1", "--labels", file, code=0)
    assert "kind, on 29 papers of the audit sample (few" in " ".join(few.stdout.split())
    add_audit(tmp_path, 1, tags={"kind": ["poem"]})
    with pytest.raises(TaggerError, match="unknown tag 'poem'"):
        evaluate_models(registry, ["1"], file)


def test_a_file_is_read_in_the_taxonomy_that_knows_the_tags_of_both_models(
    registry, saved_model, label_folder, tmp_path
):
    apply_change(
        LabelStore(label_folder), partial(rename_tag, facet="kind", tag="survey", into="review")
    )
    later = save_tiny_model(tmp_path / "later", LabelStore(label_folder).taxonomy)
    file = add_audit(tmp_path, 30, tags={"kind": ["survey"], "field": []}) / "corrections.jsonl"
    for names in ([saved_model, later], [later, saved_model]):
        found = evaluate_models(registry, [*map(str, names)], file)
        facets = [{one.measured.facet for one in model.facets} for model in found.models]
        assert facets == [{"kind", "field"}] * 2
        assert found.models[0].facets[0].measured.labels["review"] == 30


@pytest.mark.parametrize(
    ("change", "covered"),
    [
        (partial(rename_tag, tag="survey", into="review"), 8),
        # What two tags became is not too rare if one of them was not.
        (partial(merge_tags, tags=("survey",), into="method"), 12),
    ],
)
def test_papers_that_get_a_tag_of_too_few_labels_need_review(
    registry, log, label_folder, monkeypatch, change, covered
):
    log()
    tables = registry.held_out(registry.find("1"))
    tables["kind"] = replace(tables["kind"], capped=("survey",))
    monkeypatch.setattr(type(registry), "held_out", lambda *_: tables)
    apply_change(LabelStore(label_folder), partial(change, facet="kind"))
    found = evaluate_models(registry, ["1"], label_folder)
    assert of(found.models[0], "kind", "seed").coverage == share(covered, 12)


def test_the_command_says_what_is_not_known(registry, log, label_folder):
    log()
    done = run("evaluate", "--labels", label_folder, code=0)
    assert "kind: not known on your papers: tagger review push FILES --audit 50" in done.stdout
    add_audit(label_folder, 40)
    log(right=0.5)
    content = ran("evaluate", "--labels", label_folder)
    assert [model["model"] for model in content["models"]] == ["tagger/1", "tagger/2"]
    assert content["models"][0]["facets"][0]["measured"]["papers"] == 40
    assert content["comparison"]["facets"][0]["papers"] == 40
    done = run(
        "evaluate", "--model", "1", "--against", "champion", "--labels", label_folder, code=2
    )
    assert "named twice" in done.stderr
    registry.set_alias("champion", registry.find("challenger"))
    moved = ran("evaluate", "--labels", label_folder)
    assert [model["model"] for model in moved["models"]] == ["tagger/2"]
