"""How long does training take beside stock SetFit, and which of the two tags better?

40, 100 and 210 labels: seed labels, kinds in turns, and of the 210 papers of ../shared/gold sixty
more for the last. Both are asked about the other 150 papers. tagger trains as ``tagger train``
does, cross-validation, calibration and learning curve included, and both facets; SetFit as it
comes, and the exclusive facet alone, so it has the lesser task. Where SetFit would train on more
pairs than `--most-steps` batches hold, so many are timed and the time of all is worked out, and
there is no F1.

    python experiments/training_speed.py  # writes experiments/results/training_speed.*
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gold import RESULTS, ROOT, Gold, label_of, machine, read_gold

from tagger.evaluation import evaluate
from tagger.labels import Label, LabelStore
from tagger.taxonomy import Facet, Taxonomy
from tagger.training import TrainingData, TrainingSettings, train

SIZES = (40, 100, 210)
ASKED = 150
SETFIT_BATCH = 16


def labels_of_size(size: int, seeds: list[Label], more: list[Label], facet: str) -> list[Label]:
    """Return so many labels, each tag's in turns, the seeds first."""
    by_tag: dict[str, list[Label]] = {}
    for label in seeds:
        by_tag.setdefault(label.tags[facet][0], []).append(label)
    turns = [
        group[turn] for turn in range(len(seeds)) for group in by_tag.values() if turn < len(group)
    ]
    return (turns + more)[:size]


def measure_tagger(
    labels: list[Label], taxonomy: Taxonomy, gold: Gold, asked: npt.NDArray[np.int_]
) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as scratch:
        result = train(labels, taxonomy, TrainingSettings(), Path(scratch) / "model")
        probabilities = result.model.predict_proba([gold.papers[row] for row in asked])
    f1 = {
        facet.name: f1_of(facet, gold.y_true[facet.name][asked], probabilities[facet.name])
        for facet in taxonomy.facets
    }
    return {"seconds": result.seconds, "f1": f1}


def f1_of(
    facet: Facet, y_true: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float64]
) -> float:
    return evaluate(facet, y_true, probabilities)["macro_f1" if facet.exclusive else "micro_f1"]


def measure_setfit(
    data: TrainingData,
    facet: Facet,
    gold: Gold,
    asked: npt.NDArray[np.int_],
    most_steps: int,
    timed_steps: int,
) -> dict[str, object]:
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments
    from setfit.sampler import ContrastiveDataset

    from tagger.training import bundled_encoder_folder

    texts = [label.paper.text for label in data.labels]
    answers = data.y_true[facet.name].argmax(axis=1).tolist()
    pairs = len(ContrastiveDataset(texts, answers, multilabel=False))
    steps = math.ceil(pairs / SETFIT_BATCH)
    whole = steps <= most_steps
    model = SetFitModel.from_pretrained(str(bundled_encoder_folder()))
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=scratch,
                batch_size=SETFIT_BATCH,
                max_steps=-1 if whole else timed_steps,
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
    share = 1 if whole else timed_steps / steps
    seconds = (middle - begin) / share + end - middle
    found: dict[str, object] = {"pairs": pairs, "steps": steps, "whole": whole, "seconds": seconds}
    if not whole:
        return found
    given = model.predict_proba([gold.papers[row].text for row in asked], as_numpy=True)
    probabilities = np.zeros((len(asked), len(facet.tags)))
    probabilities[:, np.unique(answers)] = given
    f1 = f1_of(facet, gold.y_true[facet.name][asked], probabilities)
    return {**found, "f1": {facet.name: f1}}


def write(rows: list[dict], taxonomy: Taxonomy, facet: str) -> None:
    names = [each.name for each in taxonomy.facets]
    lines = [
        "| labels | | seconds to train | times tagger's | "
        + " | ".join(f"{name} F1" for name in names)
        + " |",
        "|---|---|---|---|" + "---|" * len(names),
    ]
    for row in rows:
        ours = row["tagger"]["seconds"]
        for method, title in (("tagger", "tagger, all facets"), ("SetFit", f"SetFit, {facet}")):
            one = row[method]
            f1 = one.get("f1", {})
            cells = [f"{f1[name]:.3f}" if name in f1 else "" for name in names]
            about = "" if one.get("whole", True) else "about "
            lines.append(
                f"| {row['labels']} | {title} | {about}{one['seconds']:,.0f} "
                f"| {one['seconds'] / ours:.1f} | {' | '.join(cells)} |"
            )
    text = "\n".join(
        [
            *lines,
            "",
            f"F1 (macro for {facet}, else micro) on the same {ASKED} papers of real digests. With "
            "tagger, cross-validation, calibration and learning curve are in the time. "
            f"'About': worked out from part of the batches. One run on {machine()}.",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "training_speed.md").write_text(text + "\n", encoding="utf-8")
    stored = json.dumps(rows, indent=1) + "\n"
    (RESULTS / "training_speed.json").write_text(stored, encoding="utf-8")
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most-steps", type=int, default=700, help="of SetFit, trained in full")
    parser.add_argument("--timed-steps", type=int, default=40, help="of SetFit, where only timed")
    options = parser.parse_args()
    store = LabelStore(ROOT / "labels")
    taxonomy = store.taxonomy
    gold = read_gold(taxonomy)
    order = np.random.default_rng(0).permutation(len(gold.papers))
    asked, further = order[:ASKED], order[ASKED:]
    more = [label_of(gold, int(row), taxonomy) for row in further]
    facet = next(facet for facet in taxonomy.facets if facet.exclusive)
    rows = []
    for size in SIZES:
        labels = labels_of_size(size, store.labels(), more, facet.name)
        data = TrainingData.of(labels, taxonomy)
        row = {
            "labels": size,
            "tagger": measure_tagger(labels, taxonomy, gold, asked),
            "SetFit": measure_setfit(
                data, facet, gold, asked, options.most_steps, options.timed_steps
            ),
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
        write(rows, taxonomy, facet.name)


if __name__ == "__main__":
    main()
