"""How many papers must a person review to reach a given F1, with each review strategy?

A simulated reviewer: the labels of the 210 papers of ../shared/gold are shown to the model only
when a strategy picks the paper. After ``make demo``,

    python experiments/review_efficiency.py

writes experiments/results/review_efficiency.md (the table of the README), .json (all figures), .svg
(the curves) and review_efficiency_details.md (a table a situation). Every strategy installed
takes part, those of other packages too.

The protocol, fixed before the first run:

- The 210 papers are split in 5 parts, five times over, with 5 seeds. Each part is once the test
  papers, while the other 168 are the pool that a strategy picks from. So with each seed each paper
  is tested once, by a model that learned from none of the test papers, and F1 is taken over all
  210.
- Each round a strategy picks 10 papers, the reviewer labels them, and the model is fitted again.
  The budget is 80 papers, about half of the pool: at the whole pool all strategies are one.
- A model is fitted as ``tagger train`` does, with the same classifiers, the same lexical features
  and a calibration on 5-fold out-of-fold scores, but for the encoder, which stays as it is: to
  fine-tune it thousands of times is out of reach.
- Three situations. The first is the headline, because it is the daily use (the seed labels are
  there, papers of new digests are reviewed) and because all labels are alike to its encoder:
  1. the seed labels of labels/ and the bundled encoder as it comes;
  2. 20 papers of the pool, drawn at random, and the bundled encoder: a new taxonomy;
  3. the seed labels and the champion's encoder, which was fine-tuned on them. Out-of-fold scores
     of papers that an encoder was trained on flatter, so the champion's own calibration is kept.
- F1 is the mean of the macro-F1 of contribution and the micro-F1 of domain, the two figures that
  the project quotes.
- A strategy *needs* the least budget from which on its curve, the mean over seeds with straight
  lines between rounds, stays at or above the F1 of random at the full budget. Its share is that
  number over the full budget. Random is measured by the same rule: where its own curve is flat its
  own share is below 100%, and any other share must be read against that.
- Intervals are 95% percentile intervals over 2,000 bootstrap draws, each of papers and of seeds,
  the same for all strategies. A draw in which random's F1 is never reached counts as more than
  100%. They do not cover that other papers would have been picked from another pool.

What was tried on the way, all from 20 labels, so that the best figure can be read for what it is:
for *uncertainty* margins (65%), entropies that every facet counts alike in (60%, kept: the only one
that weighs the facets as F1 does), entropies summed over facets (65%), and margins ranked per facet
(Reichart et al., "Multi-Task Active Learning for Linguistic Annotations", 2008; 67%); besides it
BADGE (Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds", 2020;
72%) and weighted clusters (Zhdanov, "Diverse mini-batch Active Learning", 2019; 68%).
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gold import RESULTS, ROOT, machine, read_gold
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from tagger._util.arrays import Booleans, Floats, Vectors
from tagger.evaluation import predict_labels
from tagger.labels import Label, LabelStore
from tagger.model import (
    DEFAULT_MAX_TOKENS,
    MEMBERS,
    Calibration,
    Encoder,
    Head,
    Progress,
    Reference,
    TaggerModel,
    prototypes,
    sha256_of,
)
from tagger.model import tfidf as lexical
from tagger.papers import Paper
from tagger.registry import Registry
from tagger.review import load_strategy, strategy_names
from tagger.review.strategies.base import Pool, Strategy
from tagger.review.strategies.random import Random
from tagger.taxonomy import Taxonomy
from tagger.training import (
    BUNDLED_ENCODER,
    TorchEncoder,
    TrainingSettings,
    bundled_encoder_folder,
    load_trainable,
)
from tagger.training import heads as head_training

# The project's own fits: a simulation with others would answer another question.
from tagger.training.calibration import fit_calibration
from tagger.training.heads import fit_head, fit_vectorizer

Rows = npt.NDArray[np.int_]
Truth = dict[str, Booleans]

SEEDS = range(5)
FOLDS = 5
BATCH = 10
BUDGETS = np.arange(0, 81, BATCH)
HANDFUL = 20
DRAWS = 2000
TARGET_SHARE = 0.6
PROCESSES = 2
CACHE = Path(__file__).parent / "cache"
FIGURES = (
    "F1",
    "contribution macro-F1",
    "contribution accuracy",
    "domain micro-F1",
    "domain macro-F1",
)


class KnownVectors:
    """An encoder that knows the vectors of some texts, and looks them up."""

    def __init__(self, texts: Sequence[str], vectors: Vectors) -> None:
        self._vectors = dict(zip(texts, vectors, strict=True))

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Return one vector per text, shape (texts, dimensions)."""
        return np.array([self._vectors[text] for text in texts], dtype=np.float32)


