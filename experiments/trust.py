"""Do confidences mean what they say on papers that arrive, and are precision targets kept?

Models are trained on the 150 seed labels of 2026-11-21 (``calibration.py`` does it and keeps the
vectors). Papers of ../shared/gold are those that arrive: dev with dev2, and those of pool that were
drawn at random. An audit sample is drawn from one of the two, many times; calibration, thresholds
and the rule for a target precision are fitted as ``tagger train`` fits them, and measured on the
other set, both ways. The model itself does not learn from the audit sample here. Then 10,000 audit
samples are drawn from confidences that are right as often as they say.

    python experiments/trust.py            # writes experiments/results/trust.*
    python experiments/trust.py --seeds 1  # a quicker look
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from calibration import VIEWS, Case, Scores, prepare, score
from gold import RESULTS, Gold, label_of, machine

from tagger._util.arrays import Floats, Integers
from tagger.evaluation import evaluate
from tagger.model import Reference, ReviewRule, calibrated_probabilities, logits_of
from tagger.model.risk_control import NEVER, least_confidence, promise_precision
from tagger.taxonomy import Facet
from tagger.training import TrainingData
from tagger.training.calibration import (
    SHRINKAGE,
    CalibratedEffort,
    CalibratedView,
    calibrate_effort,
    calibrate_view,
    fit_calibration,
)

TARGETS = (0.95, 0.9)
SIZES = (0, 50, 100, 200)
SIMULATED = 10_000
Figures = dict[str, list[float]]


@dataclass(frozen=True)
class Arrived:
    """Papers that arrived, with the scores by the final model of each facet and view."""

    gold: Gold
    scores: dict[str, Scores]


@dataclass(frozen=True)
class Fitted:
    """What is fitted on seed labels and an audit sample."""

    data: TrainingData
    views: list[CalibratedView]
    effort: CalibratedEffort


def arrived(case: Case) -> tuple[dict[str, Scores], dict[str, Arrived]]:
    """Return the out-of-fold scores of the seed labels, and the two sets of papers that arrived."""
    held_out: dict[str, Scores] = {}
    asked: dict[str, dict[str, Scores]] = {}
    for facet in case.data.taxonomy.facets:
        held_out[facet.name], asked[facet.name] = score(case, facet, by_definition=True)
    sets = {}
    for name, parts in {"dev and dev2": ("dev", "dev2"), "pool": ("pool",)}.items():
        papers = [paper for part in parts for paper in case.asked[part].papers]
        y_true, scores = {}, {}
        for facet in case.data.taxonomy.facets:
            y_true[facet.name] = np.concatenate(
                [case.asked[part].y_true[facet.name] for part in parts]
            )
            scores[facet.name] = {
                view: np.concatenate([asked[facet.name][part][view] for part in parts], axis=1)
                for view in VIEWS
            }
        sets[name] = Arrived(Gold(papers, y_true), scores)
    return held_out, sets


def fit(
    case: Case, held_out: dict[str, Scores], audit: Arrived, rows: Integers, folds: Integers
) -> Fitted:
    taxonomy = case.data.taxonomy
    sample = [
        label_of(audit.gold, row, taxonomy).model_copy(update={"queue": "audit"}) for row in rows
    ]
    data = TrainingData.of([*case.data.labels, *sample], taxonomy)
    views = []
    for view in VIEWS:
        scores = {
            name: np.concatenate([by_view[view], audit.scores[name][view][:, rows]], axis=1)
            for name, by_view in held_out.items()
        }
        views.append(calibrate_view(data, folds, scores, np.ones(len(folds))))
    return Fitted(data, views, calibrate_effort(data, folds, views))


def predict(fitted: Fitted, facet: Facet, scores: Scores) -> Floats:
    by_view = [
        calibrated_probabilities(facet, scores[name], view.calibrations[facet.name])
        for name, view in zip(VIEWS, fitted.views, strict=True)
    ]
    logits = logits_of(facet, np.mean(by_view, axis=0))[None]
    return calibrated_probabilities(facet, logits, fitted.effort.calibrations[facet.name])


def measure(fitted: Fitted, new: Arrived) -> dict[str, float]:
    """Return the figures on papers that neither the model nor its calibration has seen."""
    data, taxonomy = fitted.data, fitted.data.taxonomy
    reference = Reference(
        tuple(data.ids),
        tuple(label.title for label in data.labels),
        np.zeros((len(data.labels), 1), dtype=np.float32),
        data.y_true,
        data.annotated,
        {"full": fitted.effort.out_of_fold},
        frozenset(label.id for label in data.labels if label.audited),
    )
    rule = ReviewRule(thresholds=fitted.effort.thresholds)
    found: dict[str, float] = {}
    probabilities = {}
    for facet in taxonomy.facets:
        probabilities[facet.name] = predict(fitted, facet, new.scores[facet.name])
        truth, threshold = new.gold.y_true[facet.name], rule.threshold(facet)
        figures = evaluate(facet, truth, probabilities[facet.name], threshold)
        for name in ("accuracy" if facet.exclusive else "micro_f1", "calibration_error"):
            found[f"{facet.name} {name}"] = figures[name]
    for target in TARGETS:
        promised = promise_precision(reference, taxonomy, target, rule).rule
        right = accepted = given = 0
        for facet in taxonomy.facets:
            tags = rule.predict_labels(facet, probabilities[facet.name])
            taken = tags & ~promised.doubted_tags(facet, probabilities[facet.name])
            truth = new.gold.y_true[facet.name]
            given, accepted = given + int(tags.sum()), accepted + int(taken.sum())
            right += int((taken & truth).sum())
            if taken.any():
                found[f"{target} precision, {facet.name}"] = float(truth[taken].mean())
        found[f"{target} accepts something"] = float(accepted > 0)
        found[f"{target} coverage"] = accepted / given
        if accepted:
            found[f"{target} precision"] = right / accepted
    return found


def measured(seed: int, draws: int) -> dict[str, Figures]:
    """Return all figures of a seed by the size of the audit sample."""
    case = prepare("seeds", seed)
    held_out, sets = arrived(case)
    rng = np.random.default_rng(seed)
    found: dict[str, Figures] = {}
    for size in SIZES:
        figures: Figures = defaultdict(list)
        for one, other in (("dev and dev2", "pool"), ("pool", "dev and dev2")):
            for _ in range(draws if size else 1):
                rows = rng.choice(len(sets[one].gold.papers), size, replace=False)
                folds = np.concatenate([case.folds, rng.permutation(np.arange(size) % 5)])
                fitted = fit(case, held_out, sets[one], rows, folds)
                for name, value in measure(fitted, sets[other]).items():
                    figures[name].append(value)
        found[str(size)] = dict(figures)
        print(seed, size, {name: round(np.mean(v), 3) for name, v in figures.items()}, flush=True)
    found["scale"] = scales(case, held_out, sets)
    return found


def scales(case: Case, held_out: dict[str, Scores], sets: dict[str, Arrived]) -> Figures:
    """Return the scale of the calibration on papers that arrived, as a share of that on seeds.

    It is that of the mean over views, whose own calibrations are those of the seed labels.
    """
    none = np.zeros(0, dtype=int)
    seeds = fit(case, held_out, sets["pool"], none, case.folds)
    found: Figures = defaultdict(list)
    for facet in case.data.taxonomy.facets:
        of_seeds = seeds.effort.calibrations[facet.name].scale / SHRINKAGE
        for each in sets.values():
            by_view = [
                calibrated_probabilities(
                    facet, each.scores[facet.name][name], view.calibrations[facet.name]
                )
                for name, view in zip(VIEWS, seeds.views, strict=True)
            ]
            logits = logits_of(facet, np.mean(by_view, axis=0))[None]
            real = fit_calibration(facet, each.gold.y_true[facet.name], logits)
            found[facet.name].append(real.scale / of_seeds)
    return dict(found)


def simulated(tags: int, target: float) -> dict[str, float | None]:
    """Return how often the target is kept if confidences are right as often as they say."""
    rng = np.random.default_rng(0)
    population = np.sort(rng.beta(5, 0.8, 200_000))[::-1]
    precision = np.cumsum(population) / np.arange(1, len(population) + 1)
    kept: list[bool] = []
    accepted: list[float] = []
    for _ in range(SIMULATED):
        confidence = rng.choice(population, tags)
        threshold = least_confidence(confidence, rng.random(tags) < confidence, target)
        count = int(np.searchsorted(-population, -threshold, side="right"))
        accepted.append(count / len(population))
        if threshold < NEVER and count:
            kept.append(bool(precision[count - 1] >= target))
    return {
        "accepts something": len(kept) / SIMULATED,
        "kept, of these": float(np.mean(kept)) if kept else None,
        "coverage": float(np.mean(accepted)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--draws", type=int, default=20, help="audit samples of a size and set")
    options = parser.parse_args()
    found = [measured(seed, options.draws) for seed in range(options.seeds)]
    simulation = {
        f"{tags} tags, target {target}": simulated(tags, target)
        for tags in (50, 100, 200, 400)
        for target in TARGETS
    }
    RESULTS.mkdir(exist_ok=True)
    details = json.dumps({"measured": found, "simulated": simulation}, indent=1)
    (RESULTS / "trust.json").write_text(details + "\n", encoding="utf-8")
    page = table(found, simulation, options.draws)
    (RESULTS / "trust.md").write_text(page, encoding="utf-8")
    print(page)


def table(
    found: list[dict[str, Figures]], simulation: dict[str, dict[str, float | None]], draws: int
) -> str:
    sizes = [str(size) for size in SIZES]
    lines = [f"| audit labels | {' | '.join(sizes)} |", "|---" * (len(sizes) + 1) + "|"]
    for name in dict.fromkeys(name for each in found for size in sizes for name in each[size]):
        cells = []
        for size in sizes:
            values = [value for each in found for value in each[size].get(name, [])]
            least = f" ({min(values):.3f})" if values and name.split()[-1] == "precision" else ""
            cells.append(f"{np.mean(values):.3f}{least}" if values else "-")
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    lines += [
        "",
        "| simulated | accepts something | kept, of these | coverage |",
        "|---|---|---|---|",
    ]
    for name, each in simulation.items():
        cells = ["-" if value is None else f"{value:.3f}" for value in each.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    ratios = [value for each in found for values in each["scale"].values() for value in values]
    return "\n".join(
        [
            *lines,
            "",
            f"Means of {len(found)} seeds, {draws} audit samples each from dev with dev2, measured "
            "on pool, and from pool, measured on dev with dev2; the lowest precision in brackets. "
            "Precision is that of the runs that accept something. Models are trained on 150 seed "
            "labels, not on the audit sample. The scale of the calibration on papers that arrive "
            f"is {min(ratios):.2f} to {max(ratios):.2f} of that on seed labels. Simulated: "
            f"{SIMULATED:,} audit samples of tags whose confidences are right as often as they "
            f"say. On {machine()}.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
