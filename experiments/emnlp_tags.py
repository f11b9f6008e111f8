"""Few labels, many tags: how does tagger do on fields that its makers did not choose?

The 828 papers of EMNLP 2022 in ../shared/benchmarks, and the tags that 40 of them or more have. Of
each tag at least 8 or 16 papers are drawn for training, the rest is asked about. All methods get
the same papers, cut to 128 tokens.

Stock SetFit and FusionSent (Schopf et al., "Efficient Few-shot Learning for Multi-label
Classification of Scientific Documents with Many Classes", 2024) compare pairs, whose number grows
with the square of the papers: by their defaults they would take hours here. They see 10 of each
paper. FusionSent's part for labels takes batches of 16 in place of 1, and as many wrong tags of a
paper as it has right ones. Both keep the classifiers that they come with. FusionSent has a row only
where it is installed.

    pip install --no-deps fusionsent
    python experiments/emnlp_tags.py  # writes experiments/results/emnlp_tags.*
"""

from __future__ import annotations

import csv
import importlib.util
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gold import encoder_folder, settings_of
from record import SHARED, read_options, write_result
from stock_setfit import PAIRS, train_setfit

from tagger.evaluation import bootstrap_weights, interval, weighted_figures
from tagger.labels import Label
from tagger.papers import Paper
from tagger.taxonomy import Facet, Tag, Taxonomy
from tagger.training import epochs_of, train

FILE = SHARED / "benchmarks/emnlp22_nlp_taxonomy/emnlp22_papers_with_nlp_taxonomy_labels.csv"
LEAST_PAPERS = 40
PER_TAG = (8, 16)
TOKENS = 128
BATCH = 16
FOLDS = 3

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int_]
Answer = tuple[Floats, float]
"""Probabilities of shape (papers, tags), and the threshold."""
Method = Callable[[list[Paper], Booleans, list[Paper]], Answer]
"""Papers and tags to learn from, papers asked about."""
RECIPES = {
    "TF-IDF + logistic regression": "tfidf",
    "frozen MiniLM + logistic regression": "frozen",
    "SetFit, its loss without pairs": "setfit-supcon",
    "tagger": "contrastive",
}


def read() -> tuple[list[Paper], Booleans, list[str]]:
    from tokenizers import Tokenizer

    from tagger.model import TOKENIZER_FILE
    from tagger.training import bundled_encoder_folder

    tokenizer = Tokenizer.from_file(str(bundled_encoder_folder() / TOKENIZER_FILE))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.no_padding()

    def cut(title: str, abstract: str) -> Paper:
        paper = Paper(title, abstract)
        end = max(stop for _, stop in tokenizer.encode(paper.text).offsets)
        return Paper(title, abstract[: end - len(paper.text) or None])

    with FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    given = [[tag.strip() for tag in row["labels"].split(";")] for row in rows]
    counts = Counter(tag for tags in given for tag in set(tags))
    names = sorted(tag for tag, papers in counts.items() if papers >= LEAST_PAPERS)
    y_true = np.array([[tag in tags for tag in names] for tags in given])
    return [cut(row["title"], row["abstract"]) for row in rows], y_true, names


def draw(y_true: Booleans, per_tag: int, seed: int) -> Integers:
    """Draw papers until each tag has enough, the rarest tag first."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(y_true), dtype=bool)
    for column in y_true[:, np.argsort(y_true.sum(axis=0), kind="stable")].T:
        missing = per_tag - int((column & chosen).sum())
        if missing > 0:
            chosen[rng.permutation(np.flatnonzero(column & ~chosen))[:missing]] = True
    return np.flatnonzero(chosen)


def setfit(seed: int, quick: bool) -> Method:
    def method(papers: list[Paper], y_true: Booleans, asked: list[Paper]) -> Answer:
        texts = [[paper.text for paper in some] for some in (papers, asked)]
        model = train_setfit(
            texts[0],
            y_true,
            exclusive=False,
            quick=quick,
            seed=seed,
            tokens=TOKENS,
        )
        return np.asarray(model.predict_proba(texts[1], as_numpy=True), dtype=np.float64), 0.5

    return method


def fusionsent(seed: int, names: list[str], quick: bool) -> Method:
    def method(papers: list[Paper], y_true: Booleans, asked: list[Paper]) -> Answer:
        import fusionsent.trainer
        from datasets import Dataset
        from fusionsent import FusionSentModel, Trainer, TrainingArguments
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier
        from transformers.trainer_utils import set_seed

        fusionsent.trainer.ContrastiveDataset = _pairs_for_fusionsent()
        model = FusionSentModel._from_pretrained(model_id=str(encoder_folder(quick)))
        body = model.model_body
        for part in (body.setfit_model_body, body.label_embedding_model_body):
            part.max_seq_length = 32 if quick else TOKENS
        described = [[names[tag] for tag in np.flatnonzero(row)] for row in y_true]
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                batch_sizes=(BATCH, BATCH),
                num_iterations=1 if quick else PAIRS,
                sampling_strategies=("oversampling", "undersampling"),
                show_progress_bar=False,
            ),
            train_dataset=Dataset.from_dict(
                {
                    "text": [paper.text for paper in papers],
                    "label": y_true.astype(int).tolist(),
                    "label_description": described,
                }
            ),
        )
        # The trainer sets one of its own when it is made.
        set_seed(seed)
        trainer.train()
        merged = body.fusion_model_body
        merged.max_seq_length = 32 if quick else TOKENS
        vectors = [merged.encode([paper.text for paper in some]) for some in (papers, asked)]
        head = OneVsRestClassifier(LogisticRegression(class_weight="balanced")).fit(
            vectors[0], y_true
        )
        return np.asarray(head.predict_proba(vectors[1])), 0.5

    return method


def _pairs_for_fusionsent() -> type:
    """FusionSent is written for SetFit 1.0, whose pairs had another form than today's."""
    from sentence_transformers import InputExample
    from setfit.sampler import ContrastiveDataset

    class Pairs(ContrastiveDataset):
        def __init__(self, examples: list[Any], **options: object) -> None:
            texts = [example.texts[0] for example in examples]
            super().__init__(texts, [example.label for example in examples], **options)

        def __iter__(self) -> Iterator[InputExample]:
            for pair in super().__iter__():
                texts = [pair["sentence_1"], pair["sentence_2"]]
                yield InputExample(texts=texts, label=pair["label"])

    return Pairs


