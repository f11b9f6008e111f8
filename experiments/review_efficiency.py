"""How many papers must a person review to reach a given F1, with each review strategy?

A simulated reviewer: the labels of the 210 papers of ../shared/gold are shown to the model only
when a strategy picks the paper. Every strategy installed takes part, those of other packages too.

    python experiments/review_efficiency.py  # writes experiments/results/review_efficiency.*

The protocol, fixed before the first run:

- The 210 papers are split in 5 parts, three times over, with 3 seeds. Each part is once the test
  papers, while the other 168 are the pool that a strategy picks from. So with each seed each paper
  is tested once, by a model that learned from none of the test papers, and F1 is taken over all
  210.
- Each round a strategy picks 10 papers, the reviewer labels them, and the model is fitted again.
  The budget is 80 papers, about half of the pool: at the whole pool all strategies are one.
- A model has the classifiers and the lexical features of ``tagger train``, and a calibration on
  5-fold out-of-fold scores. The encoder stays as it is: to fine-tune it thousands of times is out
  of reach. It reads whole texts only, and tags of domain are given from a probability of 0.5.
- The reviewer starts with 20 papers of the pool, drawn at random, as with a new taxonomy; the
  encoder is the pretrained bundled one, which has learned from no label. What review brings to
  a model of many labels is measured by review_gain.py.
- F1 is the mean of the macro-F1 of contribution and the micro-F1 of domain, the two figures that
  the project quotes.
- A strategy *needs* the least budget from which on its curve, the mean over seeds with straight
  lines between rounds, stays at or above the F1 of random at the full budget. Its share is that
  number over the full budget. Random is measured by the same rule: where its own curve is flat its
  own share is below 100%, and any other share must be read against that.
- Intervals are 95% percentile intervals over 2,000 bootstrap draws, each of papers and of seeds,
  the same for all strategies. A draw in which random's F1 is never reached counts as more than
  100%. They do not cover that other papers would have been picked from another pool.
"""

from __future__ import annotations

import functools
import itertools
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gold import encoder_folder, read_gold
from record import ROOT, read_options, write_result
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from tagger._util.arrays import Booleans, Floats, Vectors
from tagger._util.progress import StepProgress
from tagger.evaluation import predict_labels
from tagger.labels import LabelStore
from tagger.model import (
    DEFAULT_MAX_TOKENS,
    MEMBERS,
    Calibration,
    Encoder,
    Head,
    Reference,
    TaggerModel,
    prototypes,
)
from tagger.model import tfidf as lexical
from tagger.papers import Paper
from tagger.review import load_strategy, strategy_names
from tagger.review.strategies.base import Pool, Strategy
from tagger.review.strategies.random import Random
from tagger.taxonomy import Taxonomy
from tagger.training import TorchEncoder, load_trainable
from tagger.training import heads as head_training

# The project's own fits: a simulation with others would answer another question.
from tagger.training.calibration import fit_calibration
from tagger.training.heads import HeadInputs, fit_head, fit_lexical, lexical_terms

Rows = npt.NDArray[np.int_]
Truth = dict[str, Booleans]
Found = dict[str, list[float]]
"""Of a strategy: papers needed, with the ends of the interval; F1 by budget."""

FOLDS = 5
BATCH = 10
HANDFUL = 20
DRAWS = 2000
PROCESSES = 2


class KnownVectors:
    """An encoder that knows the vectors of some texts, and looks them up."""

    def __init__(self, texts: Sequence[str], vectors: Vectors) -> None:
        self._vectors = dict(zip(texts, vectors, strict=True))

    def encode(self, texts: Sequence[str], progress: StepProgress | None = None) -> Vectors:
        """Return one vector per text, shape (texts, dimensions)."""
        size = len(next(iter(self._vectors.values())))
        vectors = [self._vectors[text] for text in texts]
        return np.array(vectors, dtype=np.float32).reshape(-1, size)


@dataclass(frozen=True)
class Situation:
    """What a reviewer starts from.

    Parameters
    ----------
    papers, y_true:
        All papers, and per facet their tags, shape (papers, tags).
    encoder:
        Knows the vectors of the papers.
    budgets:
        Numbers of reviewed papers at which a model is fitted.
    """

    taxonomy: Taxonomy
    papers: list[Paper]
    y_true: Truth
    encoder: Encoder
    budgets: Rows


def fit(situation: Situation, rows: Rows) -> TaggerModel:
    """Fit a model on the papers in those places."""
    features, heads = fit_heads(situation, rows)
    reference = Reference((), (), situation.encoder.encode([]), {}, {}, {})
    return TaggerModel(
        situation.taxonomy,
        situation.encoder,
        features,
        {head.facet.name: head for head in heads},
        reference,
        "simulation",
        "",
        {"whole": cross_calibrate(situation, rows)},
    )


