import json
from dataclasses import replace
from functools import partial

import pytest
from helpers.samples import add_audit, label_line
from helpers.tiny_model import save_tiny_model

from tagger.cli.versions import _print_comparison
from tagger.errors import TaggerError
from tagger.evaluation import SHOWN_METRICS, Change, Comparison, FacetComparison, GateRules
from tagger.evaluation.comparison import ScoreChange
from tagger.labels import LabelStore, apply_change
from tagger.model import load_model
from tagger.papers import Paper
from tagger.registry import (
    compare_versions,
    comparison_page,
    log_comparison,
    measure_churn_and_speed,
    promote,
)
from tagger.taxonomy import merge_tags, rename_tag

DIGESTS = [Paper(f"Title {n}", "The heart of the court") for n in range(3)]


def test_two_versions_are_compared_and_the_page_is_kept(registry, log):
    import mlflow

    before, after = log(right=0.5), log(right=1.0)
    found = compare_versions(registry, before, after)
    assert found.verdict == "better"
    assert [(part.papers, part.unseen) for part in found.facets] == [(12, 0)] * 2
    steps = []
    found = measure_churn_and_speed(
        registry, found, before, after, DIGESTS, lambda *step: steps.append(step)
    )
    # Both hold the same tiny model.
    assert found.churn.shares == {"kind": 0, "field": 0}
    assert found.speed.before > 0 < found.speed.after
    assert steps[-1] == ("Tagging digests", 2, 2)
    assert log_comparison(registry, found, after) == "comparisons/against_tagger_1.html"
    with registry.store.reading(), registry.store.current():
        place = f"runs:/{after.run_id}/comparisons/against_tagger_1"
        page = mlflow.artifacts.load_text(f"{place}.html")
        content = json.loads(mlflow.artifacts.load_text(f"{place}.json"))
    assert page == comparison_page(found)
    assert "tagger/2 against tagger/1" in page
    assert all(flip.title in page for flip in found.facets[0].positive_flips)
    assert content["verdict"] == "better"
    # MLflow's view that compares runs shows figures on the same papers, and the difference.
    runs = [registry.run(version) for version in (before, after)]
    assert runs[1].info.run_name == f"tagger/2, 12 labels, {found.headline}, against tagger/1"
    assert registry.find("2").tags["against tagger/1"] == found.headline
    # They come first, in this order, and MLflow's view does not cut their names.
    rows = ("Better 1 worse -1", "F1 field", "F1 kind", "Gain field", "Gain kind", "Papers field")
    for run in runs:
        first = sorted(run.data.metrics)[: len(rows)]
        assert first == [f"1 vs 2 seeds/{row}" for row in rows]
    kind = found.main["kind"].figures["macro_f1"]
    shown = {row: [run.data.metrics[f"1 vs 2 seeds/{row}"] for run in runs] for row in rows}
    assert shown["F1 kind"] == [kind.before, kind.after]
    assert shown["Gain kind"] == [0, pytest.approx(kind.difference)]
    assert shown["Better 1 worse -1"] == [0, 1]


@pytest.mark.parametrize("backwards", [False, True])
def test_versions_of_two_taxonomies_are_compared_in_the_later_one(
    registry, log, label_folder, backwards, tmp_path, monkeypatch
):
    before = LabelStore(label_folder).taxonomy
    worse, better = (0.5, 1.0) if backwards else (1.0, 0.5)
    first = log(right=worse)
    for change in (
        partial(rename_tag, facet="kind", tag="survey", into="review"),
        partial(merge_tags, facet="field", tags=("law",), into="health"),
    ):
        apply_change(LabelStore(label_folder), change)
    second = log(right=better)
    pair = (second, first) if backwards else (first, second)
    found = compare_versions(registry, *pair)
    kind, field = found.facets
    assert set(kind.tags) == {"review", "method", "study"}
    assert (kind.figures["accuracy"].before, kind.figures["accuracy"].after) == (1.0, 0.5)
    assert set(field.tags) == {"health", "heart"}
    assert field.figures["accuracy"].before == 1.0
    assert found.skipped == ()
    models = {
        version.number: load_model(save_tiny_model(tmp_path / version.name, taxonomy))
        for version, taxonomy in ((first, before), (second, LabelStore(label_folder).taxonomy))
    }
    monkeypatch.setattr(type(registry), "load", lambda _, version: models[version.number])
    churn = measure_churn_and_speed(registry, found, *pair, DIGESTS).churn
    # But for the name, both give the same kinds.
    assert churn.shares["kind"] == 0


def test_a_facet_whose_tags_were_renamed_by_hand_is_not_compared(registry, log, label_folder):
    first = log()
    for name in ("taxonomy.yaml", "seed.jsonl"):
        path = label_folder / name
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('"survey"', '"review"'), encoding="utf-8")
    found = compare_versions(registry, first, log())
    assert [facet.facet for facet in found.facets] == ["field"]
    assert found.skipped == ("kind",)


