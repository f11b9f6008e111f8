"""What do reviewed papers bring, and do the project's own figures say so?

A model is trained on the written seed labels. Then it is updated with 0, 20, 40, 80 and 160
reviewed papers, as ``tagger train --heads-only`` updates the model that ships with tagger: the
encoder stays, the heads are fitted again. With 80 and 160 papers, it is also trained anew, encoder
and all, on seed labels and reviewed papers together, in three orders. The reviewed papers are those
of labels/real.jsonl that were sampled at random; their abstracts are in ../shared. In each of five
orders, half of them can be reviewed and the others are the test papers. A strategy picks 20 papers
a round. Negative flips are test papers whose tags were all right before the first review and are
not any more.

    python experiments/review_gain.py  # writes experiments/results/review_gain.*
"""

from __future__ import annotations

from argparse import Namespace
from collections import defaultdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from gold import settings_of, some
from record import ROOT, part, published_papers, read_options, write_result

from tagger._util.arrays import Booleans
from tagger.evaluation import evaluate, predict_labels
from tagger.labels import Label, LabelStore
from tagger.model import TaggerModel, VectorCache, load_model
from tagger.review import load_strategy
from tagger.review.strategies.base import Pool
from tagger.taxonomy import Taxonomy
from tagger.training import (
    TrainingData,
    TrainingResult,
    TrainingSettings,
    default_encoder_cache,
    train,
    update,
)

COUNTS = (0, 20, 40, 80, 160)
BATCH = 20
STRATEGIES = ("random", "uncertainty")
TRAINED_ANEW = "random, trained anew"
FIGURES = {"contribution": "accuracy", "domain": "micro_f1"}
FLIPS = "negative flips"
Figures = dict[str, dict[str, float]]
"""The figures by the number of reviewed papers."""


def base_model(
    labels: list[Label], taxonomy: Taxonomy, settings: TrainingSettings, cache: Path
) -> Path:
    """Train the model of the seed labels, or return that of an earlier run."""
    folder = cache / settings.fingerprint(taxonomy, labels)[:12]
    if not (folder / "model.json").exists():
        train(labels, taxonomy, settings, folder, cache=default_encoder_cache())
    return folder


def measure(model: TaggerModel, test: TrainingData) -> tuple[dict[str, float], Booleans]:
    """Return the figures of a model, and of each paper whether all its tags are right."""
    predictions = model.predict(test.papers()).probabilities
    found, right = {}, np.ones(len(test.labels), dtype=bool)
    for facet in test.taxonomy.facets:
        name, threshold = facet.name, model.thresholds[facet.name]
        y_true, probabilities = test.y_true[name], predictions[name]
        figures = evaluate(facet, y_true, probabilities, threshold)
        for key in (FIGURES[name], "macro_f1", "calibration_error"):
            found[f"{name} {key}"] = figures[key]
        right &= (predict_labels(facet, probabilities, threshold) == y_true).all(axis=1)
    return found, right


def simulate(
    base: Path,
    real: list[Label],
    taxonomy: Taxonomy,
    strategy: str,
    order: int,
    options: Namespace,
) -> dict[int, dict[str, float]]:
    """Return the figures on the test papers by the number of reviewed papers."""
    pool, test = split(real, taxonomy, order)
    cache, settings = VectorCache(base.parent / "vectors.sqlite"), settings_of(options.quick)
    counts = [count for count in COUNTS if count <= options.papers]
    reviewed: list[Label] = []
    figures, before = measure(load_model(base, cache=cache), test)
    found = {0: figures}
    with TemporaryDirectory() as scratch:
        folder = base
        while len(reviewed) < max(counts):
            places = list(range(min(BATCH, len(pool))))
            if strategy != "random":
                model = load_model(folder, cache=cache)
                papers = [label.paper for label in pool]
                predicted = model.predict(papers)
                known = model.encode([label.paper for label in reviewed])
                asked = Pool(papers, predicted, known, taxonomy)
                places = load_strategy(strategy).select(asked, BATCH)
            chosen = {pool[place].id for place in places}
            queue = "audit" if strategy == "random" else "uncertain"
            reviewed += [
                label.model_copy(update={"queue": queue}) for label in pool if label.id in chosen
            ]
            pool = [label for label in pool if label.id not in chosen]
            if len(reviewed) not in counts and strategy == "random":
                continue
            folder = Path(scratch) / str(len(reviewed))
            result = update(base, reviewed, taxonomy, settings, folder)
            if len(reviewed) in counts:
                model = load_model(folder, cache=cache)
                found[len(reviewed)] = measure_after(model, result, test, before)
    return found