def fit_heads(situation: Situation, rows: Rows) -> tuple[lexical.LexicalFeatures, list[Head]]:
    papers = [situation.papers[row] for row in rows]
    vectors = situation.encoder.encode([paper.text for paper in papers])
    features = fit_lexical(papers)
    terms = lexical_terms(features, papers)
    heads = [
        fit_head(
            HeadInputs(
                facet,
                vectors,
                terms,
                situation.y_true[facet.name][rows],
                prototypes(facet, situation.encoder),
            )
        )
        for facet in situation.taxonomy.facets
    ]
    return features, heads


def cross_calibrate(situation: Situation, rows: Rows) -> dict[str, Calibration]:
    """Calibrate on scores of papers that the heads had not seen."""
    taxonomy = situation.taxonomy
    y_true = {name: values[rows] for name, values in situation.y_true.items()}
    scores = {
        facet.name: np.zeros((len(MEMBERS), len(rows), len(facet.tags)))
        for facet in taxonomy.facets
    }
    for held_out in stratified_folds(taxonomy, y_true, 5, 0):
        features, heads = fit_heads(situation, np.delete(rows, held_out))
        papers = [situation.papers[row] for row in rows[held_out]]
        vectors = situation.encoder.encode([paper.text for paper in papers])
        terms = features.transform(papers)
        for head in heads:
            scores[head.facet.name][:, held_out] = head.scores(vectors, terms)
    return {
        facet.name: fit_calibration(facet, y_true[facet.name], scores[facet.name])
        for facet in taxonomy.facets
    }


def stratified_folds(taxonomy: Taxonomy, y_true: Truth, folds: int, seed: int) -> list[Rows]:
    """Split the papers into parts that are alike in the tags of the first exclusive facet."""
    facet = next(facet for facet in taxonomy.facets if facet.exclusive)
    strata = y_true[facet.name].argmax(axis=1)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A tag with fewer papers than folds is absent from some fold.
        warnings.simplefilter("ignore", UserWarning)
        return [held_out for _, held_out in splitter.split(strata, strata)]


def review(
    situation: Situation, strategy: Strategy, known: Rows, pool: Rows, test: Rows
) -> list[Truth]:
    """Return the tags given to the test papers at each budget."""
    given = []
    for budget in situation.budgets:
        model = fit(situation, known)
        probabilities = model.predict_proba([situation.papers[row] for row in test])
        facets = situation.taxonomy.facets
        given.append(
            {facet.name: predict_labels(facet, probabilities[facet.name]) for facet in facets}
        )
        if budget < situation.budgets[-1]:
            papers = [situation.papers[row] for row in pool]
            labelled = situation.encoder.encode([situation.papers[row].text for row in known])
            offered = Pool(papers, model.predict(papers), labelled, situation.taxonomy)
            chosen = strategy.select(offered, BATCH)
            known, pool = np.concatenate([known, pool[chosen]]), np.delete(pool, chosen)
    return given


def simulate(situation: Situation, name: str, seed: int) -> Truth:
    """Return the tags given to all gold papers, shape (budgets, papers, tags) for each facet."""
    # The same papers are counted thousands of times.
    cached = functools.cache(lexical.terms_of)
    for module in (lexical, head_training):
        vars(module)["terms_of"] = cached
    y_true, papers = situation.y_true, np.arange(len(situation.papers))
    given = {
        name: np.zeros((len(situation.budgets), *values.shape), dtype=bool)
        for name, values in y_true.items()
    }
    with threadpool_limits(1):
        for fold in stratified_folds(situation.taxonomy, y_true, FOLDS, seed):
            pool = np.random.default_rng(seed).permutation(np.delete(papers, fold))
            known, pool = pool[:HANDFUL], np.sort(pool[HANDFUL:])
            strategy = Random(seed=seed) if name == "random" else load_strategy(name)
            rounds = review(situation, strategy, known, pool, fold)
            for facet in given:
                given[facet][:, fold] = [answer[facet] for answer in rounds]
    return given


def f1_of(situation: Situation, given: Truth, weights: Floats) -> Floats:
    """Return F1, shape (draws,), papers counted as often as weights of (draws, papers) say.

    Means over tags leave out tags without a paper in truth and answer, as tagger.evaluation does.
    """
    found = []
    for facet in situation.taxonomy.facets:
        right = situation.y_true[facet.name], given[facet.name]
        hits = weights @ (right[0] & right[1])
        total = weights @ right[0] + weights @ right[1]
        if facet.exclusive:
            each = 2 * hits / np.maximum(total, 1)
            found.append(each.sum(axis=1) / np.maximum((total > 0).sum(axis=1), 1))
        else:
            found.append(2 * hits.sum(axis=1) / np.maximum(total.sum(axis=1), 1))
    return np.asarray(np.mean(found, axis=0))


def papers_needed(curve: Floats, target: float, budgets: Rows) -> float:
    """Return the least budget from which on the curve stays at the target; infinite if none."""
    below = np.flatnonzero(curve < target - 1e-12)
    if not len(below):
        return float(budgets[0])
    last = below[-1]
    if last == len(curve) - 1:
        return float("inf")
    rise = (target - curve[last]) / (curve[last + 1] - curve[last])
    return float(budgets[last] + rise * (budgets[last + 1] - budgets[last]))