@dataclass(frozen=True)
class Situation:
    """What a reviewer starts from.

    Parameters
    ----------
    name:
        What it is called in the results.
    papers, truth:
        All papers, and per facet their tags, shape (papers, tags).
    encoder:
        Knows the vectors of the papers.
    gold:
        Places of the papers that are reviewed or tested.
    start:
        Places of those that are labelled from the start; none for a handful of the pool.
    calibration:
        Of each facet, where it is not to be fitted.
    """

    name: str
    taxonomy: Taxonomy
    papers: list[Paper]
    y_true: Truth
    encoder: Encoder
    gold: Rows
    start: Rows
    calibration: dict[str, Calibration] | None = None


def fit(situation: Situation, rows: Rows) -> TaggerModel:
    """Fit a model on the papers in those places."""
    taxonomy, calibration = situation.taxonomy, situation.calibration
    features, heads = fit_heads(situation, rows)
    if calibration is None:
        calibration = cross_calibrate(situation, rows)
    reference = Reference((), (), situation.encoder.encode([]), {}, {}, {})
    return TaggerModel(
        taxonomy,
        situation.encoder,
        features,
        heads,
        reference,
        "simulation",
        "",
        {"whole": calibration},
    )


def fit_heads(situation: Situation, rows: Rows) -> tuple[lexical.LexicalFeatures, list[Head]]:
    papers = [situation.papers[row] for row in rows]
    vectors = situation.encoder.encode([paper.text for paper in papers])
    vectorizer = fit_vectorizer(papers)
    terms = vectorizer.transform(papers)
    heads = [
        fit_head(
            facet,
            vectors,
            terms,
            situation.y_true[facet.name][rows],
            prototypes(facet, situation.encoder),
        )
        for facet in situation.taxonomy.facets
    ]
    return lexical.LexicalFeatures(
        tuple(vectorizer.get_feature_names_out()), vectorizer.idf_
    ), heads


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
    for budget in BUDGETS:
        model = fit(situation, known)
        probabilities = model.predict_proba([situation.papers[row] for row in test])
        facets = situation.taxonomy.facets
        given.append(
            {facet.name: predict_labels(facet, probabilities[facet.name]) for facet in facets}
        )
        if budget < BUDGETS[-1]:
            papers = [situation.papers[row] for row in pool]
            labelled = situation.encoder.encode([situation.papers[row].text for row in known])
            offered = Pool(papers, model.predict(papers), labelled, situation.taxonomy)
            chosen = strategy.select(offered, BATCH)
            known, pool = np.concatenate([known, pool[chosen]]), np.delete(pool, chosen)
    return given


def simulate(situation: Situation, name: str, seed: int) -> Truth:
    """Return the tags given to all gold papers, shape (budgets, papers, tags) for each facet."""
    # The same papers are counted thousands of times.
    lexical.terms_of = head_training.terms_of = functools.cache(lexical.terms_of)
    taxonomy, gold = situation.taxonomy, situation.gold
    y_true = {name: values[gold] for name, values in situation.y_true.items()}
    given = {
        name: np.zeros((len(BUDGETS), *values.shape), dtype=bool) for name, values in y_true.items()
    }
    with threadpool_limits(1):
        for fold in stratified_folds(taxonomy, y_true, FOLDS, seed):
            known, pool = situation.start, np.delete(gold, fold)
            if not len(known):
                pool = np.random.default_rng(seed).permutation(pool)
                known, pool = pool[:HANDFUL], np.sort(pool[HANDFUL:])
            strategy = Random(seed=seed) if name == "random" else load_strategy(name)
            rounds = review(situation, strategy, known, pool, gold[fold])
            for facet in given:
                given[facet][:, fold] = [answer[facet] for answer in rounds]
    return given


def figures(taxonomy: Taxonomy, y_true: Truth, given: Truth, weights: Floats) -> dict[str, Floats]:
    """Return figures of shape (draws,), papers counted as often as weights of (draws, papers) say.

    Means over tags leave out tags without a paper in truth and answer, as tagger.evaluation does.
    """
    micro, macro = {}, {}
    for facet in taxonomy.facets:
        right = y_true[facet.name], given[facet.name]
        hits = weights @ (right[0] & right[1])
        total = weights @ right[0] + weights @ right[1]
        micro[facet.name] = 2 * hits.sum(axis=1) / np.maximum(total.sum(axis=1), 1)
        each = 2 * hits / np.maximum(total, 1)
        macro[facet.name] = each.sum(axis=1) / np.maximum((total > 0).sum(axis=1), 1)
    return {
        "F1": (macro["contribution"] + micro["domain"]) / 2,
        "contribution macro-F1": macro["contribution"],
        # One tag a paper, given and true: micro-F1 is the share of right answers.
        "contribution accuracy": micro["contribution"],
        "domain micro-F1": micro["domain"],
        "domain macro-F1": macro["domain"],
    }