def measure_after(
    model: TaggerModel, result: TrainingResult, test: TrainingData, before: Booleans
) -> dict[str, float]:
    """Measure a model: figures on ``test``, negative flips, and what its training logged."""
    figures, right = measure(model, test)
    own = {
        f"own {name} {key}": result.metrics[f"{name}/{key}"]
        for name, key in FIGURES.items()
        if f"{name}/{key}" in result.metrics
    }
    return {**figures, FLIPS: float((before & ~right).mean()), **own}


def train_anew(
    base: Path,
    seeds: list[Label],
    real: list[Label],
    taxonomy: Taxonomy,
    order: int,
    options: Namespace,
) -> dict[int, dict[str, float]]:
    """Return the same figures after trainings on seed labels and papers reviewed at random."""
    pool, test = split(real, taxonomy, order)
    figures, before = measure(load_model(base), test)
    found = {0: figures}
    # Each takes minutes.
    for count in [count for count in COUNTS if 0 < count <= options.papers][-2:]:
        reviewed = [label.model_copy(update={"queue": "audit"}) for label in pool[:count]]
        with TemporaryDirectory() as scratch:
            folder, settings = Path(scratch) / "model", settings_of(options.quick, folds=2)
            result = train([*seeds, *reviewed], taxonomy, settings, folder)
            found[count] = measure_after(load_model(folder), result, test, before)
    return found


def split(real: list[Label], taxonomy: Taxonomy, order: int) -> tuple[list[Label], TrainingData]:
    """Return the papers that can be reviewed, in the order of chance, and the test papers."""
    rng = np.random.default_rng(order)
    shuffled = [real[index] for index in rng.permutation(len(real))]
    half = len(real) // 2
    return shuffled[:half], TrainingData.of(shuffled[half:], taxonomy)


def main() -> None:
    options = read_options(__doc__, in_process=True, orders=(5, 1), anew=(3, 1), papers=(160, 20))
    store = LabelStore(ROOT / "labels", published_papers())
    snapshot = store.snapshot()
    seeds = some([label for label in snapshot.labels if not label.arrived], options.quick)
    real = some([label for label in snapshot.labels if label.audited], options.quick)
    settings = settings_of(options.quick)
    base = base_model(seeds, snapshot.taxonomy, settings, options.cache / "review_gain")
    taxonomy = snapshot.taxonomy
    found: dict[str, list[Figures]] = defaultdict(list)
    for order in range(options.orders):
        for strategy in STRATEGIES:
            work = partial(simulate, base, real, taxonomy, strategy, order, options)
            found[strategy].append(part(options, f"{order} {strategy}", work))
    for order in range(options.anew):
        work = partial(train_anew, base, seeds, real, taxonomy, order, options)
        found[TRAINED_ANEW].append(part(options, f"{order} {TRAINED_ANEW}", work))
    write_result(options, "review_gain", found, table(found, len(seeds), len(real)))


def table(found: dict[str, list[Figures]], seeds: int, papers: int) -> str:
    counts = list(found[STRATEGIES[0]][0])
    lines = [f"| reviewed papers | {' | '.join(map(str, counts))} |"]
    lines.append("|---" * (len(counts) + 1) + "|")
    for strategy, orders in found.items():
        for name in orders[0][counts[-1]]:
            # Of papers that a strategy chose, an update's own figures are too low.
            if "macro" in name or (strategy == "uncertainty" and name.startswith("own")):
                continue
            cells = []
            for count in counts:
                values = [order[count][name] for order in orders if name in order.get(count, {})]
                spread = f" ± {np.std(values):.3f}" if values else ""
                cells.append(f"{np.mean(values):.3f}{spread}" if values else "-")
            lines.append(f"| {strategy}: {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            f"A model of {seeds} seed labels, updated with reviewed papers, or trained anew with "
            "them in two folds; means and standard deviations "
            f"over {len(found['random'])} orders ({len(found[TRAINED_ANEW])} where trained anew), "
            f"measured on half of {papers} papers "
            "that were sampled at random. 'own': the figures of the update itself, on the reviewed "
            "papers. Negative flips: papers that were right before the first review and are wrong "
            "now, in at least one facet. Settings were chosen on a part of these papers.",
        ]
    )


if __name__ == "__main__":
    main()
