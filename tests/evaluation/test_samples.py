import numpy as np
import pytest
from helpers.samples import label_of

from tagger.evaluation import (
    HeldOut,
    evaluate_samples,
    sample_of,
    share,
    split_samples,
)


def held_out(facet, **counts):
    samples = np.repeat(list(counts), list(counts.values()))
    ids = tuple(f"t-{n}" for n in range(len(samples)))
    y_true = np.eye(3, dtype=bool)[np.zeros(len(samples), int)]
    # Right on what arrived, wrong on seed labels.
    probabilities = np.where((samples == "seed")[:, None], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1])
    folds = np.ones(len(samples), int)
    return HeldOut(facet, ids, ids, folds, y_true, probabilities, samples=samples)


@pytest.mark.parametrize(
    ("changes", "sample"),
    [
        ({}, "seed"),
        ({"source": "review"}, "reviewed"),
        ({"source": "review", "queue": "audit"}, "audit"),
        ({"source": "review", "queue": "confused"}, "selected"),
        ({"source": "seed", "queue": "audit"}, "seed"),
    ],
)
def test_a_label_belongs_to_the_smallest_sample(changes, sample):
    assert sample_of(label_of("On trust", **changes)) == sample


@pytest.mark.parametrize(
    ("counts", "parts"),
    [
        ({"seed": 9}, {"seed": 9}),
        ({"seed": 9, "audit": 29}, {"seed": 9}),
        ({"seed": 9, "audit": 30, "selected": 99}, {"audit": 30, "seed": 9}),
        ({"audit": 20, "reviewed": 10, "selected": 99}, {"reviewed": 30}),
        ({"audit": 20, "reviewed": 9, "selected": 99}, {"selected": 128}),
    ],
)
def test_reviewed_papers_and_seed_labels_are_apart(taxonomy, counts, parts):
    found = split_samples(held_out(taxonomy.facet("kind"), **counts))
    assert {name: len(part.ids) for name, part in found.items()} == parts


@pytest.mark.parametrize(
    ("counts", "measured_on"),
    [
        ({"audit": 29}, "29 papers of the audit sample (few: trust"),
        ({"audit": 9, "reviewed": 9}, "18 reviewed papers (few: trust"),
        ({"audit": 9, "selected": 9}, "18 papers chosen for review, which"),
        ({"audit": 29, "seed": 9}, "9 seed labels (few"),
    ],
)
def test_few_reviewed_papers_are_all_there_is_without_seed_labels(taxonomy, counts, measured_on):
    (found,) = evaluate_samples([held_out(taxonomy.facet("kind"), **counts)])
    assert found.measured_on.startswith(measured_on)


def test_figures_on_reviewed_papers_come_first(taxonomy):
    reviewed, seed = evaluate_samples([held_out(taxonomy.facet("kind"), seed=9, audit=40)])
    assert (reviewed.sample, reviewed.papers, reviewed.labels["survey"]) == ("audit", 40, 40)
    assert (reviewed.figures["accuracy"].value, seed.figures["accuracy"].value) == (1, 0)
    # Wilson: 40 of 40 is not certainty.
    assert reviewed.figures["accuracy"].interval == share(40, 40).interval
    # A bootstrap of papers without an error has no width.
    for name in ("macro_f1", "micro_f1"):
        assert reviewed.figures[name] == share(40, 40)
    assert share(40, 40).interval[0] == pytest.approx(1 / (1 + 1.96**2 / 40), abs=1e-3)
