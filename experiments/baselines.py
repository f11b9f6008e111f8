"""How does the shipped model compare with simpler ones, all trained on the same seed labels?

Trained on labels/seed.jsonl, measured on the 210 papers of ../shared/gold, all in one run:

    python experiments/baselines.py

writes experiments/results/baselines.md (the table of the README) and baselines.json.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gold import RESULTS, ROOT, bootstrap_interval, machine, read_gold
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from tagger.labels import LabelStore
from tagger.papers import Paper

Booleans = npt.NDArray[np.bool_]
Predict = Callable[[Sequence[Paper]], dict[str, Booleans]]
Fit = Callable[[Sequence[Paper], dict[str, Booleans]], Predict]

STORE = LabelStore(ROOT / "labels")
TAXONOMY = STORE.taxonomy
PER_CLASS = 8

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


def fit_majority(_papers: Sequence[Paper], y_true: dict[str, Booleans]) -> Predict:
    """The commonest contribution, and each domain tag that most papers have (none)."""

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


def fit_keywords(_papers: Sequence[Paper], _truth: dict[str, Booleans]) -> Predict:
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


def fit_linear(embed: Callable[[list[str]], object]) -> Fit:
    """Logistic regression on fixed features."""

    def fit(papers: Sequence[Paper], y_true: dict[str, Booleans]) -> Predict:
        features = embed(texts_of(papers))

        def classifier(answers: npt.NDArray[np.generic]) -> LogisticRegression:
            return LogisticRegression(C=10.0, max_iter=2000, class_weight="balanced").fit(
                features, answers
            )

        fitted = {
            facet.name: classifier(y_true[facet.name].argmax(axis=1))
            if facet.exclusive
            else [classifier(column) for column in y_true[facet.name].T]
            for facet in TAXONOMY.facets
        }

        def predict(papers: Sequence[Paper]) -> dict[str, Booleans]:
            features = embed(texts_of(papers))
            answers = {}
            for facet in TAXONOMY.facets:
                heads = fitted[facet.name]
                if facet.exclusive:
                    answers[facet.name] = one_hot(heads.predict(features), len(facet.tags))
                else:
                    answers[facet.name] = np.stack([h.predict(features) for h in heads], axis=1)
            return answers

        return predict

    return fit


def fit_tfidf(papers: Sequence[Paper], y_true: dict[str, Booleans]) -> Predict:
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(texts_of(papers))
    return fit_linear(vectorizer.transform)(papers, y_true)


def fit_frozen(papers: Sequence[Paper], y_true: dict[str, Booleans]) -> Predict:
    from tagger.model import DEFAULT_MAX_TOKENS
    from tagger.training import BUNDLED_ENCODER, TorchEncoder, load_trainable

    encoder = TorchEncoder(load_trainable(BUNDLED_ENCODER, DEFAULT_MAX_TOKENS))
    return fit_linear(encoder.encode)(papers, y_true)


def fit_setfit(papers: Sequence[Paper], y_true: dict[str, Booleans]) -> Predict:
    """SetFit as it comes, one model a facet, on at most 8 labels a tag."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    from tagger.training import bundled_encoder_folder

    rng = np.random.default_rng(0)
    models = {}
    for facet in TAXONOMY.facets:
        rows: set[int] = set()
        for column in y_true[facet.name].T:
            holders = rng.permutation(np.flatnonzero(column))
            rows.update(int(row) for row in holders[:PER_CLASS])
        chosen = sorted(rows)
        strategy = {} if facet.exclusive else {"multi_target_strategy": "one-vs-rest"}
        model = SetFitModel.from_pretrained(str(bundled_encoder_folder()), **strategy)
        answers = y_true[facet.name][chosen]
        labels = (
            answers.argmax(axis=1).tolist() if facet.exclusive else answers.astype(int).tolist()
        )
        with tempfile.TemporaryDirectory() as scratch:
            trainer = Trainer(
                model=model,
                args=TrainingArguments(
                    output_dir=scratch, seed=0, report_to="none", save_strategy="no"
                ),
                train_dataset=Dataset.from_dict(
                    {"text": [papers[row].text for row in chosen], "label": labels}
                ),
            )
            trainer.train()
        models[facet.name] = model

    def predict(papers: Sequence[Paper]) -> dict[str, Booleans]:
        answers = {}
        for facet in TAXONOMY.facets:
            given = np.asarray(models[facet.name].predict(texts_of(papers), as_numpy=True))
            answers[facet.name] = (
                one_hot(given, len(facet.tags)) if facet.exclusive else given.astype(bool)
            )
        return answers

    return predict


def fit_shipped(_papers: Sequence[Paper], _truth: dict[str, Booleans]) -> Predict:
    """What ``tagger train`` makes and ``tagger tag`` uses, cross-validation included."""
    from tagger.evaluation import predict_labels
    from tagger.training import TrainingSettings, train

    with tempfile.TemporaryDirectory() as scratch:
        result = train(STORE.labels(), TAXONOMY, TrainingSettings(), Path(scratch) / "model")
    model = result.model

    def predict(papers: Sequence[Paper]) -> dict[str, Booleans]:
        probabilities = model.predict_proba(papers)
        return {
            name: predict_labels(head.facet, probabilities[name])
            for name, head in model.heads.items()
        }

    return predict


METHODS: dict[str, Fit] = {
    "majority": fit_majority,
    "keyword rules": fit_keywords,
    "TF-IDF + logistic regression": fit_tfidf,
    "frozen MiniLM + logistic regression": fit_frozen,
    f"stock SetFit, {PER_CLASS} labels a tag": fit_setfit,
    "tagger": fit_shipped,
}


def main() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    labels = STORE.labels()
    gold = read_gold(TAXONOMY)
    papers = [label.paper for label in labels]
    y_true = {
        facet.name: np.array(
            [[tag in label.tags[facet.name] for tag in facet.tag_names] for label in labels]
        )
        for facet in TAXONOMY.facets
    }
    rows = []
    for name, fit in METHODS.items():
        begin = time.perf_counter()
        predict = fit(papers, y_true)
        trained = time.perf_counter() - begin
        begin = time.perf_counter()
        answers = predict(gold.papers)
        tagged = time.perf_counter() - begin
        row = {
            "method": name,
            "seconds to train": trained,
            "abstracts/s": len(gold.papers) / tagged,
        }
        row |= figures(gold.y_true, answers)
        rows.append(row)
        print(json.dumps(row), flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "baselines.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "baselines.md").write_text(as_table(rows, len(labels)), encoding="utf-8")


def figures(y_true: dict[str, Booleans], answers: dict[str, Booleans]) -> dict[str, object]:
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


def as_table(rows: list[dict[str, object]], labels: int) -> str:
    lines = [
        "| | contribution accuracy | contribution macro-F1 | domain micro-F1 "
        "| seconds to train | abstracts/s |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        macro, micro = (
            "{:.2f} ({:.2f} to {:.2f})".format(row[name], *row[f"{name} interval"])
            for name in ("macro-F1", "micro-F1")
        )
        speed = row["abstracts/s"]
        shown = f"{speed:.0f}" if speed < 10_000 else "over 10,000"
        lines.append(
            f"| {row['method']} | {row['accuracy']:.2f} | {macro} | {micro} "
            f"| {row['seconds to train']:.0f} | {shown} |"
        )
    lines.append("")
    lines.append(
        f"Trained on the {labels} seed labels, measured on 210 labelled papers, with 95% bootstrap "
        f"intervals; one run on {machine()}. tagger's training time includes 5-fold "
        "cross-validation and the learning curve."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
