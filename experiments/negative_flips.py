"""Does training with ``--compatible-with`` break fewer papers, at the same F1?

Labels grow from 50 to 100, 150 and 210, as in use: seed labels in an order drawn by chance, then
60 papers of ../shared/gold. At each step a new version is trained twice, plainly and with
``compatible_with`` the version before it in the same line, and both are asked about the other 150
gold papers, which none of them ever sees. A negative flip is a paper that the version before had
right and the new one has wrong. Both lines fine-tune on the same labels, so each encoder is
fine-tuned once. All lines of all seeds count; the intervals are over papers.

    python experiments/negative_flips.py            # writes experiments/results/negative_flips.*
    python experiments/negative_flips.py --seeds 1  # a quicker look
    python experiments/negative_flips.py --keep /tmp/versions  # goes on where it was broken off
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gold import RESULTS, ROOT, Gold, label_of, machine, read_gold
from seeds import for_each_seed

from tagger.atomic import replacing
from tagger.compatibility import Champion, load_compatibility, save_compatibility
from tagger.encoder_cache import EncoderCache
from tagger.evaluation import assign, bootstrap_weights, evaluate, interval, weighted_figures
from tagger.labels import LabelStore
from tagger.model import TaggerModel, load_model
from tagger.taxonomy import Taxonomy
from tagger.training import TrainingSettings, train

SIZES = (50, 100, 150, 210)
FROM_GOLD = 60
FOLDS = 2
_CACHE_LIMIT = 2**32
ARMS = ("plain", "compatible")
FACET_FIGURE = {True: "macro_f1", False: "micro_f1"}

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """What one version says of the test papers, per facet."""

    truth: dict[str, Booleans]
    chances: dict[str, Floats]
    right: dict[str, Booleans]
    figures: dict[str, float]
    cross_validated: dict[str, float]


Lines = list[tuple[npt.NDArray[np.int_], dict[str, list[Answer]]]]
"""Per order of the labels: the rows of the test papers, and per arm what each version says."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=1, help="orders at a time, one core each")
    parser.add_argument("--keep", type=Path, help="keep versions here, and take those there are")
    options = parser.parse_args()
    store = LabelStore(ROOT / "labels")
    with tempfile.TemporaryDirectory() as scratch:
        line = partial(grow, options.keep or Path(scratch))
        lines = for_each_seed(line, options.seeds, options.jobs)
    write(lines, store, len(read_gold(store.taxonomy).papers))


def grow(folder: Path, seed: int) -> tuple[npt.NDArray[np.int_], dict[str, list[Answer]]]:
    """Train both lines of versions, which share the first, in one order of the labels."""
    store = LabelStore(ROOT / "labels")
    gold = read_gold(store.taxonomy)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(gold.papers))
    known, test = order[:FROM_GOLD], np.sort(order[FROM_GOLD:])
    seed_labels = store.labels()
    labels = [seed_labels[row] for row in rng.permutation(len(seed_labels))]
    labels += [label_of(gold, row, store.taxonomy) for row in known]

    encoders = EncoderCache(folder / "encoders", _CACHE_LIMIT)

    def version(size: int, kept: Champion | None) -> tuple[Champion, Answer]:
        name = f"{seed}-{size}-{'compatible' if kept else 'plain'}"
        place, left = folder / name, folder / f"{name}.safetensors"
        metrics = folder / f"{name}.json"
        if not metrics.exists():
            settings = TrainingSettings(
                folds=FOLDS, seed=seed, compatible_with=kept.model.name if kept else None
            )
            result = train(
                labels[:size],
                store.taxonomy,
                settings,
                place,
                champion=kept,
                learning_curve=False,
                encoders=encoders,
            )
            assert result.left
            save_compatibility(result.left, left)
            with replacing(metrics) as file:
                json.dump(result.metrics, file)
        model = load_model(place)
        answer = ask(model, gold, test, json.loads(metrics.read_text(encoding="utf-8")))
        print(name, answer.figures, flush=True)
        return Champion(model, load_compatibility(left)), answer

    champion, first = version(SIZES[0], None)
    answers = {arm: [first] for arm in ARMS}
    for size in SIZES[1:]:
        answers["plain"].append(version(size, None)[1])
    for size in SIZES[1:]:
        champion, answer = version(size, champion)
        answers["compatible"].append(answer)
    return test, answers


def ask(
    model: TaggerModel, gold: Gold, test: npt.NDArray[np.int_], metrics: dict[str, float]
) -> Answer:
    chances = model.predict_proba([gold.papers[row] for row in test])
    right, figures, cross_validated = {}, {}, {}
    truths = {facet.name: gold.truth[facet.name][test] for facet in model.taxonomy.facets}
    for facet in model.taxonomy.facets:
        truth, name = truths[facet.name], FACET_FIGURE[facet.exclusive]
        right[facet.name] = (assign(facet, chances[facet.name]) == truth).all(axis=1)
        figures[facet.name] = evaluate(facet, truth, chances[facet.name])[name]
        cross_validated[facet.name] = metrics[f"{facet.name}/{name}"]
    return Answer(truths, chances, right, figures, cross_validated)


