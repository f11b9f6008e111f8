import copy
import pickle
import re
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.samples import json_lines, run, run_python
from helpers.tiny_encoder import save_tiny_encoder
from helpers.tiny_model import save_tiny_model
from helpers.tiny_training import log_tiny
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted

from tagger import Paper, Tagger, TaggerError, merge_duplicates, read_papers
from tagger.model import load_model
from tagger.registry import Registry
from tagger.taxonomy import load_taxonomy

QUICK = {"epochs": 0, "folds": 2, "max_tokens": 16}


def test_checks_of_scikit_learn_for_texts():
    """The other checks fit numbers, but a Tagger reads texts."""
    results = check_estimator(Tagger(), on_fail=None, on_skip=None)
    passed = {one["check_name"] for one in results if one["status"] == "passed"}
    assert passed >= {
        "check_classifiers_one_label_sample_weights",
        "check_decision_proba_consistency",
        "check_do_not_raise_errors_in_init_or_set_params",
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimators_unfitted",
        "check_fit1d",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_requires_y_none",
        "check_set_params",
        "check_supervised_y_no_nan",
        "check_valid_tag_types",
    }


def test_a_clone_is_not_fitted_and_learns_the_same(quick, labelled, fitted):
    papers, kinds = labelled
    check_is_fitted(fitted)
    again = clone(fitted)
    assert again.get_params() == fitted.get_params()
    for method in (again.predict, again.predict_proba, again.tag, again.save):
        with pytest.raises(NotFittedError, match=r"is not fitted yet\..*'Tagger.load'"):
            method(papers)
    before = fitted.predict_proba(papers)
    assert again.fit(papers, kinds) is again
    assert (again.predict_proba(papers) == before).all()
    column = np.array(kinds).reshape(-1, 1)
    assert (again.fit(papers, column).predict_proba(papers) == before).all()


def test_one_facet_is_a_classifier(labelled, fitted):
    papers, kinds = labelled
    assert fitted.classes_.tolist() == ["method", "study", "survey"]
    probabilities = fitted.predict_proba(papers)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert fitted.predict(papers).tolist() == kinds
    assert fitted.classes_[probabilities.argmax(axis=1)].tolist() == kinds
    assert fitted.score(papers, kinds) == 1
    assert fitted.score(papers[:4], ["study", *kinds[1:4]]) == 0.75
    assert fitted.metrics_["tag/accuracy"] == 1
    few = [5, 2, 11]
    assert fitted.predict_proba([papers[n] for n in few]) == pytest.approx(probabilities[few])
    assert fitted.predict([]).shape == (0,)
    assert fitted.predict_proba([]).shape == (0, 3)


@pytest.mark.parametrize(
    "values",
    [
        {"survey": 10, "method": 2, "study": -3},
        {"survey": True, "method": False, "study": False},
        {"survey": "Yes", "method": "No!", "study": "No"},
        {"survey": date(2020, 1, 1), "method": date(2021, 1, 1), "study": date(2022, 1, 1)},
        {"survey": 1, "method": "1", "study": None},
        {"survey": b"s", "method": b"m", "study": b"q"},
    ],
)
def test_tags_are_any_values(quick, labelled, values):
    papers, y = labelled[0], [values[kind] for kind in labelled[1]]
    tagger = Tagger(**QUICK).fit(papers, y)
    known = [value for value in dict.fromkeys(values.values()) if value is not None]
    assert set(tagger.classes_.tolist()) == set(known)
    found = tagger.predict(papers)
    right = [value is None or value == given for given, value in zip(found, y, strict=True)]
    assert all(right)
    assert {type(value) for value in found.tolist()} == {type(value) for value in known}
    assert tagger.score(papers, y) == 1
    probabilities = tagger.predict_proba(papers)
    assert (tagger.classes_[probabilities.argmax(axis=1)] == found).all()
    assert set(tagger.tag(papers)["tag"]) == set(known)
    if len({type(value) for value in known}) == 1 and isinstance(known[0], int | str):
        assert tagger.classes_.tolist() == np.unique(known).tolist()
        assert found.dtype == np.array(known).dtype
        again = Tagger(**QUICK).fit(papers, np.array(y))
        assert (again.predict(papers) == found).all()


