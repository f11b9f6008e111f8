"""Updating a model with labels, as ``train --heads-only`` does without a champion."""

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from helpers.samples import label_of, run
from helpers.tiny_encoder import save_tiny_encoder

from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.model import load_model
from tagger.papers import Paper
from tagger.taxonomy import Taxonomy
from tagger.training import TrainingSettings, same_tags, train, update

TEXTS = {"survey": "heart drug review", "method": "network court judge", "study": "trial question"}
FIELDS = {"survey": ("medical",), "method": ("legal",), "study": ()}
KINDS = [{"name": name, "definition": f"A {name}."} for name in TEXTS]
TOPICS = [{"name": name, "definition": name} for name in ("medical", "legal", "moral")]
TAXONOMY = {
    "name": "small",
    "facets": [
        {"name": "kind", "definition": "What it is.", "exclusive": True, "tags": KINDS},
        {"name": "field", "definition": "What it is about.", "tags": TOPICS},
    ],
}


def label(title, kind, text=None, queue="audit"):
    text, tags = f"{text or TEXTS[kind]} {title}", {"kind": [kind], "field": FIELDS[kind]}
    return label_of(title, text=text, tags=tags, source="review" if queue else "seed", queue=queue)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model, the labels that it was trained on, its taxonomy and settings."""
    folder = tmp_path_factory.mktemp("base")
    settings = TrainingSettings(
        encoder=str(save_tiny_encoder(folder / "encoder")), epochs=0, folds=2, max_tokens=32
    )
    taxonomy = Taxonomy.model_validate(TAXONOMY)
    # Some texts are those of another kind, so that the model is not sure of any.
    others = dict(zip(TEXTS, [*TEXTS.values()][::-1], strict=True))
    labels = [
        label(f"{kind} {n}", kind, None if n % 3 else others[kind], queue=None)
        for kind in TEXTS
        for n in range(6)
    ]
    result = train(labels, taxonomy, settings, folder / "model")
    # No paper has the last topic.
    assert [one.capped for one in result.out_of_fold] == [(), ("moral",)]
    return result.folder, labels, taxonomy, settings


def test_an_update_learns_what_is_new_and_keeps_the_encoder_and_what_was_known(base, tmp_path):
    folder, labels, taxonomy, settings = base
    # A phrase that the model takes for a survey is that of a method here.
    new = [label(f"paper {n}", "method", "heart drug review") for n in range(12)]
    result = update(folder, [*labels, *new], taxonomy, settings, tmp_path / "new")
    assert (tmp_path / "new" / "encoder.onnx").read_bytes() == (
        folder / "encoder.onnx"
    ).read_bytes()
    paper = Paper("paper 99", "heart drug review paper 99")
    before, after = (
        model.predict_proba([paper])["kind"][0, 1] for model in (load_model(folder), result.model)
    )
    assert after > before
    assert {*result.model.reference.ids} == {each.id for each in [*labels, *new]}
    assert result.model.reference.audit_ids == {each.id for each in new}
    assert [one.capped for one in result.out_of_fold] == [(), ("moral",)]


def test_papers_are_predicted_by_heads_without_them(base, tmp_path):
    folder, labels, taxonomy, settings = base
    new = [label(f"paper {n}", kind) for n, kind in enumerate([*TEXTS] * 4)]
    result = update(folder, [*labels, *new], taxonomy, settings, tmp_path / "one")
    kind = result.out_of_fold[0]
    assert {*kind.ids} == {each.id for each in [*labels, *new]}
    # Another label of a paper changes the predictions of the other folds, not its own.
    changed = [new[0].model_copy(update={"tags": {"kind": ("study",), "field": ()}}), *new[1:]]
    other = update(
        folder,
        [*labels, *changed],
        taxonomy,
        settings,
        tmp_path / "two",
        known_folds=dict(zip(kind.ids, (kind.folds - 1).tolist(), strict=True)),
    ).out_of_fold[0]
    place = kind.ids.index(new[0].id)
    same_fold = kind.folds == kind.folds[place]
    found = dict(zip(other.ids, other.probabilities, strict=True))
    again = np.array([found[name] for name in kind.ids])
    same = np.isclose(again, kind.probabilities, rtol=1e-9, atol=0).all(axis=1)
    is_new = np.isin(kind.ids, [each.id for each in new])
    assert same[same_fold | ~is_new].all()
    assert not same[~same_fold & is_new].any()


def test_a_corrected_label_replaces_the_one_that_the_model_knows(base, tmp_path):
    folder, labels, taxonomy, settings = base
    corrected = [
        each.model_copy(update={"tags": {"kind": ("method",), "field": ()}}) for each in labels[:3]
    ]
    result = update(folder, [*corrected, *labels[3:]], taxonomy, settings, tmp_path / "new")
    reference = result.model.reference
    assert sorted(reference.ids) == sorted(each.id for each in labels)
    rows = [reference.ids.index(each.id) for each in corrected]
    assert reference.y_true["kind"][rows, 1].all()
    kind = result.out_of_fold[0]
    known = load_model(folder).reference
    before = dict(zip(known.ids, known.probabilities["kind"], strict=True))
    kept = [name in {each.id for each in labels[3:]} for name in kind.ids]
    stored = np.array([before[name] for name in kind.ids])
    assert (kind.probabilities == stored).all(axis=1).tolist() == kept


def test_a_paper_is_the_one_that_the_model_knows_by_another_id(base, tmp_path):
    folder, labels, taxonomy, settings = base
    changes = {"id": "arxiv:2401.00001", "tags": {"kind": ("study",), "field": ()}}
    named = labels[0].model_copy(update=changes)
    result = update(folder, [named, *labels[1:]], taxonomy, settings, tmp_path / "new")
    reference = result.model.reference
    assert sorted(reference.ids) == sorted(each.id for each in [named, *labels[1:]])
    row = reference.ids.index(named.id)
    assert reference.y_true["kind"][row].tolist() == [False, False, True]


def test_a_label_of_one_facet_leaves_the_tags_of_the_other_facets(base, tmp_path):
    folder, labels, taxonomy, settings = base
    corrected = labels[0].model_copy(update={"tags": {"kind": ("method",)}})
    result = update(folder, [corrected, *labels[1:]], taxonomy, settings, tmp_path / "new")
    reference = result.model.reference
    row = reference.ids.index(corrected.id)
    assert reference.y_true["kind"][row].tolist() == [False, True, False]
    assert reference.annotated["field"][row]
    assert reference.y_true["field"][row].tolist() == [True, False, False]
    # It was predicted anew in both facets, by heads without it.
    assert [corrected.id in held_out.ids for held_out in result.out_of_fold] == [True, True]


def test_what_cannot_be_updated_is_refused(base, tmp_path):
    folder, labels, taxonomy, settings = base
    with pytest.raises(TaggerError, match="new"):
        update(folder, labels, taxonomy, settings, tmp_path / "new")
    other = taxonomy.model_copy(update={"facets": taxonomy.facets[:1]})
    with pytest.raises(TaggerError, match="facets and tags"):
        update(folder, labels, other, settings, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.fixture
def shipped(base, tmp_path, monkeypatch):
    """Let the model stand in for the one that ships with tagger."""
    folder, _, _, settings = base
    copy = shutil.copytree(folder, tmp_path / "shipped")
    record = {"model": load_model(copy).digest, "settings": asdict(settings)}
    (copy / "training.json").write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr("tagger.registry.resolve._SHIPPED_FOLDER", copy)


@pytest.mark.training
@pytest.mark.usefixtures("shipped")
def test_the_command_updates_the_model_that_ships_with_tagger(base, tmp_path):
    """Twice: the second version is an update of the same model, not of the first version."""
    _, labels, *_ = base
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "taxonomy.yaml").write_text(json.dumps(TAXONOMY), encoding="utf-8")

    def add(more):
        with (tmp_path / "labels" / "seed.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(f"{one.model_dump_json(exclude_none=True)}\n" for one in more)

    add(labels)
    none = run("train", "--heads-only", cwd=tmp_path, code=2)
    assert "new" in none.stderr
    for number in (1, 2):
        add([label(f"paper {number} {n}", kind, queue=None) for n, kind in enumerate(TEXTS)])
        done = run("train", "--heads-only", "--folds", "2", cwd=tmp_path, code=0)
        assert f"cross-validated on {len(labels) + 3 * number} labels" in done.stdout
    compared = run("compare", cwd=tmp_path)
    assert compared.returncode in (0, 1), compared.stderr
    refused = run("export", "out", "--to", "setfit", cwd=tmp_path, code=2)
    assert "ships with tagger" in refused.stderr
    unplanned = run("labels", "plan", cwd=tmp_path, code=2)
    assert "no learning curve" in unplanned.stderr


@pytest.mark.usefixtures("shipped")
def test_a_label_folder_has_the_tags_of_the_model_that_ships(base, tmp_path):
    _, _, taxonomy, _ = base
    with pytest.raises(TaggerError, match="--template shipped"):
        LabelStore(tmp_path / "labels").labels()
    done = run("init", "labels", "--template", "shipped", cwd=tmp_path, code=0)
    assert "tagger train --heads-only" in done.stdout
    assert same_tags(LabelStore(tmp_path / "labels").taxonomy, taxonomy)
