"""How often does the gate let a version pass that is as good as the champion, or 5 points worse?

Versions are heads on the bundled encoder, trained on the seed labels and a random share of the 867
papers of ../shared/gold. Each predicts all of these papers out of fold. A comparison draws 50, 100
or 200 of the papers as audit sample, and the gate decides. Two versions are made truly equal by
swapping their predictions at random, paper by paper: what they differ in stays. The challenger is
made 5 points worse by giving it the predictions of a version that learned from a part of the seed
labels, on as many papers as that takes. How much two versions differ without being better or worse
depends on how much of the training they share, so there are several pairs. Two simulations have no
papers: constant confidence, which makes accuracy all that is known; and 60 tags.

    python experiments/gate.py  # writes experiments/results/gate.*
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gold import encoder_folder, label_of, read_gold, some
from record import ROOT, SHARED, read_options, write_result

from tagger._util.arrays import Booleans, Floats, Vectors
from tagger.evaluation import GateRules, HeldOut, apply_gate, compare
from tagger.labels import Label, LabelStore
from tagger.model import Encoder, VectorCache
from tagger.papers import Paper, paper_id
from tagger.taxonomy import Facet, Taxonomy
from tagger.training import (
    TorchEncoder,
    TrainingData,
    TrainingSettings,
    bundled_encoder,
    load_trainable,
)
from tagger.training.cross_validation import cross_validate_on
from tagger.training.encoders import TrainedEncoder
from tagger.training.run import plan_folds

CACHE = VectorCache(Path(tempfile.gettempdir()) / "tagger-experiments" / "vectors.sqlite")
SETTINGS = TrainingSettings(epochs=0)
WORSE = 0.05
WORSE_NAME = "5 points worse"
VERDICTS = ("passed", "cannot tell", "failed")
Measured = dict[str, Any]
Tables = dict[str, HeldOut]


class Remembering:
    """An encoder that encodes each text once."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.known: dict[str, Vectors] = {}

    def encode(self, texts: Sequence[str], progress: object = None) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known |= dict(zip(new, self.encoder.encode(new), strict=True))
        return np.array([self.known[text] for text in texts])


class Untimed(TrainedEncoder):
    """An encoder whose cost is not measured, since it is never exported."""

    megabytes = 0.0

    def seconds_per_100(self, papers: Sequence[Paper], max_tokens: int) -> float:
        return 0.0


