"""Are tags found again that were hidden: does tagger discover see what a taxonomy lacks?

Heads are trained on labels/seed.jsonl as if some domain tags did not exist, on the encoder as it
comes. They are asked about the 210 papers of ../shared/gold, 80% of them drawn at a time; papers
without a likely tag are clustered. A candidate matches a hidden tag if half of its papers or more
have it. A tag counts as recovered if one of the first five candidates matches it; only tags with
enough papers among those without a likely tag are asked for. Ten tags are hidden one at a time, and
five at a time in 20 draws.

Settings are chosen by the draws of five: the highest harmonic mean of recovery and precision. To be
honest about tags that nobody has looked at, each single tag is also judged by the settings that are
best on those draws that do not have it.

    python experiments/discovery.py  # writes experiments/results/discovery.*
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gold import RESULTS, ROOT, Gold, machine, read_gold

from tagger._util.arrays import Floats, Vectors, unit
from tagger.labels import LabelStore
from tagger.model import Calibration, Head, VectorCache, calibrated_probabilities, prototypes
from tagger.taxonomy import Facet, discover, uncovered_papers
from tagger.taxonomy.discovery import DISTANCE, find_clusters
from tagger.taxonomy.discovery import MIN_PAPERS as LEAST
from tagger.training import TrainingData, bundled_encoder
from tagger.training.calibration import fit_calibration
from tagger.training.data import assign_folds
from tagger.training.heads import fit_head, fit_vectorizer

CACHE = VectorCache(Path(tempfile.gettempdir()) / "tagger-experiments" / "vectors.sqlite")
FACET = "domain"
LEAST_PAPERS = 5
DRAWS = 3
DRAWN = 0.8
GROUPS, GROUP = 20, 5
FIRST = 5
DISTANCES = (0.7, 0.75, 0.8, 0.85, 0.9)
MIN_SAMPLES = (1, 2, 3)
MIN_PAPERS = (4, 5, 6)

Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int_]
Cluster = tuple[Integers, float]


@dataclass(frozen=True)
class Method:
    """A way to cluster: by agglomeration up to a distance, or by HDBSCAN."""

    name: str
    parameter: float
    min_papers: int

    def clusters(self, vectors: Vectors, far: Integers) -> list[Cluster]:
        if self.name == "agglomerative":
            return find_clusters(vectors, far, self.parameter, self.min_papers)
        return self._hdbscan(vectors, far)

    def _hdbscan(self, vectors: Vectors, far: Integers) -> list[Cluster]:
        from sklearn.cluster import HDBSCAN

        if len(far) < self.min_papers:
            return []
        own = unit(vectors - vectors.mean(axis=0))[far]
        of = HDBSCAN(
            min_cluster_size=self.min_papers, min_samples=int(self.parameter), copy=True
        ).fit_predict(own)
        found = []
        for number in range(int(of.max()) + 1):
            rows = np.flatnonzero(of == number)
            cosines = own[rows] @ own[rows].T
            pairs = len(rows) * (len(rows) - 1)
            found.append((far[rows], float(cosines.sum() - len(rows)) / pairs))
        return found

    def __str__(self) -> str:
        what = "distance" if self.name == "agglomerative" else "min_samples"
        return f"{self.name}, {what} {self.parameter:g}, {self.min_papers} papers or more"


METHODS = [
    *(Method("agglomerative", distance, least) for distance in DISTANCES for least in MIN_PAPERS),
    *(Method("HDBSCAN", samples, least) for samples in MIN_SAMPLES for least in MIN_PAPERS),
]
CHOSEN = Method("agglomerative", DISTANCE, LEAST)


class Papers:
    """Seed labels and gold papers as vectors and words, and heads that know some of the tags."""

    def __init__(self) -> None:
        store = LabelStore(ROOT / "labels")
        labels = store.labels()
        self.facet = store.taxonomy.facet(FACET)
        self.gold: Gold = read_gold(store.taxonomy)
        data = TrainingData.of(labels, store.taxonomy)
        self.seed_truth = data.y_true[FACET]
        self.y_true = self.gold.y_true[FACET]
        encoder = bundled_encoder(CACHE)
        papers = [label.paper for label in data.labels]
        self.seed_vectors = encoder.encode([paper.text for paper in papers])
        self.definitions = prototypes(self.facet, encoder)
        self.vectors = encoder.encode([paper.text for paper in self.gold.papers])
        vectorizer = fit_vectorizer(papers)
        self.seed_terms = vectorizer.transform(papers)
        self.terms = vectorizer.transform(self.gold.papers)
        folds = assign_folds(data.ids, data.strata(), 5, 0)
        everything = list(range(len(self.facet.tags)))
        scores = np.zeros((2, *self.seed_truth.shape))
        for fold in range(5):
            unseen = np.flatnonzero(folds == fold)
            head = self._head(everything, np.flatnonzero(folds != fold))
            scores[:, unseen] = head.scores(self.seed_vectors[unseen], self.seed_terms[unseen])
        self.calibration: Calibration = fit_calibration(self.facet, self.seed_truth, scores)

    def probabilities(self, hidden: Sequence[int]) -> Floats:
        """Return what is said of the gold papers by heads that lack some tags."""
        known = [column for column in range(len(self.facet.tags)) if column not in hidden]
        head = self._head(known, np.arange(len(self.seed_truth)))
        scores = head.scores(self.vectors, self.terms)
        return calibrated_probabilities(head.facet, scores, self.calibration)

    def _head(self, columns: list[int], rows: Integers) -> Head:
        tags = [self.facet.tags[column].model_dump() for column in columns]
        facet = Facet.model_validate({**self.facet.model_dump(), "tags": tags})
        return fit_head(
            facet,
            self.seed_vectors[rows],
            self.seed_terms[rows],
            self.seed_truth[np.ix_(rows, columns)],
            self.definitions[columns],
        )


def look(
    papers: Papers, hidden: Sequence[int], probabilities: Floats, method: Method
) -> Counter[str]:
    """Count hidden tags, those recovered, candidates and those that match, over draws."""
    tally: Counter[str] = Counter()
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        count = round(DRAWN * len(papers.y_true))
        rows = np.sort(rng.choice(len(papers.y_true), count, replace=False))
        y_true = papers.y_true[np.ix_(rows, hidden)]
        far = uncovered_papers(probabilities[rows])
        clusters = method.clusters(papers.vectors[rows], far)
        clusters.sort(key=lambda cluster: -len(cluster[0]) * cluster[1])
        shares = [y_true[own].mean(axis=0) for own, _ in clusters[:FIRST]]
        matched = {int(share.argmax()) for share in shares if share.max() >= 0.5}
        asked = set(np.flatnonzero(y_true[far].sum(axis=0) >= LEAST_PAPERS).tolist())
        tally.update(
            hidden=len(asked),
            recovered=len(asked & matched),
            candidates=len(shares),
            matching=sum(int(share.max() >= 0.5) for share in shares),
            tries=1,
        )
    return tally


def recovery(tally: Counter[str]) -> float:
    return tally["recovered"] / max(tally["hidden"], 1)


def precision(tally: Counter[str]) -> float:
    return tally["matching"] / max(tally["candidates"], 1)


def harmonic(tally: Counter[str]) -> float:
    both = recovery(tally) + precision(tally)
    return 2 * recovery(tally) * precision(tally) / both if both else 0.0


def together(tallies: Sequence[Counter[str]]) -> Counter[str]:
    whole: Counter[str] = Counter()
    for tally in tallies:
        whole.update(tally)
    return whole


def cells(tally: Counter[str]) -> str:
    candidates = tally["candidates"] / max(tally["tries"], 1)
    return f"{recovery(tally):.2f} | {precision(tally):.2f} | {candidates:.1f}"


def main() -> None:
    papers = Papers()
    names = papers.facet.tag_names
    asked = [column for column in range(len(names)) if papers.y_true[:, column].sum() >= 5]
    rng = np.random.default_rng(0)
    groups = [sorted(rng.choice(asked, GROUP, replace=False).tolist()) for _ in range(GROUPS)]
    of_one: dict[Method, list[Counter[str]]] = {method: [] for method in METHODS}
    of_group: dict[Method, list[Counter[str]]] = {method: [] for method in METHODS}
    for found, hidden_sets in ((of_one, [[column] for column in asked]), (of_group, groups)):
        for hidden in hidden_sets:
            probabilities = papers.probabilities(hidden)
            for method in METHODS:
                found[method].append(look(papers, hidden, probabilities, method))
    best = max(METHODS, key=lambda method: harmonic(together(of_group[method])))
    honest = []
    for place, column in enumerate(asked):
        without = [number for number, group in enumerate(groups) if column not in group]
        method = max(
            METHODS,
            key=lambda method: harmonic(together([of_group[method][n] for n in without])),
        )
        honest.append(of_one[method][place])
    shown = sorted(METHODS, key=lambda method: -harmonic(together(of_group[method])))
    lines = [
        f"| {method} | {cells(together(of_one[method]))} | {cells(together(of_group[method]))} |"
        for method in dict.fromkeys([CHOSEN, *shown])
    ]
    by_tag = [
        f"| {names[column]} | {int(papers.truth[:, column].sum())} | "
        f"{of_one[CHOSEN][place]['hidden']} | {of_one[CHOSEN][place]['recovered']} |"
        for place, column in enumerate(asked)
    ]
    vectors, probabilities = papers.vectors, papers.probabilities([])
    candidates = discover(papers.gold.papers, vectors, probabilities, papers.facet)
    real = [
        f"| {', '.join(one.terms)} | {len(one.papers)} | {one.coherence:.2f} |"
        for one in candidates
    ]
    table = "\n".join(
        [
            "| settings | one hidden: recovery | precision | candidates | five hidden: recovery "
            "| precision | candidates |",
            "|---|---|---|---|---|---|---|",
            *lines,
            f"| one hidden, settings chosen without it | {cells(together(honest))} | | | |",
            "",
            f"The first line is what `tagger discover` does; best by five hidden tags: {best}. "
            "Precision counts groups of papers that have none of the hidden tags as wrong, though "
            "they may well be tags that the taxonomy lacks, such as those at the foot.",
            "",
            "| tag, hidden alone | papers | draws with enough papers | recovered |",
            "|---|---|---|---|",
            *by_tag,
            "",
            "| with no tag hidden: terms | papers | coherence |",
            "|---|---|---|",
            *real,
            "",
            f"{len(papers.truth)} papers, {DRAWS} draws of {DRAWN:.0%} each, {GROUPS} groups of "
            f"{GROUP} tags; one run on {machine()}.",
        ]
    )
    details = {
        str(method): {
            "one": dict(together(of_one[method])),
            "five": dict(together(of_group[method])),
        }
        for method in METHODS
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "discovery.md").write_text(table + "\n", encoding="utf-8")
    (RESULTS / "discovery.json").write_text(json.dumps(details, indent=1) + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