def papers_needed(curve: Floats, target: float) -> float:
    """Return the least budget from which on the curve stays at the target; infinite if none."""
    below = np.flatnonzero(curve < target - 1e-12)
    if not len(below):
        return float(BUDGETS[0])
    last = below[-1]
    if last == len(curve) - 1:
        return float("inf")
    rise = (target - curve[last]) / (curve[last + 1] - curve[last])
    return float(BUDGETS[last] + rise * (BUDGETS[last + 1] - BUDGETS[last]))


def measure(situation: Situation, answers: dict[str, list[Truth]]) -> dict[str, object]:
    """Turn the answers of each strategy, one a seed, into the figures of the table."""
    y_true = {name: values[situation.gold] for name, values in situation.y_true.items()}
    rng = np.random.default_rng(0)
    papers = len(situation.gold)
    draws = rng.multinomial(papers, np.full(papers, 1 / papers), DRAWS).astype(np.float64)
    seeds = rng.multinomial(len(SEEDS), np.full(len(SEEDS), 1 / len(SEEDS)), DRAWS) / len(SEEDS)
    measured = {}
    drawn = {}
    for name, runs in answers.items():
        # One draw that counts every paper once comes first: the figures themselves.
        weights = np.concatenate([np.ones((1, papers)), draws])
        steps = [
            [
                figures(situation.taxonomy, y_true, {f: v[step] for f, v in run.items()}, weights)
                for step in range(len(BUDGETS))
            ]
            for run in runs
        ]
        values = {
            figure: np.array([[step[figure] for step in run] for run in steps])
            for figure in FIGURES
        }
        measured[name] = {figure: values[figure][:, :, 0] for figure in FIGURES}
        drawn[name] = np.einsum("sbd,ds->db", values["F1"][:, :, 1:], seeds)
    target = float(measured["random"]["F1"][:, -1].mean())
    shares = {
        name: np.array(
            [
                papers_needed(curve, fair[-1])
                for curve, fair in zip(drawn[name], drawn["random"], strict=True)
            ]
        )
        / BUDGETS[-1]
        for name in answers
    }
    return {
        "situation": situation.name,
        "target F1": target,
        "strategies": {
            name: summary(measured[name], target, shares[name], drawn[name], drawn["random"])
            for name in answers
        },
    }


def summary(
    measured: dict[str, Floats], target: float, shares: Floats, drawn: Floats, random: Floats
) -> dict[str, object]:
    """Gather the figures of one strategy; measured values are of shape (seeds, budgets)."""
    curve = measured["F1"].mean(axis=0)
    needed = papers_needed(curve, target)
    ahead = (drawn - random).mean(axis=1)
    return {
        "papers needed": finite(needed),
        "share": finite(needed / BUDGETS[-1]),
        "share interval": [
            finite(value) for value in np.percentile(shares, [2.5, 97.5], method="nearest")
        ],
        "share of draws at target": float((shares <= TARGET_SHARE).mean()),
        "mean F1 over the budgets": float(curve.mean()),
        "mean lead over random": float((drawn - random).mean()),
        "mean lead interval": [float(value) for value in np.percentile(ahead, [2.5, 97.5])],
        "share by seed": [
            finite(papers_needed(run, target) / BUDGETS[-1]) for run in measured["F1"]
        ],
        "curves": {
            figure: {
                "mean": values.mean(axis=0).round(4).tolist(),
                "by seed": values.round(4).tolist(),
            }
            for figure, values in measured.items()
        },
    }


def finite(value: float) -> float | None:
    """Return the number, or none for one that is never reached: JSON has no infinity."""
    return float(value) if np.isfinite(value) else None


def known_vectors(
    origin: str, encode: Callable[[list[str]], Vectors], papers: Sequence[Paper]
) -> KnownVectors:
    """Return an encoder of the papers' vectors, kept in a file named by what they are made from.

    Parameters
    ----------
    origin:
        A hash of the encoder.
    encode:
        Called if the vectors are not known yet.
    papers:
        The papers.
    """
    texts = [paper.text for paper in papers]
    key = json.dumps([origin, DEFAULT_MAX_TOKENS, texts])
    path = CACHE / f"vectors-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if path.exists():
        return KnownVectors(texts, np.load(path, allow_pickle=False))
    vectors = encode(texts)
    CACHE.mkdir(exist_ok=True)
    np.save(path, vectors, allow_pickle=False)
    return KnownVectors(texts, vectors)


