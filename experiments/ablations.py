"""Which parts of the tagger earn their keep, and what else was tried?

Trained on labels/seed.jsonl, asked about the 210 papers of ../shared/gold. In each row one thing
differs from the base, which is what ``tagger train`` did when this was first measured: 8 epochs
at a learning rate of 0.00003, no definitions. All rows have the calibration that is usual, so that
nothing else moves. Encoders are fine-tuned anew for each row and seed of the first part; the
vectors of the base serve the second part.

    python experiments/ablations.py            # writes experiments/results/ablations.*
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
from gold import RESULTS, ROOT, Gold, machine, read_gold

from tagger.contrastive import ContrastiveTarget, FineTuning, fine_tune, tag_overlap
from tagger.encoder import TorchEncoder, Vectors
from tagger.evaluation import bootstrap_weights, interval, weighted_figures
from tagger.head_training import ENCODER_C, LEXICAL_C, fit_calibration, fit_linear
from tagger.heads import Floats, Linear, probabilities
from tagger.labels import LabelStore
from tagger.lexical import fit_lexical_features
from tagger.paper import Paper
from tagger.reading import split_sentences
from tagger.taxonomy import Facet
from tagger.training import TrainingSettings
from tagger.training_data import TrainingData

STORE = LabelStore(ROOT / "labels")
TAXONOMY = STORE.taxonomy
DATA = TrainingData.of(STORE.labels(), TAXONOMY)
LABELLED = DATA.papers()
BASE = "base: 8 epochs"
BASE_EPOCHS = 8
BASE_LEARNING_RATE = 3e-5
FAST = "6 epochs at a learning rate of 0.0001"
SHIPPED = f"{FAST}, and definitions as examples of the head: as shipped"
FACET_WEIGHT = {True: 1.0, False: 0.5}
FACET_FIGURE = {True: "macro_f1", False: "micro_f1"}
OWN_WORK = re.compile(r"\b(we|our|ours|us|this (paper|work|article|study|survey|review))\b", re.I)
NEIGHBOURS, NEIGHBOUR_SHARE = 5, 0.3
SURE = 0.9

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


def title_and_halves(paper: Paper) -> list[str]:
    sentences = split_sentences(paper.abstract)
    middle = -(-len(sentences) // 2)
    halves = [sentences[:middle], sentences[middle:] or sentences]
    return [paper.title, *(" ".join(half) or paper.title for half in halves)]


@dataclass(frozen=True)
class Recipe:
    """How an encoder is fine-tuned and what it reads of a paper."""

    text: Callable[[Paper], str] = whole
    views: Views | None = title
    definitions: bool = False
    settings: dict[str, int | float] = field(default_factory=dict)

    @property
    def chosen(self) -> dict[str, int | float]:
        """All settings that differ from the usual ones."""
        return {"epochs": BASE_EPOCHS, "learning_rate": BASE_LEARNING_RATE} | self.settings


RECIPES = {
    BASE: Recipe(),
    "64 tokens": Recipe(settings={"max_tokens": 64}),
    "128 tokens": Recipe(settings={"max_tokens": 128}),
    "only sentences on the authors' own work": Recipe(text=own_work),
    "sentences on the authors' own work first": Recipe(text=own_work_first),
    "title not a second example": Recipe(views=None),
    "halves of the abstract as further examples": Recipe(views=title_and_halves),
    "tag definitions as further examples": Recipe(definitions=True),
    "encoder as it comes": Recipe(settings={"epochs": 0}),
    "4 epochs": Recipe(settings={"epochs": 4}),
    "12 epochs": Recipe(settings={"epochs": 12}),
    FAST: Recipe(settings={"epochs": 6, "learning_rate": 1e-4}),
    "batches of 64": Recipe(settings={"batch_size": 64}),
}


@dataclass(frozen=True)
class Encoded:
    """Vectors of one encoder: ``views`` are those of the labelled papers, texts first."""

    views: Vectors
    asked: Vectors
    asked_titles: Vectors
    definitions: dict[str, Vectors]
    seconds: float


def encode(recipe: Recipe, gold: Gold, seed: int) -> Encoded:
    views = [recipe.text(paper) for paper in LABELLED]
    if recipe.views:
        views += [text for each in zip(*map(recipe.views, LABELLED), strict=True) for text in each]
    texts, rows = list(views), np.tile(np.arange(len(LABELLED)), len(views) // len(LABELLED))
    truth = {name: values[rows] for name, values in DATA.truth.items()}
    judged = {name: values[rows] for name, values in DATA.judged.items()}
    if recipe.definitions:
        for facet in TAXONOMY.facets:
            texts += facet.definitions
            for other in TAXONOMY.facets:
                own = facet is other
                added = np.eye(len(facet.tags), len(other.tags), dtype=bool) & own
                truth[other.name] = np.vstack([truth[other.name], added])
                judged[other.name] = np.append(judged[other.name], np.full(len(added), own))
    targets = {
        facet.name: ContrastiveTarget(
            tag_overlap(truth[facet.name], judged[facet.name]), FACET_WEIGHT[facet.exclusive]
        )
        for facet in TAXONOMY.facets
    }
    usual = TrainingSettings()
    names = FineTuning.__dataclass_fields__
    chosen = {name: getattr(usual, name) for name in names} | {"seed": seed} | recipe.chosen
    begin = time.perf_counter()
    encoder = TorchEncoder(fine_tune(texts, targets, FineTuning(**chosen)))
    seconds = time.perf_counter() - begin
    return Encoded(
        encoder.encode(views),
        encoder.encode([recipe.text(paper) for paper in gold.papers]),
        encoder.encode([paper.title for paper in gold.papers]),
        {facet.name: encoder.encode(facet.definitions) for facet in TAXONOMY.facets},
        seconds,
    )


@dataclass(frozen=True)
class Case:
    """All that a head of one facet can go by: several encoders, and words."""

    facet: Facet
    tuned: Encoded
    other_seed: Encoded
    frozen: Encoded
    words: Floats
    asked_words: Floats

    @property
    def truth(self) -> Booleans:
        return DATA.truth[self.facet.name]

    def on_vectors(self, encoded: Encoded, extra: Vectors | None = None) -> Linear:
        """Fit on all views, and on one more example of each tag if there is one."""
        truth = np.tile(self.truth, (len(encoded.views) // len(self.truth), 1))
        views = encoded.views
        if extra is not None:
            views, truth = np.vstack([views, extra]), np.vstack([truth, np.eye(len(extra)) > 0])
        return fit_linear(self.facet, views, truth, ENCODER_C[self.facet.exclusive])

    def scores(self) -> Floats:
        """Return the scores of the base head, shape (parts, papers, tags)."""
        words = fit_linear(self.facet, self.words, self.truth, LEXICAL_C)
        return np.stack(
            [
                self.on_vectors(self.tuned).scores(self.tuned.asked),
                words.scores(self.asked_words),
            ]
        )

    def chances(self, scores: Floats) -> Floats:
        nothing = np.zeros((0, len(self.facet.tags)), dtype=bool)
        usual = fit_calibration(self.facet, nothing, np.zeros((2, *nothing.shape)))
        return probabilities(self.facet, scores, usual)


def as_base(case: Case) -> Floats:
    return case.chances(case.scores())


def without_words(case: Case) -> Floats:
    scores = case.scores()
    scores[1] = 0
    return case.chances(scores)


def words_alone(case: Case) -> Floats:
    scores = case.scores()
    # The scale of the vectors: an ordinary classifier on words.
    return case.chances(np.stack([scores[1], np.zeros_like(scores[1])]))


def head_on_texts_only(case: Case) -> Floats:
    scores = case.scores()
    texts = replace(case.tuned, views=case.tuned.views[: len(case.truth)])
    scores[0] = case.on_vectors(texts).scores(case.tuned.asked)
    return case.chances(scores)


def title_asked_too(case: Case) -> Floats:
    scores = case.scores()
    scores[0] = 0.7 * scores[0] + 0.3 * case.on_vectors(case.tuned).scores(case.tuned.asked_titles)
    return case.chances(scores)


def frozen_vectors_beside(case: Case) -> Floats:
    scores = case.scores()
    scores[0] = (scores[0] + case.on_vectors(case.frozen).scores(case.frozen.asked)) / 2
    return case.chances(scores)


def definitions_as_examples(case: Case) -> Floats:
    scores = case.scores()
    extra = case.tuned.definitions[case.facet.name]
    scores[0] = case.on_vectors(case.tuned, extra).scores(case.tuned.asked)
    return case.chances(scores)


def nearest_papers_mixed_in(case: Case) -> Floats:
    known = case.tuned.views[: len(case.truth)]
    nearest = np.argsort(-(case.tuned.asked @ known.T), axis=1)[:, :NEIGHBOURS]
    share = case.truth[nearest].mean(axis=1)
    return (1 - NEIGHBOUR_SHARE) * as_base(case) + NEIGHBOUR_SHARE * share


def two_encoders(case: Case) -> Floats:
    scores = case.scores()
    other = case.on_vectors(case.other_seed).scores(case.other_seed.asked)
    scores[0] = (scores[0] + other) / 2
    return case.chances(scores)


def self_training(case: Case) -> Floats:
    """Take what the model is sure of among the papers asked about for labels, and fit again."""
    scores, chances = case.scores(), as_base(case)
    sure = np.where(chances >= 0.5, chances, 1 - chances).min(axis=1) >= SURE
    if case.facet.exclusive:
        sure = chances.max(axis=1) >= SURE
    views = np.vstack([case.tuned.views, case.tuned.asked[sure]])
    repeated = np.tile(case.truth, (len(case.tuned.views) // len(case.truth), 1))
    truth = np.vstack([repeated, chances[sure] >= 0.5])
    linear = fit_linear(case.facet, views, truth, ENCODER_C[case.facet.exclusive])
    scores[0] = linear.scores(case.tuned.asked)
    return case.chances(scores)


HEADS: dict[str, Callable[[Case], Floats]] = {
    "head without words": without_words,
    "words alone, no vectors": words_alone,
    "head on texts only, not on titles": head_on_texts_only,
    "title asked too when tagging": title_asked_too,
    "vectors of the encoder as it comes beside": frozen_vectors_beside,
    "definitions as examples of the head": definitions_as_examples,
    f"{NEIGHBOURS} nearest labelled papers mixed in": nearest_papers_mixed_in,
    "two encoders averaged, twice the time": two_encoders,
    "self-training on sure papers of the digests": self_training,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    seeds = range(parser.parse_args().seeds)
    gold = read_gold(TAXONOMY)
    lexical = fit_lexical_features(LABELLED)
    words, asked_words = lexical.transform(LABELLED), lexical.transform(gold.papers)
    encoded: dict[str, list[Encoded]] = {}
    for name, recipe in RECIPES.items():
        encoded[name] = [encode(recipe, gold, seed) for seed in seeds]
        print(name, f"{np.mean([one.seconds for one in encoded[name]]):.0f} s", flush=True)
    frozen = encoded["encoder as it comes"]

    def cases(facet: Facet, name: str) -> list[Case]:
        tuned = encoded[name]
        return [
            Case(facet, tuned[n], tuned[n - 1], frozen[n], words, asked_words)
            for n in range(len(tuned))
        ]

    chances: dict[str, dict[str, list[Floats]]] = {}
    for facet in TAXONOMY.facets:
        for name in RECIPES:
            found = [as_base(case) for case in cases(facet, name)]
            chances.setdefault(name, {})[facet.name] = found
        found = [definitions_as_examples(case) for case in cases(facet, FAST)]
        chances.setdefault(SHIPPED, {})[facet.name] = found
        for name, head in HEADS.items():
            if head is two_encoders and len(seeds) < 2:
                continue
            found = [head(case) for case in cases(facet, BASE)]
            chances.setdefault(name, {})[facet.name] = found
    seconds = {
        name: float(np.mean([one.seconds for one in all_])) for name, all_ in encoded.items()
    }
    write(chances, seconds, gold, len(seeds))


def write(
    chances: dict[str, dict[str, list[Floats]]],
    seconds: dict[str, float],
    gold: Gold,
    seeds: int,
) -> None:
    # Each paper once, and then the draws, the same for every row.
    papers = len(gold.papers)
    weights = np.vstack([np.ones(papers), bootstrap_weights(papers)])
    found = {
        name: {
            facet.name: np.mean(
                [
                    weighted_figures(facet, gold.truth[facet.name], one, weights)[
                        FACET_FIGURE[facet.exclusive]
                    ]
                    for one in per_facet[facet.name]
                ],
                axis=0,
            )
            for facet in TAXONOMY.facets
        }
        for name, per_facet in chances.items()
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
            f"{seeds} seeds; intervals over papers; one run on {machine()}.",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ablations.md").write_text(table + "\n", encoding="utf-8")
    (RESULTS / "ablations.json").write_text(json.dumps(details, indent=2) + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
