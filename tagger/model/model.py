"""The model: predict calibrated probabilities of the tags of papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tagger._util.arrays import Floats, Integers, Vectors
from tagger._util.progress import StepProgress
from tagger.errors import TaggerError
from tagger.evaluation import DEFAULT_THRESHOLD
from tagger.model.calibration import (
    Calibration,
    calibrated_probabilities,
    logits_of,
    member_probabilities,
)
from tagger.model.decision import NEVER, ReviewRule, decide
from tagger.model.encoder import Encoder
from tagger.model.heads import Head
from tagger.model.novelty import novelty_reasons
from tagger.model.tfidf import LexicalFeatures
from tagger.model.training_reference import Reference
from tagger.papers import EFFORTS, TEXT_VIEWS, Paper, TaggedPaper
from tagger.taxonomy import Taxonomy

_BATCH_SIZE = 1024
"""Number of papers that are predicted at a time."""

Calibrations = Mapping[str, Mapping[str, Calibration]]
"""Calibrations by text view and facet."""
Thresholds = Mapping[str, Mapping[str, float]]
"""Minimum probabilities of a given tag, by effort and facet."""


@dataclass(frozen=True)
class Predictions:
    """Vectors of papers, shape (papers, dimensions), and calibrated probabilities per facet.

    ``probabilities`` have shape (papers, tags); ``members``, those by each member of the head
    alone, have shape (members, papers, tags).
    """

    vectors: Vectors
    probabilities: dict[str, Floats]
    members: dict[str, Floats]

    def take(self, indices: Integers) -> Predictions:
        """Return the predictions for some of the papers."""
        return Predictions(
            self.vectors[indices],
            {name: values[indices] for name, values in self.probabilities.items()},
            {name: values[:, indices] for name, values in self.members.items()},
        )


@dataclass(eq=False, repr=False)
class TaggerModel:
    """An encoder and lexical features, shared by the heads of all facets.

    Parameters
    ----------
    heads:
        By facet, in the order of the taxonomy.
    reference:
        The labelled papers, to compare new papers with.
    name, digest:
        Name of the model in results, for example ``tagger/7``, and SHA-256 of its manifest, which
        contains the SHA-256 of every other file.
    calibrations:
        By text view and facet. By default only the whole text is read, and scores are logits.
    effort_thresholds, effort_calibrations:
        By effort and facet. By default thresholds are 0.5, and the mean over the text views of an
        effort is not calibrated.
    effort:
        The text views that the encoder reads, see :data:`tagger.papers.EFFORTS`.
    """

    taxonomy: Taxonomy
    encoder: Encoder
    lexical: LexicalFeatures
    heads: Mapping[str, Head]
    reference: Reference
    name: str
    digest: str
    calibrations: Calibrations = field(default_factory=dict)
    effort_thresholds: Thresholds = field(default_factory=dict)
    effort_calibrations: Calibrations = field(default_factory=dict)
    effort: str = "full"

    def __post_init__(self) -> None:
        whole = {"whole": dict.fromkeys(self.heads, Calibration())}
        self.calibrations = self.calibrations or whole

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Minimum probability of a given tag by facet; not for exclusive facets."""
        return self.effort_thresholds.get(self.effort) or dict.fromkeys(
            self.heads, DEFAULT_THRESHOLD
        )

    def rule(self, min_confidence: float = ReviewRule().min_confidence) -> ReviewRule:
        """Return the rule that gives tags by the model's thresholds.

        A paper that is given a tag with too few labels goes to review.
        """
        accept = {
            name: dict.fromkeys(calibration.capped, NEVER)
            for name, calibration in self.calibrations["whole"].items()
        }
        return ReviewRule(min_confidence, accept, self.thresholds)

    def at_effort(self, effort: str) -> TaggerModel:
        """Return the same model with another effort.

        Raises a TaggerError if the effort is unknown, or the model has no calibrations for it.
        """
        if effort == self.effort:
            return self
        if effort not in EFFORTS:
            raise TaggerError(f"unknown effort '{effort}'", hint=f"Known: {', '.join(EFFORTS)}")
        if not {*EFFORTS[effort]} <= {*self.calibrations}:
            raise TaggerError(
                f"{self.name} is not calibrated for {effort} effort",
                hint="Train a model with tagger train, or tag with --effort full",
            )
        return replace(self, effort=effort, reference=replace(self.reference, effort=effort))

    def encode(self, papers: Sequence[Paper], progress: StepProgress | None = None) -> Vectors:
        """Return vectors of the whole texts at any effort, shape (papers, dimensions)."""
        return self.encoder.encode([paper.text for paper in papers], progress)

    def predict(self, papers: Sequence[Paper], progress: StepProgress | None = None) -> Predictions:
        """Predict papers; ``progress`` is called with the papers done and the total number."""
        batches = [
            self._predict_batch(papers, start, progress)
            for start in range(0, max(len(papers), 1), _BATCH_SIZE)
        ]
        return Predictions(
            np.concatenate([batch.vectors for batch in batches]),
            {name: np.concatenate([b.probabilities[name] for b in batches]) for name in self.heads},
            {
                name: np.concatenate([b.members[name] for b in batches], axis=1)
                for name in self.heads
            },
        )

    def _predict_batch(
        self, papers: Sequence[Paper], start: int, progress: StepProgress | None
    ) -> Predictions:
        batch = [papers[index] for index in range(start, min(start + _BATCH_SIZE, len(papers)))]
        views = [view for view in EFFORTS[self.effort] if view in self.calibrations]
        texts = [TEXT_VIEWS[view](paper) for view in views for paper in batch]
        # Views of a short paper may be the same text.
        index = {text: place for place, text in enumerate(dict.fromkeys(texts))}

        def report(done: int, total: int) -> None:
            if progress:
                progress(start + done * len(batch) // total, len(papers))

        vectors = self.encoder.encode([*index], report)
        shape = len(views), len(batch), vectors.shape[1]
        vectors = vectors[[index[text] for text in texts]].reshape(shape)
        terms = self.lexical.transform(batch)
        probabilities, members = {}, {}
        for name, head in self.heads.items():
            words = head.lexical.scores(terms)
            by_view = [
                (np.stack([head.encoder.scores(each), words]), self.calibrations[view][name])
                for view, each in zip(views, vectors, strict=True)
            ]
            found = [calibrated_probabilities(head.facet, *each) for each in by_view]
            alone = [member_probabilities(head.facet, *each) for each in by_view]
            probabilities[name], members[name] = np.mean(found, axis=0), np.mean(alone, axis=0)
            if self.effort in self.effort_calibrations:
                logits = logits_of(head.facet, probabilities[name])[None]
                calibration = self.effort_calibrations[self.effort][name]
                probabilities[name] = calibrated_probabilities(head.facet, logits, calibration)
        return Predictions(vectors[-1], probabilities, members)

    def decide(
        self,
        papers: Sequence[Paper],
        predictions: Predictions,
        rule: ReviewRule,
        similarity: Floats | None = None,
    ) -> list[TaggedPaper]:
        """Return papers with their tags. Those that are unlike the labelled ones go to review.

        ``similarity`` to the labelled papers, shape (papers,), is computed unless it is given.
        """
        if similarity is None:
            similarity = self.reference.similarity_of(predictions.vectors)
        novelty = novelty_reasons(papers, similarity, self.reference)
        return decide(papers, predictions.probabilities, self.taxonomy, self.name, rule, novelty)

    def predict_proba(self, papers: Sequence[Paper]) -> dict[str, Floats]:
        """Return calibrated probabilities of shape (papers, tags) for each facet.

        Columns are in the order of ``tag_names``; rows of an exclusive facet sum to 1.
        """
        if not papers:
            return {name: np.zeros((0, len(h.facet.tags))) for name, h in self.heads.items()}
        return self.predict(papers).probabilities