def flips(answers: list[Answer], facets: list[str], negative: bool) -> npt.NDArray[np.float64]:
    """Count the flips of each test paper over all steps and facets, shape (papers,)."""
    count = np.zeros(len(answers[0].right[facets[0]]))
    for before, after in pairwise(answers):
        for facet in facets:
            old, new = before.right[facet], after.right[facet]
            count += (old & ~new) if negative else (~old & new)
    return count


def write(lines: Lines, store: LabelStore, papers: int) -> None:
    facets = [facet.name for facet in store.taxonomy.facets]
    rows, summary = [], {}
    # Each paper once, and then the draws. The orders share most of their test papers, so a paper
    # is drawn for all of them.
    weights = np.vstack([np.ones(papers), bootstrap_weights(papers)])
    for name, chosen in [*((facet, [facet]) for facet in facets), ("both", facets)]:
        found = {}
        for arm in ARMS:
            answers = [line[arm] for _, line in lines]
            found[arm] = {
                "negative": [flips(line, chosen, True) for line in answers],
                "positive": [flips(line, chosen, False) for line in answers],
                "f1": np.mean(
                    [[answer.figures[f] for f in chosen] for line in answers for answer in line[1:]]
                ),
                "last": np.mean([[line[-1].figures[f] for f in chosen] for line in answers]),
                "cross_validated": np.mean(
                    [
                        [answer.cross_validated[f] for f in chosen]
                        for line in answers
                        for answer in line[1:]
                    ]
                ),
            }
        difference, least, most = f1_difference(lines, store.taxonomy, chosen, weights)
        ratio, low, high = flip_ratio(
            [test for test, _ in lines], [found[arm]["negative"] for arm in ARMS], weights
        )
        summary[name] = {
            "fewer": 1 - ratio,
            "interval": [1 - high, 1 - low],
            "f1_difference": difference,
            "f1_difference_interval": [least, most],
            **{
                arm: {
                    "negative": int(np.sum(found[arm]["negative"])),
                    "positive": int(np.sum(found[arm]["positive"])),
                    **{
                        key: round(float(found[arm][key]), 4)
                        for key in ("f1", "last", "cross_validated")
                    },
                }
                for arm in ARMS
            },
        }
        plain, compatible = (summary[name][arm] for arm in ARMS)
        rows.append(
            f"| {name} | {plain['negative']} | {compatible['negative']} "
            f"| {1 - ratio:.0%} ({1 - high:.0%} to {1 - low:.0%}) "
            f"| {plain['positive']} | {compatible['positive']} "
            f"| {plain['f1']:.3f} | {compatible['f1']:.3f} "
            f"| {difference:+.3f} ({least:+.3f} to {most:+.3f}) "
            f"| {plain['last']:.3f} | {compatible['last']:.3f} |"
        )
    cases = len(lines) * (len(SIZES) - 1) * len(lines[0][0])
    table = "\n".join(
        [
            "| facet | negative flips, plain | compatible | fewer (95% interval) "
            "| positive flips, plain | compatible | mean F1, plain | compatible "
            "| difference (95% interval) | last F1, plain | compatible |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"Labels grow {', '.join(map(str, SIZES))}; {cases} chances to flip a facet: "
            f"{len(lines)} orders of the labels, {len(SIZES) - 1} steps, {len(lines[0][0])} papers "
            "that no version saw. F1 is macro-F1 of the contribution and micro-F1 of the domain; "
            f"{FOLDS}-fold calibration; one run on {machine()}.",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "negative_flips.md").write_text(table + "\n", encoding="utf-8")
    details = {
        "sizes": SIZES,
        "summary": summary,
        "orders": [
            {
                arm: {
                    "negative": {
                        name: int(flips(line[arm], [name], True).sum()) for name in facets
                    },
                    "versions": [
                        {"figures": answer.figures, "cross_validated": answer.cross_validated}
                        for answer in line[arm]
                    ],
                }
                for arm in ARMS
            }
            for _, line in lines
        ],
    }
    (RESULTS / "negative_flips.json").write_text(
        json.dumps(details, indent=2) + "\n", encoding="utf-8"
    )
    print(table)


def f1_difference(
    lines: Lines, taxonomy: Taxonomy, chosen: list[str], weights: Floats
) -> tuple[float, float, float]:
    """Return the mean F1 of compatible versions less that of plain ones, with its 95% interval.

    ``weights`` has shape (draws, papers); the first row is the papers as they are.
    """
    means = {
        arm: np.mean(
            [
                weighted_figures(
                    facet, a.truth[facet.name], a.chances[facet.name], weights[:, test]
                )[FACET_FIGURE[facet.exclusive]]
                for test, line in lines
                for a in line[arm][1:]
                for facet in taxonomy.facets
                if facet.name in chosen
            ],
            axis=0,
        )
        for arm in ARMS
    }
    difference = means["compatible"] - means["plain"]
    return float(difference[0]), *interval(difference[1:])


def flip_ratio(
    tests: list[npt.NDArray[np.int_]], arms: list[list[Floats]], weights: Floats
) -> tuple[float, float, float]:
    """Return the ratio of flips, compatible to plain, and its 95% interval."""
    plain, compatible = (
        np.sum([weights[:, test] @ flips for test, flips in zip(tests, arm, strict=True)], axis=0)
        for arm in arms
    )
    ratios = compatible / np.maximum(plain, 1)
    return float(ratios[0]), *interval(ratios[1:])


if __name__ == "__main__":
    main()
