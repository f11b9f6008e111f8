"""How good are the tags, do confidences mean what they say, and is the promise kept?

Twice, for each seed: a model trained on labels/seed.jsonl alone is asked about the 210 papers of
../shared/gold; and these 210 are cross-validated in 5 folds. The promise is a target precision of
0.95: how many papers need no review, and how many of the tags accepted are right. In
cross-validation, each fold is decided by a rule that was made from the others.

    python experiments/trust.py            # writes experiments/results/trust.*
    python experiments/trust.py --seeds 1  # a quicker look
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from gold import RESULTS, ROOT, Gold, label_of, machine, read_gold
from seeds import for_each_seed

from tagger._util.arrays import Booleans, Floats, Integers
from tagger.evaluation import evaluate
from tagger.labels import LabelStore
from tagger.model import OutOfFold, Reference, ReviewRule, calibrated_probabilities
from tagger.model.risk_control import promise_precision
from tagger.papers import EFFORTS
from tagger.taxonomy import Facet, Taxonomy
from tagger.training import TrainingSettings, train
from tagger.training.calibration import cross_calibrate, fit_calibration
from tagger.training.cross_validation import CrossValidation
from tagger.training.run import cross_validate

TARGET = 0.95
SEEDS = "150 seed labels"
DEVELOPMENT = "210 papers, 5-fold cross-validation"
F1 = {True: "macro_f1", False: "micro_f1"}
Chances = dict[str, Floats]


@dataclass(frozen=True)
class Decided:
    """Papers, and what a rule makes of them: tags ``accepted``, and papers in no doubt at all."""

    y_true: dict[str, Booleans]
    probabilities: Chances
    accepted: dict[str, Booleans]
    settled: Booleans
    rule: ReviewRule

    def figures(self, taxonomy: Taxonomy) -> dict[str, float]:
        found = {}
        right = accepted = 0
        for facet in taxonomy.facets:
            figures = evaluate(
                facet,
                self.y_true[facet.name],
                self.probabilities[facet.name],
                self.rule.threshold(facet),
            )
            found[f"{facet.name} F1"] = figures[F1[facet.exclusive]]
            found[f"{facet.name} calibration error"] = figures["calibration_error"]
            mine = self.accepted[facet.name]
            right += int((mine & self.y_true[facet.name]).sum())
            accepted += int(mine.sum())
            found[f"{facet.name} accepted"] = float(
                mine.sum() / self.rule.predict_labels(facet, self.probabilities[facet.name]).sum()
            )
        found["precision of accepted tags"] = right / accepted if accepted else float("nan")
        found["papers without review"] = float(self.settled.mean())
        return found


def decide(
    reference: Reference,
    taxonomy: Taxonomy,
    y_true: dict[str, Booleans],
    probabilities: Chances,
    given_by: ReviewRule,
) -> Decided:
    rule = promise_precision(reference, taxonomy, TARGET, given_by).rule
    accepted, settled = {}, np.ones(len(next(iter(y_true.values()))), dtype=bool)
    for facet in taxonomy.facets:
        doubted = rule.doubted_tags(facet, probabilities[facet.name])
        accepted[facet.name] = rule.predict_labels(facet, probabilities[facet.name]) & ~doubted
        settled &= ~doubted.any(axis=1)
    return Decided(y_true, probabilities, accepted, settled, rule)


def from_seed_labels(store: LabelStore, gold: Gold, seed: int) -> Decided:
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingSettings(seed=seed)
        labels = store.labels()
        model = train(labels, store.taxonomy, settings, Path(folder)).model
        probabilities = model.predict_proba(gold.papers)
    return decide(model.reference, store.taxonomy, gold.y_true, probabilities, model.rule())


def calibrate(
    facet: Facet, y_true: Booleans, views: list[Floats], folds: Integers, own: Booleans
) -> tuple[Floats, Floats]:
    """Return probabilities of papers outside of a fold, each by others of these, and of its own."""
    left = y_true[~own]
    honest = [cross_calibrate(facet, left, view[:, ~own], folds[~own]) for view in views]
    asked = [
        calibrated_probabilities(facet, view[:, own], fit_calibration(facet, left, view[:, ~own]))
        for view in views
    ]
    return np.mean(honest, axis=0), np.mean(asked, axis=0)


def cross_validated(store: LabelStore, gold: Gold, checked: CrossValidation) -> Decided:
    labels = [label_of(gold, row, store.taxonomy) for row in range(len(gold.papers))]
    probabilities = {part.facet.name: part.probabilities for part in checked.out_of_fold}
    folds = checked.out_of_fold[0].folds
    ids = tuple(label.id for label in labels)
    everything = Reference(
        ids,
        tuple(label.title for label in labels),
        np.zeros((len(ids), 1), dtype=np.float32),
        gold.y_true,
        {facet.name: np.ones(len(ids), dtype=bool) for facet in store.taxonomy.facets},
        {"full": checked.efforts["full"]},
    )
    rule = ReviewRule(thresholds=checked.thresholds["full"])
    accepted = {name: np.zeros(y_true.shape, dtype=bool) for name, y_true in gold.y_true.items()}
    settled = np.zeros(len(ids), dtype=bool)
    for fold in np.unique(folds):
        own = folds == fold
        # What is known of the others must not come from papers of this fold, by no detour.
        honest, asked = {}, {}
        for facet in store.taxonomy.facets:
            y_true = gold.y_true[facet.name]
            views = [checked.views[view].scores[facet.name] for view in EFFORTS["full"]]
            honest[facet.name] = np.zeros(y_true.shape)
            honest[facet.name][~own], asked[facet.name] = calibrate(
                facet, y_true, views, folds, own
            )
        found = decide(
            replace(
                everything,
                out_of_fold={"full": OutOfFold(everything.similarity, honest)},
                annotated=dict.fromkeys(everything.annotated, ~own),
            ),
            store.taxonomy,
            {name: y_true[own] for name, y_true in gold.y_true.items()},
            asked,
            rule,
        )
        settled[own] = found.settled
        for name, mine in found.accepted.items():
            accepted[name][own] = mine
    return Decided(gold.y_true, probabilities, accepted, settled, rule)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time, one core each")
    options = parser.parse_args()
    found = for_each_seed(measured, options.seeds, options.jobs)
    figures = {name: [each[name] for each in found] for name in (SEEDS, DEVELOPMENT)}
    RESULTS.mkdir(exist_ok=True)
    write("trust", trust_table(figures), figures)


def measured(seed: int) -> dict[str, dict[str, float]]:
    """Return the figures from the seed labels and of cross-validation."""
    store = LabelStore(ROOT / "labels")
    gold = read_gold(store.taxonomy)
    labels = [label_of(gold, row, store.taxonomy) for row in range(len(gold.papers))]
    figures = {SEEDS: from_seed_labels(store, gold, seed).figures(store.taxonomy)}
    print(SEEDS, seed, figures[SEEDS], flush=True)
    checked = cross_validate(labels, store.taxonomy, TrainingSettings(seed=seed))
    figures[DEVELOPMENT] = cross_validated(store, gold, checked).figures(store.taxonomy)
    print(DEVELOPMENT, seed, figures[DEVELOPMENT], flush=True)
    return figures


def trust_table(figures: dict[str, list[dict[str, float]]]) -> str:
    seeds = len(figures[SEEDS])
    lines = [f"| | {' | '.join(figures)} |", "|---" * (len(figures) + 1) + "|"]
    for name in figures[SEEDS][0]:
        cells = []
        for found in figures.values():
            values = [each[name] for each in found]
            spread = f" ({min(values):.3f} to {max(values):.3f})" if seeds > 1 else ""
            cells.append(f"{np.mean(values):.3f}{spread}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            f"{many(seeds)}on the 210 labelled papers; F1 "
            "is macro-F1 of the contribution, micro-F1 of the domain; accepted is the share of "
            f"the tags given that need no review at a target precision of {TARGET}; one run on "
            f"{machine()}.",
        ]
    )


def many(seeds: int) -> str:
    if seeds == 1:
        return "One seed, "
    return f"Means of {seeds} seeds, least and most in brackets where given, "


def write(name: str, table: str, details: object) -> None:
    (RESULTS / f"{name}.md").write_text(table + "\n", encoding="utf-8")
    (RESULTS / f"{name}.json").write_text(json.dumps(details, indent=1) + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
