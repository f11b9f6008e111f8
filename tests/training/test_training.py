from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from helpers.samples import label_of
from helpers.tiny_encoder import save_tiny_encoder
from helpers.tiny_model import SIZE

from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.model import review_rule
from tagger.model.calibration import CAP
from tagger.model.decision import NEVER
from tagger.papers import Paper
from tagger.taxonomy import Facet, Tag, Taxonomy
from tagger.training import (
    EncoderCache,
    TrainingData,
    TrainingSettings,
    measure_learning_curve,
    train,
)
from tagger.training.run import cross_validate

# Of two steps at least: the first one of a warm-up changes nothing.
QUICK = TrainingSettings(epochs=1, folds=2, max_tokens=32, batch_size=16)


def test_the_fingerprint_follows_every_input(label_folder, tmp_path):
    store = LabelStore(label_folder)
    taxonomy, labels = store.taxonomy, store.labels()
    same = QUICK.fingerprint(taxonomy, labels)
    other = Taxonomy.model_validate(taxonomy.model_dump() | {"name": "other"})
    assert replace(QUICK).fingerprint(taxonomy, LabelStore(label_folder).labels()) == same
    assert replace(QUICK, seed=1).fingerprint(taxonomy, labels) != same
    assert QUICK.fingerprint(taxonomy, labels[1:]) != same
    assert QUICK.fingerprint(other, labels) != same
    given = replace(QUICK, encoder=str(tmp_path))
    seen = set()
    for content in ("one", "two"):
        (tmp_path / "weights").write_text(content)
        seen |= {given.fingerprint(taxonomy, labels) for _ in range(2)}
    assert len(seen) == 2


def test_too_few_labels_are_refused(label_folder, tmp_path):
    store = LabelStore(label_folder)
    with pytest.raises(TaggerError, match=r"too few labels.*kind: 3 labels.*field: 3 labels"):
        train(store.labels()[:3], store.taxonomy, QUICK, tmp_path)


def test_a_facet_is_scarce_for_each_reason(label_folder):
    store = LabelStore(label_folder)

    def scarce(kinds, folds):
        kinds = [{"kind": (kind,)} if kind else {} for kind in kinds]
        labels = [
            label.model_copy(update={"tags": {"field": label.tags["field"], **kind}})
            for label, kind in zip(store.labels(), kinds, strict=True)
        ]
        return {*TrainingData.of(labels, store.taxonomy).scarce_facets(np.array(folds), 2)}

    halves, kinds = [0, 1] * 6, ["survey", "method", "study", "survey"] * 3
    assert scarce(kinds, halves) == set()
    assert scarce([*kinds[:3], *[None] * 9], halves) == {"kind"}
    assert scarce(["survey"] * 11 + ["study"], halves) == {"kind"}
    assert scarce(["survey"] * 10 + ["study"] * 2, halves) == set()
    assert scarce(["survey"] * 10 + ["study"] * 2, [0] * 10 + [1] * 2) == {"kind"}


@pytest.fixture(scope="module")
def topic_labels():
    """Labels of three topics, a few sentences each; a facet is not judged in some."""
    topics = {
        ("survey", ("heart",)): "An overview of {} studies of the beating heart and its diseases.",
        ("method", ("law",)): "A new algorithm for {} that drafts contracts for the court.",
        ("study", ()): "The question is how {} people bake bread at home. We measure the crust.",
    }
    # Words that the tiny encoder knows, so that no two papers are the same to it.
    details = [" ".join(pair) for pair in combinations(("trial", "network", "drug", "judge"), 2)]
    return [
        label_of(
            f"{kind.title()} {number}",
            text=text.format(detail),
            tags={"kind": [kind], "field": fields} if number else {"kind": [kind]},
        )
        for number, detail in enumerate(details)
        for (kind, fields), text in topics.items()
    ]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Settings of a training that takes seconds: its encoder knows a word of each topic."""
    return replace(QUICK, encoder=str(save_tiny_encoder(tmp_path_factory.mktemp("tiny"))))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, taxonomy, topic_labels, tiny):
    """A model trained on the topics of a few sentences."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    steps = []
    result = train(topic_labels, taxonomy, tiny, folder, lambda *step: steps.append(step))
    assert ("Final model", 3, 3) in steps
    return result


@pytest.mark.training
def test_a_training_that_was_broken_off_goes_on(trained, tiny, topic_labels, taxonomy, tmp_path):
    def break_off(stage, _done, _total):
        if stage == "Fold 2 of 2":
            raise KeyboardInterrupt

    def again(progress):
        cache = EncoderCache(tmp_path / "cache")
        return train(topic_labels, taxonomy, tiny, tmp_path / "model", progress, cache=cache)

    with pytest.raises(KeyboardInterrupt):
        again(break_off)
    steps = []
    gone_on = again(lambda *step: steps.append(step))
    assert (trained.reused, gone_on.reused) == (0, 2)
    assert [step for step in steps if step[0] == "Fold 1 of 2"] == [("Fold 1 of 2", 1, 1)]
    assert gone_on.metrics == trained.metrics
    papers = [label.paper for label in topic_labels]
    for facet, probabilities in trained.model.predict_proba(papers).items():
        assert (gone_on.model.predict_proba(papers)[facet] == probabilities).all()


