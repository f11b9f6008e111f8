"""Compare two model versions on labelled papers that neither was trained on when it tagged them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Booleans
from tagger.errors import TaggerError
from tagger.evaluation.metrics import SHOWN_METRICS, HeldOut, Interval, bootstrap_weights, interval
from tagger.evaluation.samples import MIN_PAPERS, Sample, measured_on, split_samples
from tagger.taxonomy import Facet, Taxonomy, translate_facet

Verdict = Literal["better", "no difference", "worse"]
_Value = TypeVar("_Value", bound=np.generic)
_MIN_BRIER_PER_ERROR = 0.1
"""Minimum difference in Brier score between a wrong and a right tag."""


@dataclass(frozen=True, slots=True)
class Change:
    """A figure before and after, with the 95% interval of the difference (after minus before).

    The interval comes from a paired bootstrap: each sample holds the same papers for both versions
    (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993).
    """

    before: float
    after: float
    interval: Interval
    higher_is_better: bool = True

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.after - self.before

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval of the difference excludes zero."""
        return self.interval[0] > 0 or self.interval[1] < 0

    @property
    def verdict(self) -> Verdict:
        """Direction of the change, if it is beyond noise."""
        if not self.beyond_noise:
            return "no difference"
        return "better" if (self.difference > 0) is self.higher_is_better else "worse"


@dataclass(frozen=True, slots=True)
class Flip:
    """A paper that only one of two versions tags correctly, with its true and predicted tags."""

    id: str
    title: str
    y_true: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """Change of the Brier score, in points of micro-F1 (1 is 100%; above 0 is better).

    The micro-F1 is the accuracy in an exclusive facet. The change per paper, summed over tags, is
    divided by what a wrong tag costs more than a right one on average, and by the mean number of
    tags that a paper has and gets: turning 1 of 100 papers from right to wrong is about -0.01. It
    varies less than the micro-F1, because it also counts how sure a version is. ``error`` is the
    standard error.
    """

    points: float
    error: float


@dataclass(frozen=True, slots=True)
class FacetComparison:
    """Two versions compared in one facet, on one sample of papers.

    ``sampled`` counts the papers not chosen by a review strategy; ``unseen`` counts those that a
    version was trained without, which it tagged as it tags new papers. ``figures`` has
    the names of :data:`tagger.evaluation.SHOWN_METRICS`; ``tags`` holds the F1 of each tag and
    ``labels`` the number of papers with it. ``losses`` has the p-value of a one-sided sign test
    that a tag became worse, on the papers where only one version assigns or omits it correctly.
    Negative flips are papers that were right and are wrong now; positive flips are the reverse (Yan
    et al., "Positive-Congruent Training", 2021). ``p_value`` is that of McNemar's exact test on the
    flips ("Note on the sampling error of the difference between correlated proportions or
    percentages", 1947).
    """

    facet: str
    sample: Sample
    papers: int
    sampled: int
    unseen: int
    score: ScoreChange
    figures: dict[str, Change]
    tags: dict[str, Change]
    losses: dict[str, float]
    labels: dict[str, int]
    negative_flips: tuple[Flip, ...]
    positive_flips: tuple[Flip, ...]
    p_value: float

    @property
    def negative_flip_rate(self) -> float:
        """Share of papers that were right and are wrong now."""
        return len(self.negative_flips) / self.papers

    @property
    def measured_on(self) -> str:
        """Number and kind of the papers, in words."""
        return measured_on(self.papers, self.sample)

    @property
    def verdict(self) -> Verdict:
        """Whether macro-F1 changed beyond noise."""
        return self.figures["macro_f1"].verdict