def read_labels(taxonomy: Taxonomy) -> list[Label]:
    """Return the labelled papers of all three sets."""
    gold = read_gold(taxonomy)
    labels = [label_of(gold, row, taxonomy) for row in range(len(gold.papers))]
    for name in ("dev2", "pool"):
        for line in (SHARED / "gold" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            content = json.loads(line)
            tags = {one.name: tuple(np.atleast_1d(content[one.name])) for one in taxonomy.facets}
            labels.append(
                Label(
                    id=paper_id(content["title"]),
                    title=content["title"],
                    text=content["abstract"],
                    tags=tags,
                    annotator="gold",
                    time=datetime(2026, 1, 1, tzinfo=UTC),
                    source="review",
                )
            )
    return list({label.id: label for label in labels}.values())


class Versions:
    """Trains versions on parts of the labels and predicts all gold papers out of fold."""

    def __init__(self, quick: bool) -> None:
        store = LabelStore(ROOT / "labels")
        gold = some(read_labels(store.taxonomy), quick)
        known = {label.id for label in gold}
        seeds = [label for label in some(store.labels(), quick) if label.id not in known]
        self.seeds = len(seeds)
        self.data = TrainingData.of([*seeds, *gold], store.taxonomy)
        self.folds = plan_folds(self.data, SETTINGS)
        self.encoder = Remembering(
            TorchEncoder(load_trainable(str(encoder_folder(quick)), 32))
            if quick
            else bundled_encoder(CACHE)
        )

    def train(self, seed: int, of_gold: float, of_seeds: float = 1.0) -> Tables:
        """Train on shares of the papers and seed labels; with one seed, larger shares add some."""
        share = np.where(np.arange(len(self.folds)) < self.seeds, of_seeds, of_gold)
        kept = np.random.default_rng(seed).random(len(share)) < share
        indices = [np.flatnonzero((self.folds != fold) & kept) for fold in range(SETTINGS.folds)]
        encoders = self._encoders()
        checked = cross_validate_on(self.data, self.folds, indices, SETTINGS, encoders)
        papers = np.arange(self.seeds, len(self.folds))
        return {table.facet.name: table.take(papers) for table in checked.out_of_fold}

    def _encoders(self) -> Iterator[TrainedEncoder]:
        while True:
            yield Untimed(self.encoder, Path())


def mixed(one: HeldOut, other: HeldOut, from_other: Booleans) -> HeldOut:
    """Take the predictions of ``other`` for some of the papers."""
    taken = np.where(from_other[:, None], other.probabilities, one.probabilities)
    return replace(one, probabilities=taken, threshold=(one.threshold + other.threshold) / 2)


@dataclass(frozen=True)
class Pair:
    """Two versions and a weaker one; ``share`` of its predictions make a version 5 points worse."""

    one: Tables
    two: Tables
    weak: Tables
    share: float

    def draw(self, rng: np.random.Generator, papers: int, *, worse: bool) -> tuple[Tables, Tables]:
        count = len(next(iter(self.one.values())).ids)
        chosen = rng.choice(count, papers, replace=False)
        swapped, replaced = rng.random(papers) < 0.5, rng.random(papers) < self.share * worse
        old, new = {}, {}
        for name in self.one:
            one, two, weak = (side[name].take(chosen) for side in (self.one, self.two, self.weak))
            samples = np.full(papers, "audit")
            old[name] = replace(mixed(one, two, swapped), samples=samples)
            new[name] = replace(mixed(mixed(two, one, swapped), weak, replaced), samples=samples)
        return old, new


def pair_of(one: Tables, two: Tables, weak: Tables) -> Pair:
    facet = next(name for name, table in one.items() if table.facet.exclusive)
    accuracy = [side[facet].right.mean() for side in (one, two, weak)]
    return Pair(one, two, weak, WORSE / (np.mean(accuracy[:2]) - accuracy[2]))


def facet_of(tags: int, *, exclusive: bool = True) -> Facet:
    content = [{"name": f"tag-{n}", "definition": "A tag."} for n in range(tags)]
    return Facet.model_validate(
        {"name": "kind", "definition": "What.", "exclusive": exclusive, "tags": content}
    )


def table_of(facet: Facet, y_true: Booleans, probabilities: Floats) -> Tables:
    ids = tuple(map(str, range(len(y_true))))
    samples, folds = np.full(len(ids), "audit"), np.ones(len(ids), int)
    return {"kind": HeldOut(facet, ids, ids, folds, y_true, probabilities, samples=samples)}


def constant(
    rng: np.random.Generator, papers: int, *, worse: bool, shared: float
) -> tuple[Tables, Tables]:
    """Five tags, accuracy 0.75 of both, or 0.70 of the second; the same confidence everywhere.

    A ``shared`` part of the papers is right or wrong in both, but for those that are worse.
    """
    kinds, facet = rng.integers(0, 5, papers), facet_of(5)
    luck = rng.random(papers)
    other = np.where(rng.random(papers) < shared, luck, rng.random(papers))
    sides = []
    for right in (luck < 0.75, other < 0.75 - WORSE * worse):
        given = np.where(right, kinds, (kinds + rng.integers(1, 5, papers)) % 5)
        sides.append(table_of(facet, np.eye(5, dtype=bool)[kinds], np.eye(5)[given] * 0.7 + 0.06))
    return sides[0], sides[1]


def many_tags(
    rng: np.random.Generator, papers: int, *, worse: bool, exclusive: bool, shared: float
) -> tuple[Tables, Tables]:
    """Sixty tags; scores of both versions are noisy, and part of the noise is shared."""
    weight = 1 / np.arange(1, 61) ** 0.8
    y_true = np.zeros((papers, 60), bool)
    for row in y_true:
        size = 1 if exclusive else rng.integers(0, 4)
        row[rng.choice(60, size, replace=False, p=weight / weight.sum())] = True
    common, sides = rng.normal(size=y_true.shape), []
    # More noise costs 5 points of accuracy, or of micro-F1.
    for noisier in (0, (0.095 if exclusive else 0.108) * worse):
        own = rng.normal(size=y_true.shape)
        noise = (1.6 + noisier) * (shared**0.5 * common + (1 - shared) ** 0.5 * own)
        odds = np.exp((5 * y_true if exclusive else 6 * y_true - 4.2) + noise)
        total = odds.sum(axis=1, keepdims=True) if exclusive else 1 + odds
        sides.append(table_of(facet_of(60, exclusive=exclusive), y_true, odds / total))
    return sides[0], sides[1]


def measure(draw: Callable[..., tuple[Tables, Tables]], papers: int, rounds: int) -> Measured:
    """Return how often all rules pass, fail, or cannot tell, and how the versions differ."""
    found: Measured = {"papers": papers}
    for name, worse in (("equal", False), (WORSE_NAME, True)):
        rng = np.random.default_rng(0)
        verdicts, differing, lost = [], [], []
        for _ in range(rounds):
            old, new = draw(rng, papers, worse=worse)
            outcomes = apply_gate(compare(("1", old), ("2", new)), GateRules())
            refused = any(not one.passed and not one.cannot_tell for one in outcomes)
            passed = all(one.passed for one in outcomes)
            verdicts.append("failed" if refused else "passed" if passed else "cannot tell")
            one, two = (next(iter(side.values())) for side in (old, new))
            differing.append((one.right != two.right).mean())
            lost.append(one.metrics()["micro_f1"] - two.metrics()["micro_f1"])
        found[name] = {
            **{each: verdicts.count(each) / rounds for each in VERDICTS},
            "differing": float(np.mean(differing)),
            "points lost": 100 * float(np.mean(lost)),
        }
        print(papers, name, found[name], flush=True)
    return found


def main() -> None:
    options = read_options(__doc__, in_process=True, rounds=(300, 3))
    rounds: int = options.rounds
    versions = Versions(options.quick)
    champion, more = versions.train(0, 0.25), versions.train(0, 0.35)
    other, weak = versions.train(1, 0.25), versions.train(0, 0.0, 0.4)
    kinds: dict[str, Callable[..., tuple[Tables, Tables]]] = {
        "a quarter of the papers, and 87 more": pair_of(champion, more, weak).draw,
        "two different quarters of the papers": pair_of(champion, other, weak).draw,
        "constant confidence, 95% shared": partial(constant, shared=0.95),
        "constant confidence, 80% shared": partial(constant, shared=0.8),
        "60 tags, one a paper": partial(many_tags, exclusive=True, shared=0.95),
        "60 tags, up to three a paper": partial(many_tags, exclusive=False, shared=0.95),
    }
    found = {
        name: [
            measure(draw, papers, rounds) for papers in ((50,) if options.quick else (50, 100, 200))
        ]
        for name, draw in kinds.items()
    }
    write_result(options, "gate", found, gate_table(found, rounds))


def gate_table(found: dict[str, list[Measured]], rounds: int) -> str:
    lines = [
        "| versions | reviewed papers | only one right | equal: passed | cannot tell | failed "
        "| 5 points worse: passed | cannot tell | failed |",
        "|---" * 9 + "|",
    ]
    for name, rows in found.items():
        for row in rows:
            cells = [name, str(row["papers"]), f"{row['equal']['differing']:.1%}"]
            for kind in ("equal", WORSE_NAME):
                cells += [f"{row[kind][each]:.1%}" for each in VERDICTS]
            lines.append(f"| {' | '.join(cells)} |")
    lost = {
        name: np.mean([row[WORSE_NAME]["points lost"] for row in rows])
        for name, rows in found.items()
    }
    return "\n".join(
        [
            *lines,
            "",
            f"Of {rounds} simulated comparisons each. The first two kinds are heads on the bundled "
            "encoder, trained on the seed labels and papers of dev, dev2 and the whole pool; all "
            'facets must pass. "Only one right" is the share of papers that only one of two equal '
            "versions gets right. The worse version lost on average "
            f"{', '.join(f'{value:.1f}' for value in lost.values())} points, in this order. The "
            "rules of the gate were chosen on such simulations.",
        ]
    )


if __name__ == "__main__":
    main()