def test_scikit_learn_cross_validates_it(quick, labelled):
    papers, kinds = labelled
    found = cross_val_predict(Tagger(**QUICK), papers, kinds, cv=2, method="predict_proba")
    assert (np.unique(kinds)[found.argmax(axis=1)] == kinds).all()
    # One fold lacks a tag, which it can then not predict.
    rare = [*kinds[:-1], "poem"]
    scores = cross_val_score(Tagger(**QUICK), papers, rare, cv=KFold(3), error_score="raise")
    assert scores[:2].tolist() == [1, 1]
    assert scores[2] == pytest.approx(7 / 8)
    grid = {"recipe": ["frozen", "tfidf"], "epochs": [None, 0]}
    search = GridSearchCV(Tagger(**QUICK), grid, cv=2, error_score="raise").fit(papers, kinds)
    assert search.best_score_ == 1
    assert len(search.cv_results_["params"]) == 4


def test_papers_come_in_several_forms(labelled, fitted):
    papers, _ = labelled
    expected = fitted.predict_proba(papers)
    pairs = [(paper.title, paper.abstract) for paper in papers]
    frame = pd.DataFrame(pairs, columns=["Article Title", "AB"])
    frame["authors"] = None
    texts = [f"{title}\n{abstract}" for title, abstract in pairs]
    table = pa.Table.from_pandas(frame)
    column = np.array(texts).reshape(-1, 1)
    for form in (pairs, np.array(pairs), frame, table, texts, column, pd.Series(texts)):
        assert (fitted.predict_proba(form) == expected).all()
    assert (fitted.predict_proba(iter(papers)) == expected).all()
    # A missing text is empty, as in a table.
    alone = fitted.predict_proba([papers[0].title])
    for missing in (None, np.nan, pd.NA, "n/a"):
        frame = pd.DataFrame({"title": [papers[0].title], "abstract": [missing]})
        assert (fitted.predict_proba(frame) == alone).all()
    assert (fitted.predict_proba([(papers[0].title, None)]) == alone).all()
    untouched = frame.copy()
    fitted.tag(frame)
    pd.testing.assert_frame_equal(frame, untouched)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("A text", "X is of type str"),
        (np.array("A text"), "X is of type ndarray"),
        (3, "X is of type int"),
        ([1.5], "X, row 0: .*float"),
        (["A title", " \n"], "X, row 1: .*title"),
        ([("a", "b", "c")], "X, row 0: .*tuple"),
        (pd.DataFrame({"name": ["a"]}), "X: .*title.*'name'"),
        (pd.DataFrame({"title": ["a", pd.NA]}), "X, row 1: .*title"),
        (pd.DataFrame({"title": [("a", "b")]}), "X, row 0, 'title': .*tuple"),
    ],
)
def test_an_invalid_paper_is_named(saved_model, given, problem):
    with pytest.raises(ValueError, match=problem):
        Tagger.load(saved_model).predict(given)


@pytest.mark.parametrize(
    ("kinds", "terms", "problem"),
    [
        (None, None, "requires y to be passed"),
        (["survey"], None, "y has 1 rows for the facet 'tag', but X has 24"),
        (["survey"] * 24, None, "y has 1 class"),
        ([{0}, {(1, 2)}] * 12, None, "y, row 1: .* is not a tag"),
        ({"My facet": ["a", "b"] * 12}, None, "'My facet' cannot be the name"),
        ([None] * 24, None, "y has no tags"),
        ("survey", None, "y is a str, not a list"),
        (["survey", "poem"] * 12, "labels", "y does not name the facet"),
        ({"kind": ["survey", "poem"] * 12}, "labels", "y, row 1: .*unknown tag 'poem'"),
        (np.eye(3, dtype=int)[[0, 1, 2] * 8], None, "y is a matrix of 0 and 1.*a list of tags"),
        ({"kind": [["survey", "study"]] * 24}, "labels", "y, row 0: .*exactly one tag"),
        (["survey"] * 24, {"name": "x"}, "facets.*invalid taxonomy: this field is missing"),
    ],
)
def test_tags_that_do_not_fit_are_named(quick, labelled, label_folder, kinds, terms, problem):
    terms = label_folder if terms == "labels" else terms
    with pytest.raises(ValueError, match=problem):
        Tagger(**QUICK).fit(labelled[0], kinds, terms)


def test_parameters_out_of_range_are_named_by_fit(labelled):
    for wrong, problem in (
        ({"epochs": -1}, "epochs is -1"),
        ({"folds": 1}, "folds is 1, but"),
        ({"seed": None}, "seed is None"),
        ({"recipe": "from-setfit"}, "tagger train --from-setfit"),
    ):
        with pytest.raises(ValueError, match=problem):
            Tagger(**wrong).fit(*labelled)