def encode_frozen(texts: list[str]) -> Vectors:
    return TorchEncoder(load_trainable(BUNDLED_ENCODER, DEFAULT_MAX_TOKENS)).encode(texts)


def seed_champion(taxonomy: Taxonomy, labels: Sequence[Label]) -> TaggerModel:
    """Return the champion, if it was trained on these labels and no others."""
    registry = Registry()
    version = registry.find("champion")
    if version.fingerprint != TrainingSettings().fingerprint(taxonomy, labels):
        raise SystemExit(f"{version.name} was trained on other labels than the seed: make demo")
    return registry.load(version)


def situations() -> list[Situation]:
    """Return the three situations of the protocol, the headline first."""
    store = LabelStore(ROOT / "labels")
    taxonomy, labels = store.taxonomy, [label for label in store.labels() if label.source == "seed"]
    gold = read_gold(taxonomy)
    papers = [label.paper for label in labels] + gold.papers
    y_true = {
        facet.name: np.concatenate(
            [
                [[tag in label.tags[facet.name] for tag in facet.tag_names] for label in labels],
                gold.y_true[facet.name],
            ]
        )
        for facet in taxonomy.facets
    }
    seed = np.arange(len(labels))
    others = np.arange(len(labels), len(papers))
    champion = seed_champion(taxonomy, labels)
    tuned = known_vectors(champion.digest, champion.encoder.encode, papers)
    bundled = sha256_of(bundled_encoder_folder() / "model.safetensors")
    frozen = known_vectors(bundled, encode_frozen, papers)
    kept = dict(champion.calibrations["whole"])
    common = taxonomy, papers, y_true
    return [
        Situation(f"from {len(seed)} seed labels", *common, frozen, others, seed),
        Situation(f"from {HANDFUL} labels", *common, frozen, others, seed[:0]),
        Situation("from the champion", *common, tuned, others, seed, kept),
    ]


def main() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    names = sorted(strategy_names(), key=lambda name: (name != "random", name))
    results = []
    with ProcessPoolExecutor(PROCESSES) as executor:
        for situation in situations():
            jobs = list(itertools.product(names, SEEDS))
            runs = executor.map(functools.partial(simulate, situation), *zip(*jobs, strict=True))
            answers: dict[str, list[Truth]] = {name: [] for name in names}
            for (name, _), run in zip(jobs, runs, strict=True):
                answers[name].append(run)
            results.append(measure(situation, answers))
            print(as_table(results[-1]), flush=True)
    content = {"budgets": BUDGETS.tolist(), "seeds": len(SEEDS), "situations": results}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "review_efficiency.json").write_text(
        json.dumps(content, indent=1) + "\n", encoding="utf-8"
    )
    (RESULTS / "review_efficiency.md").write_text(as_short_table(results), encoding="utf-8")
    (RESULTS / "review_efficiency_details.md").write_text(as_page(results), encoding="utf-8")
    draw(results, RESULTS / "review_efficiency.svg")


def as_short_table(results: list[dict[str, object]]) -> str:
    """Return the table of the README: one row a strategy, all situations side by side."""
    headline = next(result for result in results if result["situation"] == f"from {HANDFUL} labels")
    budget = BUDGETS[-1]
    columns = [f"{result['situation']}: F1 after {budget}" for result in results]
    lines = [
        f"| strategy | papers for random's F1, {headline['situation']} | share (95% interval) | "
        + " | ".join(columns)
        + " |",
        "|---" * (3 + len(results)) + "|",
    ]
    for name, row in headline["strategies"].items():
        needed = row["papers needed"]
        low, high = (percent(value) for value in row["share interval"])
        ends = [
            f"{result['strategies'][name]['curves']['F1']['mean'][-1]:.3f}" for result in results
        ]
        lines.append(
            f"| {name} | {'not reached' if needed is None else f'{needed:.0f}'} "
            f"| {percent(row['share'])} ({low} to {high}) | " + " | ".join(ends) + " |"
        )
    starts = ", ".join(
        f"{result['situation']} {result['strategies']['random']['curves']['F1']['mean'][0]:.3f}"
        for result in results
    )
    foot = (
        f"F1, the mean of contribution macro-F1 and domain micro-F1, is {starts} before the first "
        f"review. With the seed labels there, random papers raise it by little or nothing, so that "
        f"papers saved can be counted from {HANDFUL} labels only. A simulated reviewer of the 210 "
        f"labelled papers, {len(SEEDS)} seeds of {FOLDS} folds, encoder as it stands; one run on "
        f"{machine()}."
    )
    return "\n".join([*lines, "", foot]) + "\n"


