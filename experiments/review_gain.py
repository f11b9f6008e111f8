"""What do reviewed papers bring, and do the project's own figures say so?

A model is trained on the written seed labels. Then it is updated with 0, 20, 40, 80 and 160
reviewed papers, as ``tagger train --heads-only`` updates the model that ships with tagger: the
encoder stays, the heads are fitted again. The reviewed papers are those of labels/real.jsonl that
were sampled at random; their abstracts are in ../shared. In each of five orders, half of them can
be reviewed and the others are the test papers. A strategy picks 20 papers a round.

    python experiments/review_gain.py            # writes experiments/results/review_gain.*
    python experiments/review_gain.py --orders 1  # a quicker look
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from gold import RESULTS, ROOT, SHARED, machine

from tagger.cli import output
from tagger.evaluation import evaluate
from tagger.labels import Label, LabelStore
from tagger.model import TaggerModel, VectorCache, load_model
from tagger.review import load_strategy
from tagger.review.strategies.base import Pool
from tagger.taxonomy import Taxonomy
from tagger.training import TrainingData, TrainingSettings, default_encoder_cache, train, update

CACHE = Path(__file__).parent / "cache" / "review_gain"
COUNTS = (0, 20, 40, 80, 160)
BATCH = 20
STRATEGIES = ("random", "uncertainty")
FIGURES = {"contribution": ("accuracy", "macro_f1"), "domain": ("micro_f1", "macro_f1")}


def base_model(labels: list[Label], taxonomy: Taxonomy) -> Path:
    """Train the model of the seed labels, or return that of an earlier run."""
    folder = CACHE / TrainingSettings().fingerprint(taxonomy, labels)[:12]
    if not (folder / "model.json").exists():
        with output.progress() as step:
            train(labels, taxonomy, TrainingSettings(), folder, step, cache=default_encoder_cache())
    return folder


def measure(model: TaggerModel, test: TrainingData) -> dict[str, float]:
    predictions = model.predict(test.papers()).probabilities
    found = {}
    for facet in test.taxonomy.facets:
        rows = test.annotated[facet.name]
        figures = evaluate(
            facet,
            test.y_true[facet.name][rows],
            predictions[facet.name][rows],
            model.thresholds[facet.name],
        )
        for name in (*FIGURES[facet.name], "calibration_error"):
            found[f"{facet.name} {name}"] = figures[name]
    found["mean of accuracy and micro_f1"] = float(
        np.mean([found["contribution accuracy"], found["domain micro_f1"]])
    )
    return found


def simulate(
    base: Path, real: list[Label], taxonomy: Taxonomy, strategy: str, order: int, vectors: Path
) -> dict[int, dict[str, float]]:
    """Return the figures on the test papers by the number of reviewed papers."""
    rng = np.random.default_rng(order)
    shuffled = [real[index] for index in rng.permutation(len(real))]
    pool, test = shuffled[: len(real) // 2], TrainingData.of(shuffled[len(real) // 2 :], taxonomy)
    cache, reviewed = VectorCache(vectors), []
    found = {0: measure(load_model(base, cache=cache), test)}
    with TemporaryDirectory() as scratch:
        folder = base
        while len(reviewed) < max(COUNTS):
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
            if len(reviewed) not in COUNTS and strategy == "random":
                continue
            folder = Path(scratch) / str(len(reviewed))
            result = update(base, reviewed, taxonomy, TrainingSettings(), folder)
            if len(reviewed) in COUNTS:
                found[len(reviewed)] = measure(load_model(folder, cache=cache), test) | {
                    f"own {name}": value
                    for name, value in result.metrics.items()
                    if name in ("contribution/accuracy", "domain/micro_f1")
                }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=5)
    options = parser.parse_args()
    store = LabelStore(ROOT / "labels", output.read_texts([SHARED / "gold", SHARED / "digests"]))
    snapshot = store.snapshot()
    seeds = [label for label in snapshot.labels if not label.arrived]
    real = [label for label in snapshot.labels if label.audited]
    base = base_model(seeds, snapshot.taxonomy)
    found: dict[str, list[dict[int, dict[str, float]]]] = defaultdict(list)
    for order in range(options.orders):
        for strategy in STRATEGIES:
            simulated = simulate(
                base, real, snapshot.taxonomy, strategy, order, CACHE / "vectors.sqlite"
            )
            found[strategy].append(simulated)
            print(order, strategy, json.dumps(simulated), flush=True)
    (RESULTS / "review_gain.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    page = table(found, len(seeds), len(real))
    (RESULTS / "review_gain.md").write_text(page, encoding="utf-8")
    print(page)


def table(found: dict[str, list[dict[int, dict[str, float]]]], seeds: int, papers: int) -> str:
    lines = [f"| reviewed papers | {' | '.join(map(str, COUNTS))} |"]
    lines.append("|---" * (len(COUNTS) + 1) + "|")
    for strategy, orders in found.items():
        for name in orders[0][max(COUNTS)]:
            cells = []
            for count in COUNTS:
                values = [order[count][name] for order in orders if name in order[count]]
                spread = f" ± {np.std(values):.3f}" if values else ""
                cells.append(f"{np.mean(values):.3f}{spread}" if values else "-")
            lines.append(f"| {strategy}: {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            f"A model of {seeds} seed labels, updated with reviewed papers; means and standard "
            f"deviations over {len(orders)} orders, measured on half of {papers} papers that were "
            "sampled at random. 'own': the figures of the update itself, on the reviewed papers. "
            f"On {machine()}.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