def test_a_facet_that_only_one_version_was_measured_in_is_new_or_lost(registry, log, monkeypatch):
    first, second = log(), log()
    read = type(registry).held_out

    def held_out(self, version):
        tables = read(self, version)
        return {"kind": tables["kind"]} if version.number == 1 else tables

    monkeypatch.setattr(type(registry), "held_out", held_out)
    found = compare_versions(registry, first, second)
    assert (found.skipped, found.unmeasured) == ((), ("field",))
    assert "tagger/1 was not measured in it: field" in comparison_page(found)
    found = compare_versions(registry, second, first)
    assert (found.skipped, found.unmeasured) == (("field",), ())


def test_papers_that_a_version_never_saw_are_predicted_by_it(registry, log, label_folder):
    before = log()
    add_audit(label_folder, 40)
    kind, seeds, *_ = compare_versions(registry, before, log()).facets
    assert (kind.sample, kind.papers, kind.unseen) == ("audit", 40, 40)
    assert (seeds.sample, seeds.papers, seeds.unseen) == ("seed", 12, 0)
    # All 40 are methods. The first version's answers are those of its model on these papers.
    papers = [Paper(f"New {n}", f"A text on New {n}.") for n in range(40)]
    given = registry.load(before).predict_proba(papers)["kind"].argmax(axis=1)
    assert kind.figures["accuracy"].before == pytest.approx((given == 1).mean())


def test_labelled_papers_are_timed_and_missing_predictions_are_an_error(
    registry, log, make_result, tmp_path
):
    before, after = log(), log(seed=1)
    found = compare_versions(registry, before, after)
    found = measure_churn_and_speed(registry, found, before, after, [])
    assert found.churn is None
    assert found.speed.after > 0
    page = comparison_page(replace(found, skipped=("<script>",)))
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    for table in (tmp_path / "mlruns").glob(f"artifacts/{before.run_id}/**/kind.json"):
        table.unlink()
    with pytest.raises(TaggerError, match="tagger/1 was logged without its out-of-fold"):
        compare_versions(registry, before, after)


def test_reviewed_papers_that_came_after_both_versions_count(registry, log, label_folder, caplog):
    before, after = log(right=0.5), log(right=1.0)
    assert {part.sample for part in compare_versions(registry, before, after).facets} == {"seed"}
    with (add_audit(label_folder, 40) / "corrections.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n" + label_line("Another seed"))
    kind, *others = compare_versions(registry, before, after, label_folder).facets
    assert (kind.sample, kind.papers, kind.unseen) == ("audit", 40, 40)
    assert [(one.sample, one.papers) for one in others] == [
        ("seed", 12),
        ("audit", 40),
        ("seed", 12),
    ]
    # Both versions hold the same tiny model.
    assert kind.figures["accuracy"].difference == 0
    assert not promote(registry, after, GateRules()).promoted
    assert promote(registry, after, GateRules(), labels=label_folder).promoted
    path = label_folder / "taxonomy.yaml"
    taxonomy = path.read_text(encoding="utf-8")
    # A facet of which a tag is not known to the versions is left out.
    path.write_text(taxonomy.replace('"law"', '"rights"'), encoding="utf-8")
    (label_folder / "seed.jsonl").unlink()
    (label_folder / "corrections.jsonl").write_text(
        "\n".join(
            label_line(f"New {n}", source="review", tags={"kind": ["study"], "field": ["rights"]})
            for n in range(3)
        ),
        encoding="utf-8",
    )
    found = compare_versions(registry, before, after, label_folder).facets
    assert [one.facet for one in found if one.sample != "seed"] == ["kind"]
    path.write_text(taxonomy.replace('"small"', '"other"'), encoding="utf-8")
    (label_folder / "corrections.jsonl").unlink()
    found = compare_versions(registry, before, after, label_folder).facets
    assert {one.sample for one in found} == {"seed"}
    assert "'other', not to 'small'" in caplog.text


def test_an_f1_without_any_label_is_not_known(capsys):
    change, score = Change(0.0, 0.0, (0.0, 0.0)), ScoreChange(0.0, 0.0)
    figures, tags = dict.fromkeys(SHOWN_METRICS, change), {"law": change}
    facet = FacetComparison(
        "field", "seed", 12, 0, 0, score, figures, tags, {"law": 0.5}, {"law": 0}, (), (), 1.0
    )
    found = Comparison("tagger/1", "tagger/2", (facet,))
    _print_comparison(found)
    # Macro-F1, micro-F1 and the F1 of the tag, of two versions.
    assert capsys.readouterr().out.count("not known") == 6
    assert comparison_page(found).count("not known") == 6
