"""Are tags found again that were hidden: does tagger discover see what a taxonomy lacks?

Heads are trained on labels/seed.jsonl as if some domain tags did not exist, on the encoder as it
comes. They are asked about the 210 papers of ../shared/gold, 80% of them drawn at a time; papers
without a likely tag are clustered. A candidate matches a hidden tag if half of its papers or more
have it. A tag counts as recovered if one of the first five candidates matches it; only tags with
enough papers among those without a likely tag are asked for. Ten tags are hidden one at a time, and
five at a time in 20 draws. The distance and size of clusters were chosen on these same tags.

    python experiments/discovery.py  # writes experiments/results/discovery.*
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from gold import encoder_folder, read_gold, some
from record import ROOT, read_options, write_result

from tagger._util.arrays import Floats, Integers
from tagger.labels import LabelStore
from tagger.model import (
    Calibration,
    Encoder,
    Head,
    VectorCache,
    calibrated_probabilities,
    prototypes,
)
from tagger.taxonomy import Facet, uncovered_papers
from tagger.taxonomy.discovery import DISTANCE, MIN_PAPERS, find_clusters
from tagger.training import TorchEncoder, TrainingData, bundled_encoder, load_trainable
from tagger.training.calibration import fit_calibration
from tagger.training.data import assign_folds
from tagger.training.heads import HeadInputs, fit_head, fit_lexical, lexical_terms

CACHE = VectorCache(Path(tempfile.gettempdir()) / "tagger-experiments" / "vectors.sqlite")
FACET = "domain"
LEAST_PAPERS = 5
DRAWS = 3
DRAWN = 0.8
FIRST = 5


class Papers:
    """Seed labels and gold papers as vectors and words, and heads that know some of the tags."""

    def __init__(self, quick: bool) -> None:
        store = LabelStore(ROOT / "labels")
        labels = some(store.labels(), quick)
        self.facet = store.taxonomy.facet(FACET)
        gold = read_gold(store.taxonomy)
        data = TrainingData.of(labels, store.taxonomy)
        self.seed_truth = data.y_true[FACET]
        self.y_true = gold.y_true[FACET]
        encoder: Encoder = bundled_encoder(CACHE)
        if quick:
            encoder = TorchEncoder(load_trainable(str(encoder_folder(quick)), 32))
        papers = [label.paper for label in data.labels]
        self.seed_vectors = encoder.encode([paper.text for paper in papers])
        self.definitions = prototypes(self.facet, encoder)
        self.vectors = encoder.encode([paper.text for paper in gold.papers])
        lexical = fit_lexical(papers)
        self.seed_terms = lexical_terms(lexical, papers)
        self.terms = lexical_terms(lexical, gold.papers)
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
        given = HeadInputs(
            facet,
            self.seed_vectors[rows],
            self.seed_terms[rows],
            self.seed_truth[rows][:, columns],
            self.definitions[columns],
        )
        return fit_head(given)


def look(papers: Papers, hidden: Sequence[int]) -> Counter[str]:
    """Count hidden tags, those recovered, candidates and those that match, over draws."""
    tally: Counter[str] = Counter()
    probabilities = papers.probabilities(hidden)
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        count = round(DRAWN * len(papers.y_true))
        rows = np.sort(rng.choice(len(papers.y_true), count, replace=False))
        y_true = papers.y_true[rows][:, list(hidden)]
        far = uncovered_papers(probabilities[rows])
        clusters = find_clusters(papers.vectors[rows], far, DISTANCE, MIN_PAPERS)
        clusters.sort(key=lambda cluster: -len(cluster[0]) * cluster[1])
        shares = [y_true[own].mean(axis=0) for own, _ in clusters[:FIRST]]
        matched = {int(share.argmax()) for share in shares if share.max() >= 0.5}
        asked = set(np.flatnonzero(y_true[far].sum(axis=0) >= LEAST_PAPERS).tolist())
        tally.update(
            hidden=len(asked),
            recovered=len(asked & matched),
            candidates=len(shares),
            matching=sum(int(share.max() >= 0.5) for share in shares),
            draws=1,
        )
    return tally


def main() -> None:
    options = read_options(__doc__, in_process=True, groups=(20, 2))
    papers = Papers(options.quick)
    asked = np.flatnonzero(papers.y_true.sum(axis=0) >= LEAST_PAPERS).tolist()
    rng = np.random.default_rng(0)
    hidden = {
        "one": [[column] for column in asked],
        "five": [sorted(rng.choice(asked, 5, replace=False)) for _ in range(options.groups)],
    }
    found = {
        name: sum((look(papers, one) for one in sets), Counter()) for name, sets in hidden.items()
    }
    lines = ["| hidden tags | recovered | groups that match one | groups |", "|---|---|---|---|"]
    for name, tally in found.items():
        recovered = tally["recovered"] / max(tally["hidden"], 1)
        matching = tally["matching"] / max(tally["candidates"], 1)
        groups = tally["candidates"] / tally["draws"]
        lines.append(f"| {name} | {recovered:.0%} | {matching:.0%} | {groups:.1f} |")
    foot = (
        f"{len(papers.y_true)} papers of dev, {DRAWS} draws of {DRAWN:.0%} each. A group without a "
        "hidden tag may well be of a tag that the taxonomy lacks. Settings were chosen on these "
        "tags."
    )
    write_result(options, "discovery", found, "\n".join([*lines, "", foot]))


if __name__ == "__main__":
    main()
