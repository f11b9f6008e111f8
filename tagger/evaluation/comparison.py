"""Compare two model versions on labelled papers that both held out in cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Booleans
from tagger.errors import TaggerError
from tagger.evaluation.metrics import (
    SHOWN_METRICS,
    HeldOut,
    Interval,
    bootstrap_weights,
    evaluate,
    interval,
    predict_labels,
    weighted_figures,
)
from tagger.taxonomy import Facet, Taxonomy, translate_facet

Verdict = Literal["better", "no difference", "worse"]
_Value = TypeVar("_Value", bound=np.generic)


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
class FacetComparison:
    """Two versions compared in one facet, on papers that both held out.

    ``same_fold`` counts the papers that both held out in the same fold. ``figures`` has the names
    of :data:`tagger.evaluation.SHOWN_METRICS`; ``tags`` holds the F1 of each tag and ``labels`` the
    number of papers with it. Negative flips are papers that were right and are wrong now; positive
    flips are the reverse (Yan et al., "Positive-Congruent Training", 2021). ``p_value`` is that of
    McNemar's exact test on the flips ("Note on the sampling error of the difference between
    correlated proportions or percentages", 1947).
    """

    facet: str
    papers: int
    same_fold: int
    figures: dict[str, Change]
    tags: dict[str, Change]
    labels: dict[str, int]
    negative_flips: tuple[Flip, ...]
    positive_flips: tuple[Flip, ...]
    p_value: float

    @property
    def negative_flip_rate(self) -> float:
        """Share of papers that were right and are wrong now."""
        return len(self.negative_flips) / self.papers

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
    """Comparison of two versions, facet by facet.

    ``skipped`` names the facets that cannot be compared: only one version has the facet, it is
    exclusive in only one of them, or tags of the earlier version are missing from the later
    taxonomy without a replacement. Churn and speed are set if they were measured.
    """

    before: str
    after: str
    facets: tuple[FacetComparison, ...]
    skipped: tuple[str, ...] = ()
    churn: Churn | None = None
    speed: Speed | None = None

    @property
    def verdict(self) -> Verdict:
        """``worse`` if any facet is worse beyond noise, else ``better`` if any is better."""
        verdicts = {facet.verdict for facet in self.facets}
        if "worse" in verdicts:
            return "worse"
        return "better" if "better" in verdicts else "no difference"

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
    before: tuple[str, Mapping[str, HeldOut]], after: tuple[str, Mapping[str, HeldOut]]
) -> Comparison:
    """Compare two versions, each a name and its out-of-fold predictions per facet.

    If a paper was relabelled between the versions, the label that the second was trained on counts.
    A tag that only one version knows counts as never predicted by the other.

    Raises
    ------
    TaggerError
        If the versions share no facet or no labelled paper.
    """
    (before_name, old), (after_name, new) = before, after
    common = [name for name in new if name in old]
    facets = tuple(found for name in common if (found := _compare_facet(old[name], new[name])))
    if not common:
        raise TaggerError(
            f"{before_name} and {after_name} have no facet in common that can be compared",
            hint="See 'tagger taxonomy diff': list renamed tags under 'replaces' in the taxonomy",
        )
    if not facets:
        raise TaggerError(
            f"{before_name} and {after_name} have no labelled paper in common",
            hint="Only papers in the training labels of both versions can be compared",
        )
    skipped = tuple(sorted({*old, *new} - {facet.facet for facet in facets}))
    return Comparison(before_name, after_name, facets, skipped)


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
        translated[name] = replace(
            earlier, facet=translation.facet, y_true=y_true, probabilities=probabilities
        )
    return translated


def measure_churn(
    titles: Sequence[str],
    before: Mapping[str, Sequence[frozenset[str]]],
    after: Mapping[str, Sequence[frozenset[str]]],
) -> Churn:
    """Find the papers whose tags differ, for each facet that both versions have."""
    changed = {
        name: tuple(
            title
            for title, old, new in zip(titles, before[name], after[name], strict=True)
            if old != new
        )
        for name in after
        if name in before
    }
    shares = {name: len(differing) / max(len(titles), 1) for name, differing in changed.items()}
    return Churn(len(titles), shares, changed)


def _compare_facet(old: HeldOut, new: HeldOut) -> FacetComparison | None:
    from scipy.stats import binomtest

    old_index = {name: index for index, name in enumerate(old.ids)}
    common = [index for index, name in enumerate(new.ids) if name in old_index]
    if not common or old.facet.exclusive != new.facet.exclusive:
        return None
    new = new.take(common)
    old = old.take([old_index[name] for name in new.ids])
    facet = _with_all_tags(new.facet, old.facet)
    y_true = _columns(new.y_true, new.facet, facet)
    probabilities = [_columns(side.probabilities, side.facet, facet) for side in (old, new)]
    weights = bootstrap_weights(len(common))
    pairs = list(zip(probabilities, (old.threshold, new.threshold), strict=True))
    points = [evaluate(facet, y_true, *pair) for pair in pairs]
    samples = [weighted_figures(facet, y_true, p, weights, threshold) for p, threshold in pairs]

    def change(name: str, *, higher_is_better: bool = True) -> Change:
        noise = interval(samples[1][name] - samples[0][name])
        return Change(points[0][name], points[1][name], noise, higher_is_better)

    predicted = [predict_labels(facet, *pair) for pair in pairs]
    was_right, is_right = ((tags == y_true).all(axis=1) for tags in predicted)

    def flips(mask: Booleans) -> tuple[Flip, ...]:
        found = []
        for index in np.flatnonzero(mask):
            names = (tuple(np.array(facet.tag_names)[tags[index]]) for tags in (y_true, *predicted))
            found.append(Flip(new.ids[index], new.titles[index], *names))
        return tuple(found)

    negative, positive = flips(was_right & ~is_right), flips(~was_right & is_right)
    changed = len(negative) + len(positive)
    return FacetComparison(
        facet=facet.name,
        papers=len(common),
        same_fold=int((old.folds == new.folds).sum()),
        figures={
            name: change(name, higher_is_better=metric.higher_is_better)
            for name, metric in SHOWN_METRICS.items()
        },
        tags={tag: change(f"f1/{tag}") for tag in facet.tag_names},
        labels=dict(zip(facet.tag_names, map(int, y_true.sum(axis=0)), strict=True)),
        negative_flips=negative,
        positive_flips=positive,
        p_value=float(binomtest(len(negative), changed).pvalue) if changed else 1.0,
    )


def _with_all_tags(facet: Facet, other: Facet) -> Facet:
    """Add the tags that only the other facet has, as tags without a parent."""
    extra = [
        {**tag.model_dump(), "parent": None}
        for tag in other.tags
        if tag.name not in facet.tag_names
    ]
    content = facet.model_dump()
    return Facet.model_validate({**content, "tags": [*content["tags"], *extra]})


def _columns(values: npt.NDArray[_Value], facet: Facet, target: Facet) -> npt.NDArray[_Value]:
    """Arrange columns in the tag order of ``target``, which has all tags of ``facet``."""
    arranged = np.zeros((len(values), len(target.tags)), dtype=values.dtype)
    arranged[:, [target.tag_names.index(tag) for tag in facet.tag_names]] = values
    return arranged