def recipe(name: str, seed: int, facet: Facet, quick: bool) -> Method:
    """What ``tagger train --recipe`` makes and ``tagger tag`` uses, cross-validation included."""

    def method(papers: list[Paper], y_true: Booleans, asked: list[Paper]) -> Answer:
        labels = [
            Label(
                id=paper.id,
                title=paper.title,
                text=paper.abstract,
                tags={facet.name: tuple(np.array(facet.tag_names)[row])},
                annotator="benchmark",
                time=datetime(2026, 1, 1, tzinfo=UTC),
                source="seed",
            )
            for paper, row in zip(papers, y_true, strict=True)
        ]
        given = {"max_tokens": TOKENS, "seed": seed, "folds": FOLDS, "epochs": epochs_of(name)}
        settings = settings_of(quick, recipe=name, **given)
        taxonomy = Taxonomy(name="emnlp", facets=(facet,))
        with tempfile.TemporaryDirectory() as scratch:
            model = train(labels, taxonomy, settings, Path(scratch)).model
            return model.predict_proba(asked)[facet.name], model.thresholds[facet.name]

    return method


def methods_of(seed: int, facet: Facet, quick: bool) -> dict[str, Method]:
    names = [tag.definition for tag in facet.tags]
    methods = {title: recipe(name, seed, facet, quick) for title, name in RECIPES.items()}
    methods["SetFit, pairs"] = setfit(seed, quick)
    if importlib.util.find_spec("fusionsent"):
        methods["FusionSent"] = fusionsent(seed, names, quick)
    return methods


def measure(
    facet: Facet, method: Method, papers: list[Paper], y_true: Booleans, known: Integers
) -> dict[str, Any]:
    """Train a method on the papers at ``known`` and return its figures on the others."""
    rest = np.setdiff1d(np.arange(len(papers)), known)
    weights = np.vstack([np.ones(len(rest)), bootstrap_weights(len(rest))])
    asked = [papers[row] for row in rest]
    probabilities, threshold = method([papers[row] for row in known], y_true[known], asked)
    found: dict[str, Any] = {"papers": len(known), "asked": len(rest)}
    figures = weighted_figures(facet, y_true[rest], probabilities, weights, threshold)
    for key in ("micro_f1", "macro_f1", "calibration_error"):
        found[key] = float(figures[key][0])
        found[f"{key}_interval"] = interval(figures[key][1:])
    return found


def main() -> None:
    options = read_options(__doc__, in_process=True, seeds=(1, 1))
    papers, y_true, names = read()
    tags = [Tag(name=f"tag-{n}", definition=name) for n, name in enumerate(names)]
    facet = Facet(name="field", definition="Field of study.", tags=tuple(tags))
    rows = []
    for per_tag in PER_TAG[: 1 if options.quick else None]:
        for seed in range(options.seeds):
            known = draw(y_true, per_tag, seed)
            methods = methods_of(seed, facet, options.quick)
            for name, method in methods.items():
                found = measure(facet, method, papers, y_true, known)
                rows.append({"method": name, "per_tag": per_tag, "seed": seed, **found})
                print(json.dumps(rows[-1]), flush=True)
    write_result(options, "emnlp_tags", rows, table(rows, names))


def table(rows: list[dict[str, Any]], names: list[str]) -> str:
    lines = [
        "| | labels a tag | micro-F1 | macro-F1 | calibration error |",
        "|---|---|---|---|---|",
    ]
    sizes = {row["per_tag"]: (row["papers"], row["asked"]) for row in rows}
    for per_tag in sizes:
        mine = [row for row in rows if row["per_tag"] == per_tag]
        for name in dict.fromkeys(row["method"] for row in mine):
            found = [row for row in mine if row["method"] == name]
            cells = []
            for key in ("micro_f1", "macro_f1"):
                ends = np.mean([row[f"{key}_interval"] for row in found], axis=0)
                mean = np.mean([row[key] for row in found])
                cells.append(f"{mean:.3f} ({ends[0]:.3f} to {ends[1]:.3f})")
            cells.append(f"{np.mean([row['calibration_error'] for row in found]):.3f}")
            lines.append(f"| {name} | {per_tag} | {' | '.join(cells)} |")
    shown = ", ".join(f"{known} and {asked} at {tag}" for tag, (known, asked) in sizes.items())
    seeds = len({row["seed"] for row in rows})
    return "\n".join(
        [
            *lines,
            "",
            f"{len(names)} tags of EMNLP 2022 papers; papers to learn from and asked about: {shown}"
            f"{'' if seeds == 1 else f'; means of {seeds} draws'}; 95% bootstrap intervals over "
            f"papers; {TOKENS} tokens. Views and calibration were chosen with an eye on these "
            "tags, too. SetFit with pairs, and FusionSent in its like part, see "
            f"{2 * PAIRS} pairs a paper, keep the classifiers that they come with, with class "
            "weights, and a threshold of 0.5; the others are recipes of tagger, with class weights "
            f"and {FOLDS}-fold cross-validation for calibration and threshold.",
        ]
    )


if __name__ == "__main__":
    main()