@dataclass(frozen=True, slots=True)
class Churn:
    """Papers without labels that two versions tag differently: share and titles per facet."""

    papers: int
    shares: dict[str, float]
    titles: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Speed:
    """Throughput of both versions on this machine, in abstracts per second."""

    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of two versions, facet by facet: on reviewed papers, then on seed labels.

    ``left_out`` counts the papers that both versions held out in different folds: versions differ
    there by the choice of training papers, too. ``skipped`` names the facets that
    cannot be compared: only one version has the facet, it is exclusive in only one of them, or tags
    of the earlier version are missing from the later taxonomy without a replacement. ``unmeasured``
    are those in which only the second version was measured. Churn and speed are set if they were.
    """

    before: str
    after: str
    facets: tuple[FacetComparison, ...]
    skipped: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    left_out: int = 0
    churn: Churn | None = None
    speed: Speed | None = None

    @property
    def main(self) -> dict[str, FacetComparison]:
        """Each facet on reviewed papers, or on seed labels if too few were reviewed."""
        found: dict[str, FacetComparison] = {}
        for facet in self.facets:
            known = found.setdefault(facet.facet, facet)
            if known.papers < MIN_PAPERS and known.sample != "seed":
                found[facet.facet] = facet
        return found

    @property
    def verdict(self) -> Verdict:
        """``worse`` if one of :attr:`main` is worse beyond noise, else ``better`` if any is."""
        verdicts = {facet.verdict for facet in self.main.values()}
        if "worse" in verdicts:
            return "worse"
        return "better" if "better" in verdicts else "no difference"

    @property
    def headline(self) -> str:
        """Verdict, mean change of macro-F1 and papers: ``better, +0.03 on 60 reviewed``.

        If some facets are better and others worse, or some are on seed labels, the change of each.
        """
        groups: dict[str, list[FacetComparison]] = {}
        for facet in self.main.values():
            papers = "seed labels, too few reviewed" if facet.sample == "seed" else "reviewed"
            groups.setdefault(papers, []).append(facet)
        verdicts = {facet.verdict for facet in self.main.values()}
        shown: str = self.verdict
        for papers, facets in sorted(groups.items()):
            changes = {facet.facet: facet.figures["macro_f1"].difference for facet in facets}
            figures = f"{sum(changes.values()) / len(changes):+.2f}"
            if len(groups) > 1 or {"better", "worse"} <= verdicts:
                figures = ", ".join(f"{name} {change:+.2f}" for name, change in changes.items())
            shown += f", {figures} on {max(facet.papers for facet in facets)} {papers}"
        return shown

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON data, including verdicts and differences."""
        content = {**asdict(self), "verdict": self.verdict}
        for entry, facet in zip(content["facets"], self.facets, strict=True):
            entry |= {"verdict": facet.verdict, "negative_flip_rate": facet.negative_flip_rate}
            for group, changes in (("figures", facet.figures), ("tags", facet.tags)):
                for name, change in changes.items():
                    entry[group][name]["difference"] = change.difference
        return content


def compare(
    before: tuple[str, Mapping[str, HeldOut]],
    after: tuple[str, Mapping[str, HeldOut]],
    *,
    same_folds: bool = True,
) -> Comparison:
    """Compare two versions, each a name and its predictions per facet.

    Papers count that both versions held out in the same fold, and those that a version was trained
    without (fold 0). Without ``same_folds``, only the latter count. If a paper was relabelled
    between the versions, the label of ``after`` counts. A tag that only one version knows counts as
    never predicted by the other. Raises a TaggerError if the versions share no facet, or no
    labelled paper counts.
    """
    (before_name, old), (after_name, new) = before, after
    common = [name for name in new if name in old]
    facets: list[FacetComparison] = []
    left_out: set[str] = set()
    for name in common:
        if old[name].facet.exclusive == new[name].facet.exclusive:
            pair, unpaired = _pair(old[name], new[name], same_folds=same_folds)
            left_out |= unpaired
            was, now = (split_samples(side, minimum=1) for side in pair)
            facets += [_compare_on(sample, was[sample], now[sample]) for sample in now]
    if not common:
        raise TaggerError(
            f"{before_name} and {after_name} have no facet in common that can be compared",
            hint="See 'tagger taxonomy diff': list renamed tags under 'replaces' in the taxonomy",
        )
    if not facets:
        raise TaggerError(
            f"{before_name} and {after_name} have no labelled paper that can be compared",
            hint=f"They held out {len(left_out)} papers in different folds: train with the "
            "--folds of the champion"
            if left_out
            else "Only papers in the labels of both versions can be compared",
        )
    skipped = tuple(sorted({*old, *new} - {facet.facet for facet in facets}))
    return Comparison(before_name, after_name, tuple(facets), skipped, left_out=len(left_out))


def measure_churn(
    titles: Sequence[str],
    before: Mapping[str, Sequence[frozenset[str]]],
    after: Mapping[str, Sequence[frozenset[str]]],
) -> Churn:
    """Find the papers whose tags differ, for each facet that both versions have.

    ``before`` and ``after`` have the tags of each paper by facet, in the order of ``titles``.
    """
    changed = {}
    for name in after:
        if name in before:
            pairs = zip(titles, before[name], after[name], strict=True)
            changed[name] = tuple(title for title, old, new in pairs if old != new)
    shares = {name: len(differing) / max(len(titles), 1) for name, differing in changed.items()}
    return Churn(len(titles), shares, changed)


def translate_predictions(
    held_out: Mapping[str, HeldOut], taxonomy: Taxonomy
) -> dict[str, HeldOut]:
    """Translate the predictions of an earlier version into a later taxonomy.

    Retired tags are dropped; in an exclusive facet the other probabilities are rescaled to sum
    to 1. A facet is dropped if one of its tags cannot be translated.
    """
    translated = {}
    for name, earlier in held_out.items():
        translation = translate_facet(taxonomy, name, earlier.facet.tag_names)
        if translation is None or translation.facet.exclusive != earlier.facet.exclusive:
            continue
        probabilities = translation.probabilities(earlier.probabilities)
        if earlier.facet.exclusive:
            total = probabilities.sum(axis=1, keepdims=True)
            probabilities = np.divide(probabilities, total, out=probabilities, where=total > 0)
        y_true = translation.probabilities(earlier.y_true.astype(np.float64)) > 0
        # A tag that several became is capped if all of them were.
        pairs = zip(earlier.facet.tag_names, translation.becomes, strict=True)
        enough = {now for tag, tags in pairs if tag not in earlier.capped for now in tags}
        translated[name] = replace(
            earlier,
            facet=translation.facet,
            y_true=y_true,
            probabilities=probabilities,
            capped=tuple(tag for tag in translation.facet.tag_names if tag not in enough),
        )
    return translated


