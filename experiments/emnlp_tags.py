"""Few labels, many tags: how does tagger do on fields that its makers did not choose?

The 828 papers of EMNLP 2022 in ../shared/benchmarks, and the tags that 40 of them or more have. Of
each tag at least 8 or 16 papers are drawn for training, the rest is asked about. All methods get
the same papers, cut to 128 tokens.

Stock SetFit and FusionSent (Schopf et al., "Efficient Few-shot Learning for Multi-label
Classification of Scientific Documents with Many Classes", 2024) compare pairs, whose number grows
with the square of the papers: by their defaults they would take hours here. ``--pairs`` says how
many of each paper they see. FusionSent's part for labels takes batches of 16 in place of 1, and as
many wrong tags of a paper as it has right ones. Both keep the classifiers that they come with.

    pip install --no-deps fusionsent
    python experiments/emnlp_tags.py  # writes experiments/results/emnlp_tags.*
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gold import RESULTS, SHARED, machine

from tagger.evaluation import bootstrap_weights, interval, weighted_figures
from tagger.labels import Label
from tagger.papers import Paper
from tagger.taxonomy import Facet, Tag, Taxonomy
from tagger.training import TrainingSettings, train

FILE = SHARED / "benchmarks/emnlp22_nlp_taxonomy/emnlp22_papers_with_nlp_taxonomy_labels.csv"
LEAST_PAPERS = 40
PER_TAG = (8, 16)
TOKENS = 128
BATCH = 16
FOLDS = 3

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int_]
Method = Callable[[list[Paper], Booleans, list[Paper]], Floats]
"""Papers and tags to learn from, papers asked about; returns probabilities."""


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


def on_features(train_features: object, asked: object, y_true: Booleans) -> Floats:
    from sklearn.linear_model import LogisticRegression

    columns = [
        LogisticRegression(C=10.0, max_iter=2000, class_weight="balanced")
        .fit(train_features, column)
        .predict_proba(asked)[:, 1]
        for column in y_true.T
    ]
    return np.stack(columns, axis=1)


def tfidf(papers: list[Paper], y_true: Booleans, asked: list[Paper]) -> Floats:
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    known = words.fit_transform([paper.text for paper in papers])
    return on_features(known, words.transform([paper.text for paper in asked]), y_true)


def frozen(papers: list[Paper], y_true: Booleans, asked: list[Paper]) -> Floats:
    from tagger.training import BUNDLED_ENCODER, TorchEncoder, load_trainable

    encoder = TorchEncoder(load_trainable(BUNDLED_ENCODER, TOKENS))
    vectors = [encoder.encode([paper.text for paper in some]) for some in (papers, asked)]
    return on_features(*vectors, y_true)


def setfit(pairs: int, seed: int) -> Method:
    def method(papers: list[Paper], y_true: Booleans, asked: list[Paper]) -> Floats:
        from datasets import Dataset
        from setfit import SetFitModel, Trainer, TrainingArguments

        from tagger.training import bundled_encoder_folder

        model = SetFitModel.from_pretrained(
            str(bundled_encoder_folder()), multi_target_strategy="one-vs-rest"
        )
        model.model_body.max_seq_length = TOKENS
        with tempfile.TemporaryDirectory() as scratch:
            trainer = Trainer(
                model=model,
                args=TrainingArguments(
                    output_dir=scratch,
                    seed=seed,
                    batch_size=BATCH,
                    num_iterations=pairs,
                    report_to="none",
                    save_strategy="no",
                ),
                train_dataset=Dataset.from_dict(
                    {"text": [paper.text for paper in papers], "label": y_true.astype(int).tolist()}
                ),
            )
            trainer.train()
        texts = [paper.text for paper in asked]
        return np.asarray(model.predict_proba(texts, as_numpy=True), dtype=np.float64)

    return method


def fusionsent(pairs: int, seed: int, names: list[str]) -> Method:
    def method(papers: list[Paper], y_true: Booleans, asked: list[Paper]) -> Floats:
        import fusionsent.trainer
        from datasets import Dataset
        from fusionsent import FusionSentModel, Trainer, TrainingArguments
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier
        from transformers.trainer_utils import set_seed

        from tagger.training import bundled_encoder_folder

        fusionsent.trainer.ContrastiveDataset = _pairs_for_fusionsent()
        model = FusionSentModel._from_pretrained(model_id=str(bundled_encoder_folder()))
        body = model.model_body
        for part in (body.setfit_model_body, body.label_embedding_model_body):
            part.max_seq_length = TOKENS
        described = [[names[tag] for tag in np.flatnonzero(row)] for row in y_true]
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                batch_sizes=(BATCH, BATCH),
                num_iterations=pairs,
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
        merged.max_seq_length = TOKENS
        vectors = [merged.encode([paper.text for paper in some]) for some in (papers, asked)]
        head = OneVsRestClassifier(LogisticRegression()).fit(vectors[0], y_true)
        return np.asarray(head.predict_proba(vectors[1]))

    return method


def _pairs_for_fusionsent() -> type:
    """FusionSent is written for SetFit 1.0, whose pairs had another form than today's."""
    from sentence_transformers import InputExample
    from setfit.sampler import ContrastiveDataset

    class Pairs(ContrastiveDataset):
        def __init__(self, examples: list, **options: object) -> None:
            texts = [example.texts[0] for example in examples]
            super().__init__(texts, [example.label for example in examples], **options)

        def __iter__(self) -> Iterator[InputExample]:
            for pair in super().__iter__():
                texts = [pair["sentence_1"], pair["sentence_2"]]
                yield InputExample(texts=texts, label=pair["label"])

    return Pairs


