"""How long does training take beside stock SetFit, and which of the two tags better?

40, 100 and 210 of the seed labels, the tags of the contribution in turns. All are asked about 150
of the papers of dev in ../shared/gold. tagger trains as ``tagger train`` does, cross-validation and
calibration included, and both facets; so does the recipe with SetFit's loss without pairs. SetFit
with pairs is as it comes, and has the exclusive facet alone, so it has the lesser task. Where it
would train on more pairs than `--most-steps` batches hold, so many are timed and the time of all is
worked out, and there is no F1.

    python experiments/training_speed.py  # writes experiments/results/training_speed.*
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gold import Gold, encoder_folder, read_gold, settings_of
from record import ROOT, read_options, write_result

from tagger.evaluation import evaluate
from tagger.labels import Label, LabelStore
from tagger.taxonomy import Facet, Taxonomy
from tagger.training import TrainingData, epochs_of, train

SIZES = (40, 100, 210)
ASKED = 150
SETFIT_BATCH = 16
TITLES = {
    "contrastive": "tagger, all facets",
    "setfit-supcon": "SetFit's loss without pairs, all facets",
    "SetFit": "SetFit with pairs, contribution",
}


def labels_of_size(size: int, seeds: list[Label], facet: str) -> list[Label]:
    """Return so many labels, each tag's in turns."""
    by_tag: dict[str, list[Label]] = {}
    for label in seeds:
        by_tag.setdefault(label.tags[facet][0], []).append(label)
    labels = [
        group[turn] for turn in range(len(seeds)) for group in by_tag.values() if turn < len(group)
    ]
    return labels[:size]


def measure_recipe(
    recipe: str,
    labels: list[Label],
    taxonomy: Taxonomy,
    gold: Gold,
    asked: npt.NDArray[np.int_],
    quick: bool,
) -> dict[str, object]:
    settings = settings_of(quick, recipe=recipe, epochs=epochs_of(recipe))
    with tempfile.TemporaryDirectory() as scratch:
        result = train(labels, taxonomy, settings, Path(scratch) / "model")
        probabilities = result.model.predict_proba([gold.papers[row] for row in asked])
    f1 = {
        facet.name: f1_of(
            facet,
            gold.y_true[facet.name][asked],
            probabilities[facet.name],
            result.model.thresholds[facet.name],
        )
        for facet in taxonomy.facets
    }
    return {"seconds": result.seconds, "f1": f1}


def f1_of(
    facet: Facet,
    y_true: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.float64],
    threshold: float = 0.5,
) -> float:
    return evaluate(facet, y_true, probabilities, threshold)[
        "macro_f1" if facet.exclusive else "micro_f1"
    ]


def measure_setfit(
    data: TrainingData,
    facet: Facet,
    gold: Gold,
    asked: npt.NDArray[np.int_],
    options: Namespace,
) -> dict[str, object]:
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments
    from setfit.sampler import ContrastiveDataset

    texts = [label.paper.text for label in data.labels]
    answers = data.y_true[facet.name].argmax(axis=1).tolist()
    pairs = len(ContrastiveDataset(texts, answers, multilabel=False))
    steps = math.ceil(pairs / SETFIT_BATCH)
    whole = steps <= options.most_steps
    model = SetFitModel.from_pretrained(str(encoder_folder(options.quick)))
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=scratch,
                batch_size=SETFIT_BATCH,
                max_steps=-1 if whole else options.timed_steps,
                seed=0,
                report_to="none",
                save_strategy="no",
            ),
            train_dataset=Dataset.from_dict({"text": texts, "label": answers}),
        )
        # What Trainer.train does, in its two parts: only the first grows with the pairs.
        begin = time.perf_counter()
        trainer.train_embeddings(texts, answers, args=trainer.args)
        middle = time.perf_counter()
        trainer.train_classifier(texts, answers, args=trainer.args)
        end = time.perf_counter()
    share = 1 if whole else options.timed_steps / steps
    seconds = (middle - begin) / share + end - middle
    found: dict[str, object] = {"pairs": pairs, "steps": steps, "whole": whole, "seconds": seconds}
    if not whole:
        return found
    given = model.predict_proba([gold.papers[row].text for row in asked], as_numpy=True)
    probabilities = np.zeros((len(asked), len(facet.tags)))
    probabilities[:, np.unique(answers)] = given
    f1 = f1_of(facet, gold.y_true[facet.name][asked], probabilities)
    return {**found, "f1": {facet.name: f1}}


def table(rows: list[dict[str, Any]], taxonomy: Taxonomy, facet: str) -> str:
    names = [each.name for each in taxonomy.facets]
    lines = [
        "| labels | | seconds to train | times tagger's | "
        + " | ".join(f"{name} F1" for name in names)
        + " |",
        "|---|---|---|---|" + "---|" * len(names),
    ]
    for row in rows:
        ours = row[next(iter(TITLES))]["seconds"]
        for method, title in TITLES.items():
            one = row[method]
            f1 = one.get("f1", {})
            cells = [f"{f1[name]:.3f}" if name in f1 else "" for name in names]
            about = "" if one.get("whole", True) else "about "
            lines.append(
                f"| {row['labels']} | {title} | {about}{one['seconds']:,.0f} "
                f"| {one['seconds'] / ours:.1f} | {' | '.join(cells)} |"
            )
    return "\n".join(
        [
            *lines,
            "",
            f"F1 (macro for {facet}, else micro) on the same {ASKED} papers of dev, on which "
            "settings were chosen. Times of all facets include cross-validation and calibration. "
            "'About': worked out from part of the batches.",
        ]
    )


def main() -> None:
    options = read_options(__doc__, in_process=True, most_steps=(700, 1), timed_steps=(40, 1))
    store = LabelStore(ROOT / "labels")
    taxonomy = store.taxonomy
    gold = read_gold(taxonomy)
    asked = np.random.default_rng(0).permutation(len(gold.papers))[:ASKED]
    facet = next(facet for facet in taxonomy.facets if facet.exclusive)
    rows: list[dict[str, Any]] = []
    for size in SIZES[: 1 if options.quick else None]:
        labels = labels_of_size(size, store.labels(), facet.name)
        row: dict[str, Any] = {"labels": size}
        for recipe in ("contrastive", "setfit-supcon"):
            row[recipe] = measure_recipe(recipe, labels, taxonomy, gold, asked, options.quick)
        data = TrainingData.of(labels, taxonomy)
        row["SetFit"] = measure_setfit(data, facet, gold, asked, options)
        print(json.dumps(row), flush=True)
        rows.append(row)
    write_result(options, "training_speed", rows, table(rows, taxonomy, facet.name))


if __name__ == "__main__":
    main()