def as_page(results: list[dict[str, object]]) -> str:
    parts = [
        f"## {str(result['situation']).capitalize()}\n\n{as_table(result)}\n{reading(result)}\n"
        for result in results
    ]
    foot = (
        f"F1 is the mean of contribution macro-F1 and domain micro-F1 over 210 papers. Papers "
        f"needed: the least number from which on the mean curve stays at the F1 that random has "
        f"after {BUDGETS[-1]} reviewed papers of a pool; the share is that number over "
        f"{BUDGETS[-1]}. Means over {len(SEEDS)} seeds of {FOLDS} folds, {BATCH} papers a round, "
        f"the encoder as it stands throughout; 95% bootstrap intervals over papers and seeds, and "
        f"how many of the draws meet the target of {TARGET_SHARE:.0%}. The whole protocol is at "
        f"the head of [review_efficiency.py](../review_efficiency.py); all other figures are in "
        f"[review_efficiency.json](review_efficiency.json). One run on {machine()}."
    )
    picture = "![F1 by reviewed papers](review_efficiency.svg)\n"
    return "\n".join(["# Papers to review, by strategy\n", picture, *parts, foot]) + "\n"


def reading(result: dict[str, object]) -> str:
    """Say in words whether the target is met, and whether that means anything."""
    rows = result["strategies"]
    start, *_, end = rows["random"]["curves"]["F1"]["mean"]
    if end <= start:
        return (
            f"Here the shares say nothing of saved work: random has {end:.3f} after {BUDGETS[-1]} "
            f"papers and had {start:.3f} before the first. The lead over random tells the "
            f"strategies apart."
        )
    others = {name: row["share"] for name, row in rows.items() if name != "random"}
    best = min(others, key=lambda name: np.inf if others[name] is None else others[name])
    met = others[best] is not None and others[best] <= TARGET_SHARE
    return (
        f"Random goes from {start:.3f} to {end:.3f}. The target of {TARGET_SHARE:.0%} is "
        f"{'met' if met else 'not met'}: {best} comes nearest, with {percent(others[best])}."
    )


def as_table(result: dict[str, object]) -> str:
    lines = [
        f"| strategy | papers needed | share | share, 95% | draws with {TARGET_SHARE:.0%} or less "
        f"| F1 at 0 | F1 at {BUDGETS[-1] // 2} | F1 at {BUDGETS[-1]} | mean lead over random |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in result["strategies"].items():
        needed, share = row["papers needed"], row["share"]
        curve = row["curves"]["F1"]["mean"]
        low, high = (percent(value) for value in row["share interval"])
        lead = "{:+.3f} ({:+.3f} to {:+.3f})".format(
            row["mean lead over random"], *row["mean lead interval"]
        )
        lines.append(
            f"| {name} | {'not reached' if needed is None else f'{needed:.0f}'} | {percent(share)} "
            f"| {low} to {high} | {row['share of draws at target']:.0%} | {curve[0]:.3f} "
            f"| {curve[len(curve) // 2]:.3f} | {curve[-1]:.3f} "
            f"| {'' if name == 'random' else lead} |"
        )
    return "\n".join(lines) + "\n"


def percent(share: float | None) -> str:
    return "over 100%" if share is None else f"{share:.0%}"


def draw(results: list[dict[str, object]], path: Path) -> None:
    """Draw F1 by reviewed papers, one panel a situation."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # Colours of Okabe and Ito, told apart by colour-blind readers too.
    colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
    # Equal figures make an equal file.
    mpl.rcParams["svg.hashsalt"] = "review efficiency"
    figure = Figure(figsize=(4.2 * len(results), 4), layout="constrained")
    for axes, result in zip(figure.subplots(1, len(results)), results, strict=True):
        others = itertools.cycle(colours)
        for name, row in result["strategies"].items():
            fair = name == "random"
            style = {"color": "black", "linestyle": "--"} if fair else {"color": next(others)}
            axes.plot(BUDGETS, row["curves"]["F1"]["mean"], label=name, **style)
        axes.axhline(result["target F1"], color="grey", linewidth=0.8, linestyle=":")
        axes.axvline(TARGET_SHARE * BUDGETS[-1], color="grey", linewidth=0.8, linestyle=":")
        axes.set_title(result["situation"])
        axes.set_xlabel("reviewed papers")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("F1")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=6,
        frameon=False,
    )
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
