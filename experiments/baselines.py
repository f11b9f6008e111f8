"""How does the default recipe compare with others, and with rules, on the same labels?

Trained on the labels in labels/ that have a text, measured on dev and dev2 of ../shared/gold, all
in one run; training_speed.py and speed.py measure time:

    python experiments/baselines.py  # writes experiments/results/baselines.*
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gold import bootstrap_interval, read_gold, settings_of, some
from record import ROOT, read_options, write_result
from sklearn.metrics import accuracy_score, f1_score
from stock_setfit import PAIRS, train_setfit

from tagger.evaluation import predict_labels
from tagger.labels import Label, LabelStore
from tagger.model import TaggerModel
from tagger.papers import Paper
from tagger.training import TrainingData, epochs_of, train

Booleans = npt.NDArray[np.bool_]
Predict = Callable[[Sequence[Paper]], dict[str, Booleans]]
Fit = Callable[[list[Label], bool], Predict]
"""Labels to learn from, and whether it has to be quick."""

SETS = ("dev", "dev2")
STORE = LabelStore(ROOT / "labels")
TAXONOMY = STORE.taxonomy

# One or two tell-tale patterns a tag, written down before looking at any result.
KEYWORDS = {
    "survey": r"\bsurvey|\breview\b|overview|tutorial",
    "benchmark": r"benchmark|dataset|corpus|test suite|shared task",
    "model": r"technical report|language model for|open models|we release .*model",
    "study": r"\bstudy\b|investigat|empirical|analysis|we find",
    "medical": r"medic|clinical|health|biomed|patient",
    "legal": r"\blegal|\blaw\b|court|contract",
    "multilingual": r"multilingual|cross-lingual|translation|low-resource language",
    "finance": r"financ|stock|bank",
    "code": r"\bcode\b|programming|software|sql",
    "math": r"math|theorem|arithmetic",
    "science": r"scien|chemis|physic|telecom|scholarly",
    "vision": r"\bimage|vision|visual|video",
    "speech": r"speech|audio|spoken",
    "recommendation": r"recommend|e-commerce|shopping",
    "security": r"privacy|unlearning|attack|adversar|machine-generated|safety",
    "agents": r"\bagent|tool use|tool learning|planning",
    "retrieval": r"retriev|search|rerank",
}


def texts_of(papers: Sequence[Paper]) -> list[str]:
    return [paper.text for paper in papers]


def one_hot(column: npt.NDArray[np.int_], tags: int) -> Booleans:
    return np.eye(tags, dtype=bool)[column]


def fit_majority(labels: list[Label], _quick: bool) -> Predict:
    """The commonest contribution, and each domain tag that most papers have (none)."""
    y_true = TrainingData.of(labels, TAXONOMY).y_true

    def predict(papers: Sequence[Paper]) -> dict[str, Booleans]:
        answers = {}
        for facet in TAXONOMY.facets:
            share = y_true[facet.name].mean(axis=0)
            answer = (
                one_hot(share.argmax()[None], len(share))[0] if facet.exclusive else share > 0.5
            )
            answers[facet.name] = np.tile(answer, (len(papers), 1))
        return answers

    return predict


def fit_keywords(_labels: list[Label], _quick: bool) -> Predict:
    """The first contribution whose words occur, else method; every domain whose words occur."""

    def predict(papers: Sequence[Paper]) -> dict[str, Booleans]:
        answers = {}
        for facet in TAXONOMY.facets:
            found = np.array(
                [
                    [
                        tag in KEYWORDS and bool(re.search(KEYWORDS[tag], text, re.IGNORECASE))
                        for tag in facet.tag_names
                    ]
                    for text in texts_of(papers)
                ]
            )
            if facet.exclusive:
                found[~found.any(axis=1), facet.tag_names.index("method")] = True
                found = one_hot(found.argmax(axis=1), len(facet.tags))
            answers[facet.name] = found
        return answers

    return predict


def fit_setfit(labels: list[Label], quick: bool) -> Predict:
    """Train a SetFit model for each facet, with its own trainer and classifiers."""
    y_true = TrainingData.of(labels, TAXONOMY).y_true
    texts = texts_of([label.paper for label in labels])
    models = {
        facet.name: train_setfit(texts, y_true[facet.name], exclusive=facet.exclusive, quick=quick)
        for facet in TAXONOMY.facets
    }

    def predict(papers: Sequence[Paper]) -> dict[str, Booleans]:
        answers = {}
        for facet in TAXONOMY.facets:
            found = np.asarray(models[facet.name].predict(texts_of(papers), as_numpy=True))
            answers[facet.name] = (
                one_hot(found, len(facet.tags)) if facet.exclusive else found.astype(bool)
            )
        return answers

    return predict


def fit_recipe(recipe: str) -> Fit:
    """What ``tagger train --recipe`` makes and ``tagger tag`` uses, cross-validation included."""

    def fit(labels: list[Label], quick: bool) -> Predict:
        # SetFit's loss trains all layers, which takes long: fewer folds.
        stock = recipe == "setfit-supcon"
        settings = settings_of(
            quick,
            recipe=recipe,
            epochs=epochs_of(recipe),
            folds=2 if stock else 5,
            title_views=not stock,
        )
        with tempfile.TemporaryDirectory() as scratch:
            model = train(labels, TAXONOMY, settings, Path(scratch) / "model").model
        return partial(tags_of, model)

    return fit


def tags_of(model: TaggerModel, papers: Sequence[Paper]) -> dict[str, Booleans]:
    """Return the tags that a model gives in each facet, shape (papers, tags)."""
    probabilities = model.predict_proba(papers)
    return {
        name: predict_labels(head.facet, probabilities[name], model.thresholds[name])
        for name, head in model.heads.items()
    }


METHODS: dict[str, Fit] = {
    "majority": fit_majority,
    "keyword rules": fit_keywords,
    "zero-shot, from definitions": fit_recipe("zero-shot"),
    "TF-IDF + logistic regression": fit_recipe("tfidf"),
    "frozen MiniLM + logistic regression": fit_recipe("frozen"),
    "SetFit, pairs": fit_setfit,
    "SetFit, its loss without pairs": fit_recipe("setfit-supcon"),
    "tagger": fit_recipe("contrastive"),
}


def main() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    options = read_options(__doc__, in_process=True)
    labels = some(STORE.labels(), options.quick)
    sets = {name: read_gold(TAXONOMY, name) for name in SETS}
    rows: list[dict[str, Any]] = []
    for name, fit in METHODS.items():
        begin = time.perf_counter()
        predict = fit(labels, options.quick)
        row: dict[str, Any] = {"method": name, "seconds to train": time.perf_counter() - begin}
        row |= {place: figures(gold.y_true, predict(gold.papers)) for place, gold in sets.items()}
        rows.append(row)
        print(json.dumps(row), flush=True)
    write_result(options, "baselines", rows, as_table(rows, len(labels)))


def figures(y_true: dict[str, Booleans], answers: dict[str, Booleans]) -> dict[str, object]:
    """Return accuracy and macro-F1 of the contribution and micro-F1 of the domain."""
    contribution, domain = y_true["contribution"], y_true["domain"]
    given, fields = answers["contribution"], answers["domain"]
    number = contribution.shape[1]

    def macro(rows: npt.NDArray[np.int_]) -> float:
        pair = contribution[rows].argmax(axis=1), given[rows].argmax(axis=1)
        return float(f1_score(*pair, average="macro", labels=range(number), zero_division=0))

    def micro(rows: npt.NDArray[np.int_]) -> float:
        return float(f1_score(domain[rows], fields[rows], average="micro", zero_division=0))

    everything = np.arange(len(contribution))
    return {
        "accuracy": float(accuracy_score(contribution, given)),
        "macro-F1": macro(everything),
        "macro-F1 interval": bootstrap_interval(macro, len(everything)),
        "micro-F1": micro(everything),
        "micro-F1 interval": bootstrap_interval(micro, len(everything)),
    }


def as_table(rows: list[dict[str, Any]], labels: int) -> str:
    lines = [
        "| | papers | contribution accuracy | contribution macro-F1 | domain micro-F1 |",
        "|---|---|---|---|---|",
    ]
    for row, place in product(rows, SETS):
        found = row[place]
        macro, micro = (
            "{:.2f} ({:.2f} to {:.2f})".format(found[name], *found[f"{name} interval"])
            for name in ("macro-F1", "micro-F1")
        )
        lines.append(f"| {row['method']} | {place} | {found['accuracy']:.2f} | {macro} | {micro} |")
    lines.append("")
    lines.append(
        f"Trained on the {labels} seed labels, measured on 210 papers (dev) and 119 (dev2), with "
        f"95% bootstrap intervals. Settings were chosen on both sets, so figures on other "
        "papers will be a little lower. All but the first two and the definitions learn from the "
        "same papers with class weights. SetFit with pairs trains a model for each facet with its "
        f"own trainer, on {PAIRS} positive and {PAIRS} negative pairs for each paper. The others "
        "are recipes of tagger, with 5-fold cross-validation (SetFit's loss: 2-fold) for "
        "calibration and threshold. SetFit does not learn from titles as separate texts, as the "
        "others do."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