def _pair(
    old: HeldOut, new: HeldOut, *, same_folds: bool
) -> tuple[tuple[HeldOut, HeldOut], set[str]]:
    """Return the predictions of both versions for the same papers, with the same labels and tags.

    Also returns the ids of the papers that both held out in different folds.
    """
    index = {name: position for position, name in enumerate(old.ids)}
    new = new.take([position for position, name in enumerate(new.ids) if name in index])
    old = old.take([index[name] for name in new.ids])
    paired = (old.folds == 0) | (new.folds == 0) | (same_folds & (old.folds == new.folds))
    facet = _with_all_tags(new.facet, old.facet)
    y_true = _columns(new.y_true, new.facet, facet)
    sides = [
        replace(
            side,
            facet=facet,
            y_true=y_true,
            probabilities=_columns(side.probabilities, side.facet, facet),
            samples=new.samples,
        ).take(np.flatnonzero(paired))
        for side in (old, new)
    ]
    return (sides[0], sides[1]), {new.ids[position] for position in np.flatnonzero(~paired)}


def _compare_on(sample: Sample, old: HeldOut, new: HeldOut) -> FacetComparison:
    from scipy.stats import binom, binomtest

    sides, facet, y_true = (old, new), new.facet, new.y_true
    weights = bootstrap_weights(len(new.ids))
    points = [side.metrics() for side in sides]
    samples = [side.weighted_figures(weights) for side in sides]

    def change(name: str, *, higher_is_better: bool = True) -> Change:
        noise = interval(samples[1][name] - samples[0][name])
        return Change(points[0][name], points[1][name], noise, higher_is_better)

    def flips(mask: Booleans) -> tuple[Flip, ...]:
        found = []
        for index in np.flatnonzero(mask):
            tags = (y_true, old.predicted, new.predicted)
            names = (tuple(np.array(facet.tag_names)[one[index]]) for one in tags)
            found.append(Flip(new.ids[index], new.titles[index], *names))
        return tuple(found)

    was, now = (side.predicted == y_true for side in sides)
    lost, won = (was & ~now).sum(axis=0), (~was & now).sum(axis=0)
    negative, positive = flips(old.right & ~new.right), flips(~old.right & new.right)
    changed = len(negative) + len(positive)
    return FacetComparison(
        facet=facet.name,
        sample=sample,
        papers=len(new.ids),
        sampled=int(np.isin(new.samples, ("audit", "reviewed")).sum()),
        unseen=int(((old.folds == 0) | (new.folds == 0)).sum()),
        score=_score_change(old, new),
        figures={
            name: change(name, higher_is_better=metric.higher_is_better)
            for name, metric in SHOWN_METRICS.items()
        },
        tags={tag: change(f"f1/{tag}") for tag in facet.tag_names},
        losses=dict(
            zip(facet.tag_names, map(float, binom.sf(lost - 1, lost + won, 0.5)), strict=True)
        ),
        labels=dict(zip(facet.tag_names, map(int, y_true.sum(axis=0)), strict=True)),
        negative_flips=negative,
        positive_flips=positive,
        p_value=float(binomtest(len(negative), changed).pvalue) if changed else 1.0,
    )


def _score_change(old: HeldOut, new: HeldOut) -> ScoreChange:
    sides, y_true = (old, new), new.y_true
    brier = np.array([(side.probabilities - y_true) ** 2 for side in sides])
    predicted = np.array([side.predicted for side in sides])
    wrong = predicted != y_true
    per_error = 1.0
    if wrong.any() and not wrong.all():
        per_error = max(float(brier[wrong].mean() - brier[~wrong].mean()), _MIN_BRIER_PER_ERROR)
    # One wrong tag costs about 1 / (tags that papers have + tags that they get) of micro-F1.
    tags = max((2 * y_true.sum() + predicted.sum()) / 2 / len(y_true), 1 / len(y_true))
    points = (brier[0] - brier[1]).sum(axis=1) / per_error / tags
    error = points.std(ddof=1) / np.sqrt(len(points)) if len(points) > 1 else np.inf
    return ScoreChange(float(points.mean()), float(error))


def _with_all_tags(facet: Facet, other: Facet) -> Facet:
    """Add the tags that only the other facet has, as tags without a parent."""
    new = (tag for tag in other.tags if tag.name not in facet.tag_names)
    tags = [*facet.tags, *(tag.model_copy(update={"parent": None}) for tag in new)]
    return Facet.model_validate({**facet.model_dump(), "tags": tags})


def _columns(values: npt.NDArray[_Value], facet: Facet, target: Facet) -> npt.NDArray[_Value]:
    """Arrange columns in the tag order of ``target``, which has all tags of ``facet``."""
    arranged = np.zeros((len(values), len(target.tags)), dtype=values.dtype)
    arranged[:, [target.tag_names.index(tag) for tag in facet.tag_names]] = values
    return arranged