def test_several_facets_are_dictionaries(quick, labelled, taxonomy):
    papers, kinds = labelled
    fields = [["law"], ["heart"], []] * 8
    y = {"kind": kinds, "field": fields}
    tagger = Tagger(**QUICK).fit(papers, y, taxonomy)
    assert tagger.taxonomy_ == taxonomy
    assert tagger.classes_["field"].tolist() == ["health", "heart", "law"]
    found = tagger.predict(papers)
    assert found["kind"].tolist() == kinds
    # A tag implies its parent.
    assert found["field"].tolist() == [("law",), ("health", "heart"), ()] * 8
    probabilities = tagger.predict_proba(papers)
    assert probabilities["field"].shape == (24, 3)
    assert (probabilities["field"][1] > 0.5).tolist() == [True, True, False]
    assert tagger.score(papers, y) == 1
    frame = pd.DataFrame(y)
    rows = [{"kind": kind, "field": each} for kind, each in zip(kinds, fields, strict=True)]
    for form in (frame, pa.Table.from_pandas(frame), rows):
        assert tagger.score(papers, form) == 1
        again = Tagger(**QUICK).fit(papers, form, taxonomy).predict_proba(papers)
        assert (again["kind"] == probabilities["kind"]).all()
        assert (again["field"] == probabilities["field"]).all()
    # A facet without tags in y is left out; the name of a series chooses the facet.
    for form in ({"kind": kinds}, frame["kind"]):
        only = Tagger(**QUICK).fit(papers, form, taxonomy)
        assert [facet.name for facet in only.taxonomy_.facets] == ["kind"]
        assert only.predict(papers[:3]).tolist() == kinds[:3]


def test_facets_that_were_not_annotated_do_not_count(quick, labelled):
    papers, kinds = labelled
    spotty = pd.Series([None, np.nan, pd.NA, *kinds[3:]], name="Kind")
    tagger = Tagger(**QUICK).fit(papers, spotty)
    assert len(tagger.model_.reference.ids) == 21
    assert tagger.score(papers, spotty) == 1
    rows = [None, None, None, *({"kind": kind} for kind in kinds[3:])]
    assert Tagger(**QUICK).fit(papers, rows).model_.reference.ids == tagger.model_.reference.ids
    assert tagger.score(papers, rows) == 1
    with pytest.raises(ValueError, match="no tags"):
        tagger.score(papers, [None] * 24)


def test_lists_of_tags_make_a_facet_that_is_not_exclusive(quick, labelled):
    papers, kinds = labelled
    tagger = Tagger(**QUICK).fit(papers, [[kind] if kind != "study" else [] for kind in kinds])
    assert tagger.predict(papers[:3]).tolist() == [("survey",), ("method",), ()]
    assert tagger.tag(papers[:3])["tag"].tolist() == [["survey"], ["method"], []]


def test_a_missing_value_in_a_list_is_no_tag(quick, labelled):
    papers, kinds = labelled
    frame = pd.DataFrame({"first": kinds, "second": np.nan, "third": None})
    tagger = Tagger(**QUICK).fit(papers, frame.to_numpy())
    assert tagger.classes_.tolist() == ["method", "study", "survey"]
    assert tagger.predict(papers[:1]).tolist() == [("survey",)]
    assert tagger.score(papers, [{kind, None} for kind in kinds]) == 1


def test_tag_returns_the_results_of_the_command(saved_model, tmp_path, recwarn):
    (tmp_path / "page.csv").write_text(
        "title,abstract\nOne,The heart and the court.\nTwo < b,A survey of the drug.\n",
        encoding="utf-8",
    )
    run("tag", "page.csv", "--model", saved_model, cwd=tmp_path, code=0)
    lines = json_lines(tmp_path / "tagged" / "tags.jsonl")
    papers = merge_duplicates(read_papers(tmp_path / "page.csv"))
    tags = Tagger.load(saved_model).tag(papers)
    for row, line in zip(tags.to_dict("records"), lines, strict=True):
        kind, fields = row["kind"], row["field"]
        expected = {
            "id": line["id"],
            "title": line["title"],
            "kind": line["tags"]["kind"][0],
            "kind_confidence": line["confidence"]["kind"][kind],
            "field": line["tags"]["field"],
            "field_confidence": [line["confidence"]["field"][tag] for tag in fields],
            "review": line["review"]["reason"] if line["review"] else "",
        }
        assert row | expected == row
    assert "Two &lt; b" in tags._repr_html_()