def tagger(seed: int, facet: Facet) -> Method:
    def method(papers: list[Paper], y_true: Booleans, asked: list[Paper]) -> Floats:
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
        settings = TrainingSettings(max_tokens=TOKENS, seed=seed, folds=FOLDS)
        taxonomy = Taxonomy(name="emnlp", facets=(facet,))
        with tempfile.TemporaryDirectory() as scratch:
            model = train(labels, taxonomy, settings, Path(scratch)).model
            return model.predict_proba(asked)[facet.name]

    return method


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=3, help="SetFit's num_iterations")
    options = parser.parse_args()
    papers, y_true, names = read()
    tags = [Tag(name=f"tag-{n}", definition=name) for n, name in enumerate(names)]
    facet = Facet(name="field", definition="Field of study.", tags=tuple(tags))
    rows = []
    for per_tag in PER_TAG:
        for seed in range(options.seeds):
            known = draw(y_true, per_tag, seed)
            rest = np.setdiff1d(np.arange(len(papers)), known)
            weights = np.vstack([np.ones(len(rest)), bootstrap_weights(len(rest))])
            methods: dict[str, Method] = {
                "TF-IDF + logistic regression": tfidf,
                "frozen MiniLM + logistic regression": frozen,
                "stock SetFit": setfit(options.pairs, seed),
                "FusionSent": fusionsent(options.pairs, seed, names),
                "tagger": tagger(seed, facet),
            }
            for name, method in methods.items():
                begin = time.perf_counter()
                some = [papers[row] for row in known], y_true[known], [papers[row] for row in rest]
                probabilities = method(*some)
                seconds = time.perf_counter() - begin
                figures = weighted_figures(facet, y_true[rest], probabilities, weights)
                row = {
                    "method": name,
                    "per_tag": per_tag,
                    "seed": seed,
                    "papers": len(known),
                    "asked": len(rest),
                    "seconds": seconds,
                }
                for key in ("micro_f1", "macro_f1", "calibration_error"):
                    row[key] = float(figures[key][0])
                    row[f"{key}_interval"] = interval(figures[key][1:])
                rows.append(row)
                print(json.dumps(row), flush=True)
                write(rows, names, options.pairs)


def write(rows: list[dict], names: list[str], pairs: int) -> None:
    lines = [
        "| | labels a tag | micro-F1 | macro-F1 | calibration error | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for per_tag in PER_TAG:
        mine = [row for row in rows if row["per_tag"] == per_tag]
        for name in dict.fromkeys(row["method"] for row in mine):
            found = [row for row in mine if row["method"] == name]
            cells = []
            for key in ("micro_f1", "macro_f1"):
                ends = np.mean([row[f"{key}_interval"] for row in found], axis=0)
                mean = np.mean([row[key] for row in found])
                cells.append(f"{mean:.3f} ({ends[0]:.3f} to {ends[1]:.3f})")
            cells.append(f"{np.mean([row['calibration_error'] for row in found]):.3f}")
            cells.append(f"{np.mean([row['seconds'] for row in found]):.0f}")
            lines.append(f"| {name} | {per_tag} | {' | '.join(cells)} |")
    sizes = {row["per_tag"]: (row["papers"], row["asked"]) for row in rows}
    shown = ", ".join(f"{known} and {asked} at {tag}" for tag, (known, asked) in sizes.items())
    seeds = len({row["seed"] for row in rows})
    table = "\n".join(
        [
            *lines,
            "",
            f"{len(names)} tags of EMNLP 2022 papers; papers to learn from and asked about: {shown}"
            f"{'' if seeds == 1 else f'; means of {seeds} draws'}; 95% bootstrap intervals over "
            f"papers; {TOKENS} tokens; SetFit, and FusionSent in its like part, see {2 * pairs} "
            "pairs a paper; seconds are of training and asking, tagger's with "
            f"{FOLDS}-fold cross-validation; one run on {machine()}.",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "emnlp_tags.md").write_text(table + "\n", encoding="utf-8")
    (RESULTS / "emnlp_tags.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
