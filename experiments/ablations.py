"""Which parts of the tagger earn their keep, and what else was tried?

Trained on labels/seed.jsonl, asked about the 210 papers of ../shared/gold. In each row one thing
differs from the base, which is what ``tagger train`` does. All rows have the calibration that is
usual, so that nothing else moves. Encoders are fine-tuned anew for each row and seed of the first
part; the vectors of the base serve the second part.

    python experiments/ablations.py            # writes experiments/results/ablations.*
    python experiments/ablations.py --jobs 2   # two seeds at a time, one core each
    python experiments/ablations.py --seeds 1  # a quicker look
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from gold import RESULTS, ROOT, machine, read_gold, with_examples_of
from scipy.sparse import csr_matrix
from seeds import for_each_seed
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from tagger._util.arrays import Floats, Vectors
from tagger.evaluation import bootstrap_weights, interval, weighted_figures
from tagger.labels import LabelStore
from tagger.model import Calibration, Linear, calibrated_probabilities
from tagger.papers import Paper, split_sentences
from tagger.papers.text_views import excerpt
from tagger.taxonomy import Facet, Taxonomy
from tagger.training import (
    BUNDLED_ENCODER,
    TorchEncoder,
    TrainingData,
    TrainingSettings,
    load_trainable,
)
from tagger.training.data import examples_of
from tagger.training.fine_tuning import fine_tune
from tagger.training.heads import ENCODER_C, LEXICAL_C, fit_linear, fit_vectorizer
from tagger.training.settings import FineTuning

STORE = LabelStore(ROOT / "labels")
TAXONOMY = STORE.taxonomy
DATA = TrainingData.of(STORE.labels(), TAXONOMY)
LABELLED = DATA.papers()
BASE = "base: as shipped"
GOLD = read_gold(TAXONOMY)
FACET_FIGURE = {True: "macro_f1", False: "micro_f1"}
OWN_WORK = re.compile(r"\b(we|our|ours|us|this (paper|work|article|study|survey|review))\b", re.I)
NEIGHBOURS, NEIGHBOUR_SHARE = 5, 0.3
SURE = 0.9
TYPICAL = {True: Calibration(1.6), False: Calibration(1.5, 2.7)}
"""Calibrations for exclusive facets and others, as 150 labels give them."""

Booleans = npt.NDArray[np.bool_]
Views = Callable[[Paper], list[str]]


def whole(paper: Paper) -> str:
    return paper.text


def own_work(paper: Paper) -> str:
    sentences = split_sentences(paper.abstract)
    mine = [sentence for sentence in sentences if OWN_WORK.search(sentence)]
    return replace(paper, abstract=" ".join(mine or sentences)).text


def own_work_first(paper: Paper) -> str:
    sentences = split_sentences(paper.abstract)
    ordered = sorted(sentences, key=lambda sentence: not OWN_WORK.search(sentence))
    return replace(paper, abstract=" ".join(ordered)).text


def title(paper: Paper) -> list[str]:
    return [paper.title]


def halves(paper: Paper) -> list[str]:
    """Return the title with each half of the abstract."""
    sentences = split_sentences(paper.abstract)
    middle = -(-len(sentences) // 2)
    parts = [sentences[:middle], sentences[middle:] or sentences]
    return [replace(paper, abstract=" ".join(part)).text for part in parts]


def title_and_halves(paper: Paper) -> list[str]:
    return [paper.title, *halves(paper)]


def excerpts(paper: Paper) -> list[str]:
    return [excerpt(paper)]


def sentences(paper: Paper) -> list[str]:
    return [paper.title, *split_sentences(paper.abstract)]


def fine_tuning(seed: int, settings: dict[str, int | float]) -> FineTuning:
    """Return how ``tagger train`` fine-tunes, but for these settings."""
    usual = TrainingSettings()
    names = FineTuning.__dataclass_fields__
    return FineTuning(**{name: getattr(usual, name) for name in names} | {"seed": seed} | settings)


def pretrained() -> SentenceTransformer:
    """Return the pretrained encoder, without fine-tuning."""
    return load_trainable(BUNDLED_ENCODER, TrainingSettings().max_tokens).eval()


def mistaken_and_nearest() -> list[int]:
    """Return rows of papers whose contribution is told wrong, and of those they were taken for.

    By the pretrained encoder, out of fold.
    """
    facet = next(facet for facet in TAXONOMY.facets if facet.exclusive)
    y_true = DATA.y_true[facet.name].argmax(axis=1)
    as_it_comes = TorchEncoder(pretrained())
    vectors = as_it_comes.encode([whole(paper) for paper in LABELLED])
    head = LogisticRegression(class_weight="balanced", max_iter=2000)
    told = cross_val_predict(head, vectors, y_true, cv=TrainingSettings().folds)
    cosines = vectors @ vectors.T
    wrong = np.flatnonzero(told != y_true)
    nearest = [np.where(y_true == told[row], cosines[row], -1).argmax() for row in wrong]
    return [*wrong.tolist(), *map(int, nearest)]


def with_definitions_as_examples() -> Taxonomy:
    content = TAXONOMY.model_dump()
    for facet in content["facets"]:
        for tag in facet["tags"]:
            tag["examples"] = [*tag.get("examples", ()), tag["definition"]]
    return Taxonomy.model_validate(content)


@dataclass(frozen=True)
class Recipe:
    """How an encoder is fine-tuned and what it reads of a paper."""

    text: Callable[[Paper], str] = whole
    views: Views | None = title
    taxonomy: Taxonomy = TAXONOMY
    settings: dict[str, int | float] = field(default_factory=dict)
    more: Callable[[], list[int]] = list


RECIPES = {
    BASE: Recipe(),
    "64 tokens": Recipe(settings={"max_tokens": 64}),
    "128 tokens": Recipe(settings={"max_tokens": 128}),
    "384 tokens": Recipe(settings={"max_tokens": 384}),
    "only sentences on the authors' own work": Recipe(text=own_work),
    "sentences on the authors' own work first": Recipe(text=own_work_first),
    "title not a second example": Recipe(views=None),
    "halves of the abstract as further examples": Recipe(views=title_and_halves),
    "no examples of tags": Recipe(taxonomy=with_examples_of(TAXONOMY)),
    "examples of tags of the contribution alone": Recipe(
        taxonomy=with_examples_of(TAXONOMY, "contribution")
    ),
    "definitions among the examples of tags": Recipe(taxonomy=with_definitions_as_examples()),
    "pretrained encoder, not fine-tuned": Recipe(settings={"epochs": 0}),
    "3 epochs": Recipe(settings={"epochs": 3}),
    "10 epochs": Recipe(settings={"epochs": 10}),
    "batches of 64": Recipe(settings={"batch_size": 64}),
    "papers told wrong, and those they are taken for, twice": Recipe(more=mistaken_and_nearest),
}
PARTS: dict[str, Views] = {
    "title": title,
    "excerpt": excerpts,
    "halves": halves,
    "sentences": sentences,
}


@dataclass(frozen=True)
class Parts:
    """Vectors of parts of the papers asked about, and the row of the paper of each."""

    vectors: Vectors
    rows: npt.NDArray[np.int_]

    @classmethod
    def of(cls, papers: list[Paper], parts: Views, encoder: TorchEncoder) -> Parts:
        texts = list(map(parts, papers))
        rows = np.repeat(np.arange(len(papers)), list(map(len, texts)))
        return cls(encoder.encode([text for each in texts for text in each]), rows)

    def mean(self, head: Linear) -> Floats:
        found = np.zeros((self.rows[-1] + 1, len(head.bias)))
        np.add.at(found, self.rows, head.scores(self.vectors))
        return found / np.bincount(self.rows)[:, None]

    def highest(self, head: Linear) -> Floats:
        found = np.full((self.rows[-1] + 1, len(head.bias)), -np.inf)
        np.maximum.at(found, self.rows, head.scores(self.vectors))
        return found


@dataclass(frozen=True)
class Encoded:
    """Vectors of one encoder: ``views`` are those of the labelled papers, texts first.

    ``asked`` are those of the papers asked about, ``parts`` of parts of them, of the base alone.
    """

    taxonomy: Taxonomy
    views: Vectors
    asked: Vectors
    parts: dict[str, Parts]
    seconds: float


def encode_all(seed: int) -> dict[str, Encoded]:
    found = {}
    for name, recipe in RECIPES.items():
        found[name] = encode(recipe, PARTS if name == BASE else {}, seed)
        print(f"seed {seed}: {name}, {found[name].seconds:.0f} s", flush=True)
    return found


def encode(recipe: Recipe, parts: dict[str, Views], seed: int) -> Encoded:
    views = [recipe.text(paper) for paper in LABELLED]
    if recipe.views:
        views += [text for each in zip(*map(recipe.views, LABELLED), strict=True) for text in each]
    more = recipe.more()
    rows = np.tile(np.arange(len(LABELLED)), len(views) // len(LABELLED))
    rows = np.append(rows, np.array(more, dtype=int))
    again = [recipe.text(LABELLED[row]) for row in more]
    taught = replace(DATA, taxonomy=recipe.taxonomy)
    examples = examples_of(taught, [*views, *again], rows)
    begin = time.perf_counter()
    settings = fine_tuning(seed, recipe.settings)
    encoder = TorchEncoder(fine_tune(examples, settings) if settings.epochs else pretrained())
    seconds = time.perf_counter() - begin
    return Encoded(
        recipe.taxonomy,
        encoder.encode(views),
        encoder.encode([recipe.text(paper) for paper in GOLD.papers]),
        {name: Parts.of(GOLD.papers, part, encoder) for name, part in parts.items()},
        seconds,
    )


@dataclass(frozen=True)
class Case:
    """All that a head of one facet can go by: several encoders, and words."""

    facet: Facet
    tuned: Encoded
    other_seed: Encoded
    frozen: Encoded
    words: csr_matrix
    asked_words: csr_matrix

    @property
    def y_true(self) -> Booleans:
        return DATA.y_true[self.facet.name]

    def on_vectors(
        self, encoded: Encoded, taught: tuple[Vectors, Booleans] | None = None
    ) -> Linear:
        """Fit on all views, and what else is taught."""
        facet = encoded.taxonomy.facet(self.facet.name)
        views = encoded.views
        y_true = np.tile(self.y_true, (len(views) // len(self.y_true), 1))
        if taught:
            views, y_true = np.vstack([views, taught[0]]), np.vstack([y_true, taught[1]])
        return fit_linear(facet, views, y_true, ENCODER_C[facet.exclusive])

    def scores(self) -> Floats:
        """Return the scores of the base head, shape (parts, papers, tags)."""
        words = fit_linear(self.facet, self.words, self.y_true, LEXICAL_C[self.facet.exclusive])
        return np.stack(
            [
                self.on_vectors(self.tuned).scores(self.tuned.asked),
                words.scores(self.asked_words),
            ]
        )

    def probabilities(self, scores: Floats) -> Floats:
        return calibrated_probabilities(self.facet, scores, TYPICAL[self.facet.exclusive])


def as_base(case: Case) -> Floats:
    return case.probabilities(case.scores())


def without_words(case: Case) -> Floats:
    scores = case.scores()
    scores[1] = 0
    return case.probabilities(scores)


def words_alone(case: Case) -> Floats:
    scores = case.scores()
    # The scale of the vectors: an ordinary classifier on words.
    return case.probabilities(np.stack([scores[1], np.zeros_like(scores[1])]))


def head_on_texts_only(case: Case) -> Floats:
    scores = case.scores()
    texts = replace(case.tuned, views=case.tuned.views[: len(case.y_true)])
    scores[0] = case.on_vectors(texts).scores(case.tuned.asked)
    return case.probabilities(scores)


def title_asked_too(case: Case) -> Floats:
    scores = case.scores()
    scores[0] = 0.7 * scores[0] + 0.3 * case.tuned.parts["title"].mean(case.on_vectors(case.tuned))
    return case.probabilities(scores)


def frozen_vectors_beside(case: Case) -> Floats:
    scores = case.scores()
    scores[0] = (scores[0] + case.on_vectors(case.frozen).scores(case.frozen.asked)) / 2
    return case.probabilities(scores)


def excerpt_asked_too(case: Case) -> Floats:
    scores = case.scores()
    scores[0] = (scores[0] + case.tuned.parts["excerpt"].mean(case.on_vectors(case.tuned))) / 2
    return case.probabilities(scores)


def parts_asked(parts: str, joined: Callable[[Parts, Linear], Floats]) -> Callable[[Case], Floats]:
    def probabilities(case: Case) -> Floats:
        scores = case.scores()
        scores[0] = joined(case.tuned.parts[parts], case.on_vectors(case.tuned))
        return case.probabilities(scores)

    return probabilities


def nearest_papers_mixed_in(case: Case) -> Floats:
    known = case.tuned.views[: len(case.y_true)]
    nearest = np.argsort(-(case.tuned.asked @ known.T), axis=1)[:, :NEIGHBOURS]
    share = case.y_true[nearest].mean(axis=1)
    return (1 - NEIGHBOUR_SHARE) * as_base(case) + NEIGHBOUR_SHARE * share


def two_encoders(case: Case) -> Floats:
    scores = case.scores()
    other = case.on_vectors(case.other_seed).scores(case.other_seed.asked)
    scores[0] = (scores[0] + other) / 2
    return case.probabilities(scores)


def self_training(case: Case) -> Floats:
    """Take what the model is sure of among the papers asked about for labels, and fit again."""
    scores, probabilities = case.scores(), as_base(case)
    sure = np.where(probabilities >= 0.5, probabilities, 1 - probabilities).min(axis=1) >= SURE
    if case.facet.exclusive:
        sure = probabilities.max(axis=1) >= SURE
    taught = case.tuned.asked[sure], probabilities[sure] >= 0.5
    scores[0] = case.on_vectors(case.tuned, taught=taught).scores(case.tuned.asked)
    return case.probabilities(scores)


HEADS: dict[str, Callable[[Case], Floats]] = {
    "head without words": without_words,
    "words alone, no vectors": words_alone,
    "head on texts only, not on titles": head_on_texts_only,
    "title asked too when tagging": title_asked_too,
    "pretrained vectors added": frozen_vectors_beside,
    "each half of the abstract asked, mean of the scores": parts_asked("halves", Parts.mean),
    "each half of the abstract asked, the higher score": parts_asked("halves", Parts.highest),
    "each sentence asked, mean of the scores": parts_asked("sentences", Parts.mean),
    "each sentence asked, the highest score": parts_asked("sentences", Parts.highest),
    "excerpt asked too when tagging": excerpt_asked_too,
    f"{NEIGHBOURS} nearest labelled papers mixed in": nearest_papers_mixed_in,
    "two encoders averaged, twice the time": two_encoders,
    "self-training on sure papers of the digests": self_training,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time, one core each")
    options = parser.parse_args()
    vectorizer = fit_vectorizer(LABELLED)
    words, asked_words = vectorizer.transform(LABELLED), vectorizer.transform(GOLD.papers)
    found = for_each_seed(encode_all, options.seeds, options.jobs)
    encoded = {name: [each[name] for each in found] for name in RECIPES}
    frozen = encoded["pretrained encoder, not fine-tuned"]

    def cases(facet: Facet, name: str) -> list[Case]:
        tuned = encoded[name]
        return [
            Case(facet, tuned[n], tuned[n - 1], frozen[n], words, asked_words)
            for n in range(len(tuned))
        ]

    probabilities: dict[str, dict[str, list[Floats]]] = {}
    for facet in TAXONOMY.facets:
        for name in RECIPES:
            told = [as_base(case) for case in cases(facet, name)]
            probabilities.setdefault(name, {})[facet.name] = told
        for name, head in HEADS.items():
            if head is two_encoders and options.seeds < 2:
                continue
            told = [head(case) for case in cases(facet, BASE)]
            probabilities.setdefault(name, {})[facet.name] = told
    seconds = {
        name: float(np.mean([one.seconds for one in all_])) for name, all_ in encoded.items()
    }
    write(probabilities, seconds, options.seeds, options.jobs)


def write(
    probabilities: dict[str, dict[str, list[Floats]]],
    seconds: dict[str, float],
    seeds: int,
    jobs: int,
) -> None:
    # Each paper once, and then the draws, the same for every row.
    papers = len(GOLD.papers)
    weights = np.vstack([np.ones(papers), bootstrap_weights(papers)])
    found = {
        name: {
            facet.name: np.mean(
                [
                    weighted_figures(facet, GOLD.y_true[facet.name], one, weights)[
                        FACET_FIGURE[facet.exclusive]
                    ]
                    for one in per_facet[facet.name]
                ],
                axis=0,
            )
            for facet in TAXONOMY.facets
        }
        for name, per_facet in probabilities.items()
    }
    rows, details = [], {}
    for name, figures in found.items():
        cells, details[name] = [], {}
        for facet in TAXONOMY.facets:
            gain = figures[facet.name] - found[BASE][facet.name]
            low, high = interval(gain[1:])
            details[name][facet.name] = {
                "f1": float(figures[facet.name][0]),
                "gain": float(gain[0]),
                "interval": [low, high],
            }
            cells.append(f"{figures[facet.name][0]:.3f}")
            cells.append("" if name == BASE else f"{gain[0]:+.3f} ({low:+.3f} to {high:+.3f})")
        cells.append(f"{seconds[name]:.0f}" if name in seconds else "")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    table = "\n".join(
        [
            "| | contribution macro-F1 | against base (95% interval) | domain micro-F1 "
            "| against base (95% interval) | seconds of fine-tuning |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"Trained on the {len(LABELLED)} seed labels, asked about {papers} papers; means of "
            f"{seeds} seeds; intervals over papers; one run on {machine()}, "
            f"{f'{jobs} seeds at a time on one core each' if jobs > 1 else 'one seed at a time'}.",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ablations.md").write_text(table + "\n", encoding="utf-8")
    (RESULTS / "ablations.json").write_text(json.dumps(details, indent=2) + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