@pytest.mark.training
def test_training_learns_the_topics(trained):
    papers = [Paper("Heart failure overview", "An overview of 9 studies of the beating heart.")]
    probabilities = trained.model.predict_proba(papers)
    assert probabilities["kind"][0].argmax() == 0
    # A label for "heart" is one for its parent "health" too.
    assert (
        probabilities["field"][0, 0]
        >= probabilities["field"][0, 1]
        > 0.5
        > probabilities["field"][0, 2]
    )
    assert trained.metrics["kind/accuracy"] > 0.8
    assert set(trained.metrics) >= {"kind/macro_f1", "field/f1/heart", "field/calibration_error"}


@pytest.mark.training
def test_a_facet_with_few_labels_is_tagged_by_definition_and_reviewed(
    taxonomy, topic_labels, tiny, tmp_path
):
    clinic = Tag(name="clinic", definition="Studies of the beating heart and its diseases.")
    office = Tag(name="office", definition="Somebody drafts contracts for the court.")
    place = Facet(name="place", definition="Where.", exclusive=True, tags=(clinic, office))
    wider = Taxonomy(name="wider", facets=(*taxonomy.facets, place))
    labels = [
        label.model_copy(update={"tags": {**label.tags, "place": ("clinic",)}}) if n < 2 else label
        for n, label in enumerate(topic_labels)
    ]
    result = train(labels, wider, tiny, tmp_path / "model")
    assert {*result.by_definition} == {"place"}
    assert [table.facet.name for table in result.out_of_fold] == ["kind", "field"]
    papers = [topic_labels[number].paper for number in (0, 1)]
    probabilities, rule = result.model.predict_proba(papers)["place"], result.model.rule()
    assert probabilities.argmax(axis=1).tolist() == [0, 1]
    assert probabilities.max() <= CAP
    assert rule.doubts(place, probabilities).all()
    _, target = review_rule(result.model, 0.6, 0.9)
    assert target.rule.accept["place"] == {"clinic": NEVER, "office": NEVER}


@pytest.mark.training
def test_cross_validation_alone_says_what_training_says(trained, tiny, topic_labels):
    checked = cross_validate(topic_labels, trained.model.taxonomy, tiny)
    for alone, within in zip(checked.out_of_fold, trained.out_of_fold, strict=True):
        assert alone.ids == within.ids
        assert (alone.folds == within.folds).all()
        assert alone.probabilities == pytest.approx(within.probabilities, abs=1e-6)
    assert checked.seconds_per_100 > 0 < checked.encoder_megabytes


@pytest.mark.training
def test_the_learning_curve_ends_with_the_cross_validation(trained, tiny, topic_labels, tmp_path):
    reverse = np.arange(18)[::-1]
    held_out = {
        part.facet.name: part.take(reverse[reverse < len(part.ids)]) for part in trained.out_of_fold
    }
    cache = EncoderCache(tmp_path / "cache")
    data = TrainingData.of(topic_labels, trained.model.taxonomy)
    points = measure_learning_curve(data, tiny, held_out, cache=cache)
    assert [point.labels for point in points] == [2, 4, 9]
    kind = trained.out_of_fold[0]
    kinds = [point.held_out["kind"] for point in points]
    for each in kinds:
        assert each.ids == kind.ids
        assert (each.y_true == kind.y_true).all()
        assert each.probabilities.sum(axis=1) == pytest.approx(1)
    assert (kinds[-1].probabilities == kind.probabilities).all()
    assert len(list((tmp_path / "cache").iterdir())) == 4


@pytest.mark.training
def test_out_of_fold_predictions_cover_each_judged_paper(trained):
    kind, field = trained.out_of_fold
    assert sorted(np.bincount(kind.folds).tolist()) == [0, 9, 9]
    assert kind.probabilities.shape == kind.y_true.shape == (18, 3)
    assert kind.probabilities.sum(axis=1) == pytest.approx(1)
    assert field.ids == kind.ids[3:]
    assert kind.titles[:2] == ("Survey 0", "Method 0")
    reference = trained.model.reference
    assert reference.vectors.shape == (18, SIZE)
    assert reference.probabilities["field"].shape == (18, 3)
    # A fold that held a paper out knows only its neighbours.
    assert (reference.similarity < 0.9999).all()
    assert reference.similarity_of(reference.vectors) == pytest.approx(1, abs=1e-5)