def test_the_review_rule_is_a_parameter(saved_model):
    frame = pd.DataFrame({"title": ["The court"], "abstract": ["The heart"]}, index=["mine"])
    tagger = Tagger.load(saved_model, min_confidence=1)
    assert "kind: " in tagger.tag(frame).loc["mine", "review"]
    with pytest.warns(UserWarning, match="cannot be shown"):
        tagger.set_params(target_precision=0.95).tag(frame)
    wrongs = ({"min_confidence": 0.4}, {"min_confidence": "a"}, {"min_confidence": None})
    for wrong in (*wrongs, {"target_precision": 1}, {"target_precision": "a"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Tagger.load(saved_model, **wrong).tag(frame)
    with pytest.warns(UserWarning, match="unlike those that the model was trained on"):
        tagger.tag([f"A title in other words, {n}" for n in range(40)])


def test_a_saved_model_tags_the_same(labelled, fitted, tmp_path):
    papers, _ = labelled
    before = fitted.predict_proba(papers)
    folder = fitted.save(tmp_path / "my" / "model")
    loaded = Tagger.load(folder, min_confidence=0.9)
    assert loaded.get_params()["min_confidence"] == 0.9
    assert loaded.metrics_ == fitted.metrics_
    # The loaded model does not need the folder any more, and can be saved to it.
    shutil.rmtree(folder)
    assert (loaded.predict_proba(papers) == before).all()
    loaded.save(folder)
    loaded.save(folder)
    assert (load_model(folder).predict_proba(papers)["tag"] == before[:, [0, 1, 2]]).all()


def test_a_fitted_tagger_is_copied_and_pickled_with_a_warning(quick, labelled, tmp_path):
    papers, kinds = labelled
    fitted = Tagger(**QUICK).fit(papers, [len(kind) for kind in kinds])
    before = fitted.predict_proba(papers)
    assert pickle.loads(pickle.dumps(clone(fitted))).get_params() == fitted.get_params()
    with pytest.warns(UserWarning, match="may run any code"):
        content = pickle.dumps(fitted)
    copies = [copy.copy(fitted), copy.deepcopy(fitted), pickle.loads(content)]
    del fitted
    for other in copies:
        assert (other.predict_proba(papers) == before).all()
        assert other.classes_.tolist() == [5, 6]
        assert other.score(papers, [len(kind) for kind in kinds]) == 1
        load_model(other.save(tmp_path / "model"))


@pytest.mark.parametrize("values", [(-1, 1), ("Yes", "yes")])
def test_the_name_of_a_tag_in_a_saved_model_never_means_another_value(
    quick, labelled, tmp_path, values
):
    papers, y = labelled[0], [values[kind == "survey"] for kind in labelled[1]]
    loaded = Tagger.load(Tagger(**QUICK).fit(papers, y).save(tmp_path / "model"))
    found = [tag == str(values[1]) for tag in loaded.predict(papers)]
    assert found == [value == values[1] for value in y]
    # The model does not know the other value by its text.
    assert loaded.score(papers, y) == pytest.approx(1 / 3)


def test_save_keeps_other_files(fitted, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    for place in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(TaggerError, match="contains other files"):
            fitted.save(place)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_rows_of_one_paper_are_taken_together(quick, labelled):
    papers, kinds = labelled
    tagger = Tagger(**QUICK).fit([*papers, papers[0]], [*kinds, "study"])
    places = tagger.model_.reference.ids
    assert len(places) == 24
    y_true = tagger.model_.reference.y_true["tag"][places.index(papers[0].id)]
    assert np.array(tagger.taxonomy_.facets[0].tag_names)[y_true].tolist() == ["study"]


def test_a_notebook_shows_tags_and_escapes_them(quick, labelled, taxonomy):
    plain = Tagger(encoder="<script>")._repr_mimebundle_()["text/html"]
    assert "&lt;script&gt;" in plain
    assert "<script>" not in plain
    content = taxonomy.model_dump()
    content["facets"][0]["tags"][0]["definition"] = "Looks <i>back</i>."
    papers, kinds = labelled
    tagger = Tagger(**QUICK).fit(papers, {"kind": kinds}, content)
    shown = tagger._repr_html_()
    assert "Looks &lt;i&gt;back&lt;/i&gt;." in shown
    assert "24 labelled papers" in shown
    assert "<td>8</td><td>–</td><td>1.00</td>" in shown


def test_a_verbose_fit_prints_its_stages(quick, labelled, capsys):
    Tagger(**QUICK, verbose=True).fit(*labelled)
    output = capsys.readouterr().err
    assert output.splitlines() == ["Final model", "Fold 1 of 2", "Fold 2 of 2"]


def test_the_package_imports_its_names_lazily():
    code = (
        "import sys, tagger\n"
        "heavy = {'numpy', 'sklearn', 'pydantic', 'tagger.estimator'}\n"
        "print(heavy & {*sys.modules}, set(dir(tagger)) <= set(tagger.__all__))\n"
        "from tagger import *\n"
        "print(Tagger, read_papers)\n"
    )
    before, loaded = run_python(code).splitlines()
    assert before == "set() True"
    assert "tagger.estimator.estimator.Tagger" in loaded
    with pytest.raises(ImportError, match="Tagged"):
        from tagger import Tagged  # noqa: F401


def test_a_saved_model_tags_without_training_libraries(saved_model):
    code = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(('sklearn', 'torch', 'mlflow', 'pandas'))\n"
        "from tagger import Tagger, TaggerError\n"
        f"tagger = Tagger.load({str(saved_model)!r})\n"
        "print(tagger.predict(['The heart of the court'])['kind'].shape)\n"
        "for call in (lambda: tagger.tag(['x']), lambda: Tagger.load('7'),\n"
        "             lambda: tagger.fit([f'A {n}' for n in range(20)], ['x', 'y'] * 10)):\n"
        "    try:\n"
        "        call()\n"
        "    except TaggerError as error:\n"
        "        print(error)\n"
        "print(tagger._repr_html_()[:4])\n"
    )
    shape, tag, load, fit, shown = run_python(code).splitlines()
    assert (shape, shown) == ("(1,)", "<div")
    assert "pip install 'tagger[formats]'" in tag
    assert "needs MLflow" in load
    assert "pip install 'tagger[train]'" in fit


def test_a_label_folder_is_a_zero_shot_model(label_folder, model, tmp_path, monkeypatch):
    monkeypatch.setattr("tagger.registry.resolve.bundled_encoder", lambda _: model.encoder)
    tagger = Tagger.load(label_folder)
    assert set(tagger.predict(["The law"])) == {"kind", "field"}
    with pytest.raises(TaggerError, match="nothing to save"):
        tagger.save(tmp_path / "model")


@pytest.mark.training
def test_a_real_encoder_is_fine_tuned(labelled, tmp_path):
    papers, kinds = labelled
    encoder = save_tiny_encoder(tmp_path)
    tagger = Tagger(str(encoder), epochs=1, folds=2, max_tokens=16).fit(papers, kinds)
    assert tagger.score(papers, kinds) == 1
    assert Tagger.load(tagger.save(tmp_path / "model")).score(papers, kinds) == 1


@pytest.mark.mlflow
def test_versions_are_loaded_from_mlflow(label_folder, saved_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TaggerError, match="found no model 'champion'"):
        Tagger.load()
    log_tiny(Registry(), label_folder, saved_model)
    papers = [Paper("A survey of the court", "The judge and the heart.")]
    expected = load_model(saved_model).predict_proba(papers)["kind"][:, [1, 2, 0]]
    assert (Tagger.load().predict_proba(papers)["kind"] == expected).all()


@pytest.mark.mlflow
def test_the_example_of_the_readme_runs_as_written(quick, tmp_path, monkeypatch, capsys):
    """On a small store and few labels."""
    root = Path(__file__).parents[2]
    readme = (root / "README.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(root / "examples", "examples")
    Path("labels").mkdir()
    shutil.copy(root / "labels" / "taxonomy.yaml", "labels")
    lines = (root / "labels" / "seed.jsonl").read_text(encoding="utf-8").splitlines()
    Path("labels", "seed.jsonl").write_text("\n".join(lines[::3]), encoding="utf-8")
    taxonomy = load_taxonomy("labels/taxonomy.yaml")
    log_tiny(Registry(), Path("labels"), save_tiny_model(tmp_path / "saved" / "model", taxonomy))
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "review" in printed
    assert 0 <= float(printed.split()[-1]) <= 1
    assert load_model("my-model").taxonomy == taxonomy