def measure(situation: Situation, answers: dict[str, list[Truth]]) -> dict[str, Found]:
    """Return the curve of each strategy, and the papers that it needs for the F1 of random.

    ``answers`` has those of each seed.
    """
    rng, papers, budgets = np.random.default_rng(0), len(situation.papers), situation.budgets
    seeds = len(answers["random"])
    # One draw that counts every paper and seed once comes first: the figures themselves.
    weights, of_seeds = (
        np.vstack([np.ones(count), rng.multinomial(count, [1 / count] * count, DRAWS)]).astype(
            float
        )
        for count in (papers, seeds)
    )
    curves = {
        name: np.array(
            [
                [
                    f1_of(situation, {f: v[step] for f, v in run.items()}, weights)
                    for step in range(len(budgets))
                ]
                for run in runs
            ]
        )
        for name, runs in answers.items()
    }
    drawn = {
        name: np.einsum("sbd,ds->db", values, of_seeds / seeds) for name, values in curves.items()
    }
    found = {}
    for name, values in drawn.items():
        pairs = zip(values, drawn["random"], strict=True)
        needed = [papers_needed(curve, random[-1], budgets) for curve, random in pairs]
        ends = np.percentile(needed[1:], [2.5, 97.5], method="nearest")
        found[name] = {"needed": [needed[0], *ends.tolist()], "curve": values[0].tolist()}
    return found


def known_vectors(texts: Sequence[str], quick: bool) -> KnownVectors:
    """Return an encoder that knows the vectors of texts by the bundled encoder."""
    tokens = 32 if quick else DEFAULT_MAX_TOKENS
    encoder = TorchEncoder(load_trainable(str(encoder_folder(quick)), tokens))
    return KnownVectors(texts, encoder.encode(texts))


def situation_of(budgets: Rows, quick: bool) -> Situation:
    """Return what the protocol says: the papers of dev, and what the encoder knows of them."""
    taxonomy = LabelStore(ROOT / "labels").taxonomy
    gold = read_gold(taxonomy)
    definitions = [text for facet in taxonomy.facets for text in facet.descriptions]
    encoder = known_vectors([*(paper.text for paper in gold.papers), *definitions], quick)
    return Situation(taxonomy, gold.papers, gold.y_true, encoder, budgets)


def main() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    options = read_options(__doc__, in_process=True, seeds=(3, 1), budget=(80, 10))
    budgets = np.arange(0, options.budget + 1, BATCH)
    names = sorted(strategy_names(), key=lambda name: (name != "random", name))
    names = names[: 2 if options.quick else None]
    situation = situation_of(budgets, options.quick)
    answers: dict[str, list[Truth]] = {name: [] for name in names}
    with ProcessPoolExecutor(PROCESSES) as executor:
        jobs = list(itertools.product(names, range(options.seeds)))
        runs = executor.map(functools.partial(simulate, situation), *zip(*jobs, strict=True))
        for (name, seed), run in zip(jobs, runs, strict=True):
            answers[name].append(run)
            print(f"{name}, seed {seed}", flush=True)
    found = measure(situation, answers)
    figures = {"budgets": budgets.tolist(), "seeds": options.seeds, "strategies": found}
    write_result(options, "review_efficiency", figures, as_table(found, budgets, options.seeds))
    draw(found, budgets, options.output / "review_efficiency.svg")


def as_table(found: dict[str, Found], budgets: Rows, seeds: int) -> str:
    """Return the table: one row a strategy."""
    last = budgets[-1]

    def percent(papers: float) -> str:
        return f"{papers / last:.0%}" if np.isfinite(papers) else "over 100%"

    lines = [
        f"| strategy | papers for random's F1 | share (95% interval) | F1 after {last} |",
        "|---|---|---|---|",
    ]
    for name, row in found.items():
        needed, low, high = row["needed"]
        shown = f"{needed:.0f}" if np.isfinite(needed) else "not reached"
        share = f"{percent(needed)} ({percent(low)} to {percent(high)})"
        lines.append(f"| {name} | {shown} | {share} | {row['curve'][-1]:.3f} |")
    start = found["random"]["curve"][0]
    foot = (
        f"From {HANDFUL} labels drawn at random: F1, the mean of contribution macro-F1 and domain "
        f"micro-F1, is {start:.3f} before the first review. A simulated reviewer of the 210 "
        f"labelled papers of dev, on which settings were chosen; {seeds} seeds of {FOLDS} folds; "
        "the encoder is not fine-tuned."
    )
    return "\n".join([*lines, "", foot])


def draw(found: dict[str, Found], budgets: Rows, path: Path) -> None:
    """Draw F1 by reviewed papers."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # Colours of Okabe and Ito, told apart by colour-blind readers too.
    others = iter(("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"))
    # Equal figures make an equal file.
    mpl.rcParams["svg.hashsalt"] = "review efficiency"
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, row in found.items():
        colour, line = ("black", "--") if name == "random" else (next(others), "-")
        axes.plot(budgets, row["curve"], label=name, color=colour, linestyle=line)
    target = found["random"]["curve"][-1]
    axes.axhline(target, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="reviewed papers", ylabel="F1")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
