"""Do confidences mean what they say on papers that arrive, and are precision targets kept?

Models are trained on the seed labels of labels/. Papers of ../shared/gold are those that arrive:
dev with dev2, and those of pool that were sampled at random. An audit sample is drawn from one of
the two, many times; calibration, thresholds and the rule for a target precision are fitted as
``tagger train`` fits them, and measured on the other set, both ways. The model itself does not
learn from the audit sample here. On few papers exact confidences, too, have a calibration error: it
is shown for tags drawn from the same confidences. Then 10,000 audit samples are drawn from
confidences that are right as often as they say.

    python experiments/trust.py  # writes experiments/results/trust.*
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from gold import Gold, label_of, read_gold, settings_of, some
from joblib import Memory
from record import ROOT, read_options, write_result

from tagger._util.arrays import Booleans, Floats, Integers
from tagger.evaluation import evaluate
from tagger.labels import LabelStore
from tagger.model import MEMBERS, Encoder, Reference, calibrated_probabilities, logits_of
from tagger.model.decision import NEVER, ReviewRule
from tagger.model.risk_control import least_confidence, reach_precision
from tagger.papers import TEXT_VIEWS, Paper
from tagger.taxonomy import Facet
from tagger.training import TrainingData, default_encoder_cache
from tagger.training.calibration import (
    SHRINKAGE,
    Calibrated,
    calibrate_effort,
    calibrate_view,
    fit_calibration,
)
from tagger.training.cross_validation import FittedHeads, fit_heads
from tagger.training.encoders import train_encoders
from tagger.training.run import plan_encoder, plan_folds

SETS = {"dev and dev2": ("dev", "dev2"), "pool": ("pool",)}
TARGETS = (0.95, 0.9)
SIZES = (0, 50, 100, 200)
Figures = dict[str, list[float]]
Scores = dict[str, dict[str, Floats]]
"""By text view and facet, shape (members, papers, tags)."""


@dataclass(frozen=True)
class Arrived:
    """Papers that arrived, with their scores by the final model."""

    gold: Gold
    scores: Scores


@dataclass(frozen=True)
class Case:
    """A training: the seed labels with their folds and out-of-fold scores, and the papers."""

    data: TrainingData
    folds: Integers
    held_out: Scores
    arrived: dict[str, Arrived]


@dataclass(frozen=True)
class Fitted:
    """What is fitted on seed labels and an audit sample."""

    data: TrainingData
    views: list[Calibrated]
    effort: Calibrated


def scores_of(fitted: FittedHeads, encoder: Encoder, papers: Sequence[Paper]) -> Scores:
    return {
        view: fitted.scores(papers, encoder.encode([text_of(paper) for paper in papers]))
        for view, text_of in TEXT_VIEWS.items()
    }


def train_case(seed: int, quick: bool, tree: str | None) -> Case:
    """Train the encoders and heads of the folds and of the final model, as ``train`` does.

    ``tree`` is the state of tagger/, which a kept result depends on, too.
    """
    store, settings = LabelStore(ROOT / "labels"), settings_of(quick, seed=seed)
    data = TrainingData.of(some(store.labels(), quick), store.taxonomy)
    folds, everything = plan_folds(data, settings), np.arange(len(data.labels))
    rows = [*(np.flatnonzero(folds != fold) for fold in range(settings.folds)), everything]
    plans = [plan_encoder(data, indices, settings, "trust") for indices in rows]
    held_out: Scores = {
        view: {name: np.zeros((len(MEMBERS), *y.shape)) for name, y in data.y_true.items()}
        for view in TEXT_VIEWS
    }
    with closing(train_encoders(plans, default_encoder_cache())) as encoders:
        for fold, indices in enumerate(rows[:-1]):
            own, encoder = np.flatnonzero(folds == fold), next(encoders).encoder
            fitted = fit_heads(data, indices, settings, encoder)
            for view, by_facet in scores_of(fitted, encoder, data.papers(own)).items():
                for name, values in by_facet.items():
                    held_out[view][name][:, own] = values
            print(f"seed {seed}: fold {fold + 1} of {settings.folds}", flush=True)
        whole = calibrate_view(data, folds, held_out["whole"], np.ones(len(folds)))
        encoder = next(encoders).encoder
        fitted = fit_heads(data, everything, settings, encoder, whole.calibrations)
        arrived = {}
        for name, parts in SETS.items():
            golds = [read_gold(store.taxonomy, part) for part in parts]
            papers = [paper for gold in golds for paper in gold.papers]
            y_true = {
                facet: np.concatenate([gold.y_true[facet] for gold in golds])
                for facet in data.y_true
            }
            arrived[name] = Arrived(Gold(papers, y_true), scores_of(fitted, encoder, papers))
    return Case(data, folds, held_out, arrived)


def fit(case: Case, audit: Arrived, rows: Integers, folds: Integers) -> Fitted:
    """Fit calibrations and thresholds on seed labels and the audit papers at ``rows``."""
    taxonomy = case.data.taxonomy
    sample = [
        label_of(audit.gold, row, taxonomy).model_copy(update={"queue": "audit"}) for row in rows
    ]
    data = TrainingData.of([*case.data.labels, *sample], taxonomy)
    views = []
    for view in TEXT_VIEWS:
        scores = {
            name: np.concatenate([known, audit.scores[view][name][:, rows]], axis=1)
            for name, known in case.held_out[view].items()
        }
        views.append(calibrate_view(data, folds, scores, np.ones(len(folds))))
    return Fitted(data, views, calibrate_effort(data, folds, views))


def mean_logits(fitted: Fitted, facet: Facet, scores: Scores) -> Floats:
    """Return the logits of the mean over the calibrated views, shape (1, papers, tags)."""
    by_view = [
        calibrated_probabilities(facet, scores[name][facet.name], view.calibrations[facet.name])
        for name, view in zip(TEXT_VIEWS, fitted.views, strict=True)
    ]
    return logits_of(facet, np.mean(by_view, axis=0))[None]


def predict(fitted: Fitted, facet: Facet, scores: Scores) -> Floats:
    logits = mean_logits(fitted, facet, scores)
    return calibrated_probabilities(facet, logits, fitted.effort.calibrations[facet.name])


def draw_tags(facet: Facet, probabilities: Floats, rng: np.random.Generator) -> Booleans:
    """Draw the tags of each paper with these probabilities, shape (papers, tags)."""
    if not facet.exclusive:
        return rng.random(probabilities.shape) < probabilities
    below = rng.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)
    drawn = np.minimum(below.sum(axis=1), len(facet.tags) - 1)
    return np.asarray(drawn[:, None] == np.arange(len(facet.tags)))


def measure(fitted: Fitted, new: Arrived, rng: np.random.Generator) -> dict[str, float]:
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
    calibrations = fitted.effort.calibrations.items()
    # Tags with too few labels are never accepted, as by TaggerModel.rule.
    never = {name: dict.fromkeys(calibration.capped, NEVER) for name, calibration in calibrations}
    rule = ReviewRule(accept=never, thresholds=fitted.effort.thresholds)
    found: dict[str, float] = {}
    probabilities = {}
    for facet in taxonomy.facets:
        probabilities[facet.name] = predict(fitted, facet, new.scores)
        truth, threshold = new.gold.y_true[facet.name], rule.threshold(facet)
        figures = evaluate(facet, truth, probabilities[facet.name], threshold)
        for name in ("accuracy" if facet.exclusive else "micro_f1", "calibration_error"):
            found[f"{facet.name} {name}"] = figures[name]
        drawn = draw_tags(facet, probabilities[facet.name], rng)
        exact = evaluate(facet, drawn, probabilities[facet.name], threshold)
        found[f"{facet.name} calibration error, were they exact"] = exact["calibration_error"]
    for target in TARGETS:
        reached = reach_precision(reference, taxonomy, target, rule).rule
        right = accepted = given = 0
        for facet in taxonomy.facets:
            tags = rule.predict_labels(facet, probabilities[facet.name])
            taken = tags & ~reached.doubted_tags(facet, probabilities[facet.name])
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


def measured(case: Case, seed: int, draws: int) -> dict[str, Figures]:
    """Return all figures of a seed by the size of the audit sample."""
    rng, drawn = np.random.default_rng(seed), np.random.default_rng(seed)
    found: dict[str, Figures] = {}
    for size in SIZES:
        figures: Figures = defaultdict(list)
        for one, other in (tuple(SETS), tuple(SETS)[::-1]):
            for _ in range(draws if size else 1):
                rows = rng.choice(len(case.arrived[one].gold.papers), size, replace=False)
                own = rng.permutation(np.arange(size) % (case.folds.max() + 1))
                folds = np.concatenate([case.folds, own])
                fitted = fit(case, case.arrived[one], rows, folds)
                for name, value in measure(fitted, case.arrived[other], drawn).items():
                    figures[name].append(value)
        found[str(size)] = dict(figures)
        print(f"seed {seed}: {size} audit labels", json.dumps(found[str(size)]), flush=True)
    found["scale"] = scales(case)
    return found


def scales(case: Case) -> Figures:
    """Return the scale of the calibration on papers that arrived, as a share of that on seeds.

    It is that of the mean over views, whose own calibrations are those of the seed labels.
    """
    seeds = fit(case, case.arrived["pool"], np.zeros(0, dtype=int), case.folds)
    found: Figures = defaultdict(list)
    for facet in case.data.taxonomy.facets:
        of_seeds = seeds.effort.calibrations[facet.name].scale / SHRINKAGE
        for each in case.arrived.values():
            logits = mean_logits(seeds, facet, each.scores)
            real = fit_calibration(facet, each.gold.y_true[facet.name], logits)
            found[facet.name].append(real.scale / of_seeds)
    return dict(found)


def simulated(tags: int, target: float, samples: int) -> dict[str, float | None]:
    """Return how often the target is kept if confidences are right as often as they say."""
    rng = np.random.default_rng(0)
    population = np.sort(rng.beta(5, 0.8, 200_000))[::-1]
    precision = np.cumsum(population) / np.arange(1, len(population) + 1)
    kept: list[bool] = []
    accepted: list[float] = []
    for _ in range(samples):
        confidence = rng.choice(population, tags)
        threshold = least_confidence(confidence, rng.random(tags) < confidence, target)
        count = int(np.searchsorted(-population, -threshold, side="right"))
        accepted.append(count / len(population))
        if threshold < NEVER and count:
            kept.append(bool(precision[count - 1] >= target))
    return {
        "accepts something": len(kept) / samples,
        "kept, of these": float(np.mean(kept)) if kept else None,
        "coverage": float(np.mean(accepted)),
    }


def main() -> None:
    options = read_options(
        __doc__, in_process=True, seeds=(5, 1), draws=(20, 1), simulated=(10_000, 100)
    )
    # A run that was interrupted goes on with the seeds that are there.
    tree = options.state["tagger"]
    kept = Memory(options.cache / "trust" if tree else None, verbose=0).cache(train_case)
    cases = [kept(seed, options.quick, tree) for seed in range(options.seeds)]
    found = [measured(case, seed, options.draws) for seed, case in enumerate(cases)]
    simulation = {
        f"{tags} tags, target {target}": simulated(tags, target, options.simulated)
        for tags in (50, 100, 200, 400)
        for target in TARGETS
    }
    page = table(found, simulation, options.draws) + (
        f"Models are trained on {len(cases[0].data.labels)} seed labels, not on the audit sample. "
        f"Simulated: {options.simulated:,} audit samples of tags whose confidences are right as "
        "often as they say."
    )
    write_result(options, "trust", {"measured": found, "simulated": simulation}, page)


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
            "Settings were chosen on dev and dev2. Precision is that of the runs that accept "
            "something. 'Were they exact': tags drawn with the probabilities that the model gives, "
            "for as many papers. The scale of the calibration on papers that arrive is "
            f"{min(ratios):.2f} to {max(ratios):.2f} of that on seed labels. ",
        ]
    )


if __name__ == "__main__":
    main()
