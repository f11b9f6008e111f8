"""Compare two versions: which tags better, and what the new one breaks."""

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
    """One figure before and after, and the 95% interval of the difference, after minus before.

    The interval is of a bootstrap over papers that draws the same papers for both (Efron and
    Tibshirani, "An Introduction to the Bootstrap", 1993).
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
        """Whether the interval of the difference leaves out zero."""
        return self.interval[0] > 0 or self.interval[1] < 0

    @property
    def verdict(self) -> Verdict:
        """Whether the figure changed beyond noise, and in which direction."""
        if not self.beyond_noise:
            return "no difference"
        return "better" if (self.difference > 0) is self.higher_is_better else "worse"


@dataclass(frozen=True, slots=True)
class Flip:
    """A paper that one version tags rightly and the other does not, with its tags."""

    id: str
    title: str
    y_true: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FacetComparison:
    """Two versions in one facet, on papers that neither had seen.

    ``same_fold`` is how many papers both held out in the same fold; ``figures`` are by the names of
    :data:`tagger.evaluation.SHOWN_METRICS`, ``tags`` the F1 and ``labels`` the papers of each tag.
    Flips are papers right before and wrong now, and the other way round (Yan et al.,
    "Positive-Congruent Training", 2021); ``p_value`` is of McNemar's exact test on them: how often
    chance alone would split them so unevenly ("Note on the sampling error of the difference between
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
    """How two versions differ on papers without labels: per facet, the papers whose tags differ."""

    papers: int
    shares: dict[str, float]
    titles: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Speed:
    """Abstracts a second of both versions, timed in turns on this machine."""

    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What there is to know before one version takes the place of another.

    ``skipped`` are facets that cannot be compared: only one version has them, they ask for one tag
    in one and for several in the other, or nothing tells what became of the tags of the earlier
    one. Churn and speed are set if they were measured.
    """

    before: str
    after: str
    facets: tuple[FacetComparison, ...]
    skipped: tuple[str, ...] = ()
    churn: Churn | None = None
    speed: Speed | None = None

    @property
    def verdict(self) -> Verdict:
        """Worse if any facet is worse beyond noise, else better if any is better."""
        verdicts = {facet.verdict for facet in self.facets}
        if "worse" in verdicts:
            return "worse"
        return "better" if "better" in verdicts else "no difference"

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison for a script, verdicts and differences included."""
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
    """Compare two versions on the labelled papers that both held out.

    Where a paper was labelled anew between them, the label that the second was trained on counts.
    A tag that only one of them knows counts as never given by the other. Each is given by its name
    and, per facet, its out-of-fold predictions. Raises a :class:`TaggerError` if they have no
    facet, or no labelled paper, in common.
    """
    (before_name, old), (after_name, new) = before, after
    common = [name for name in new if name in old]
    facets = tuple(found for name in common if (found := _compare_facet(old[name], new[name])))
    if not common:
        raise TaggerError(
            f"{before_name} and {after_name} have no facet in common that can be compared",
            hint="Nothing tells what became of the tags of the earlier one: see 'tagger taxonomy "
            "diff'",
        )
    if not facets:
        raise TaggerError(
            f"{before_name} and {after_name} have no labelled paper in common",
            hint="Versions are compared on papers that both were cross-validated on",
        )
    skipped = tuple(sorted({*old, *new} - {facet.facet for facet in facets}))
    return Comparison(before_name, after_name, facets, skipped)


def in_todays_terms(held_out: Mapping[str, HeldOut], taxonomy: Taxonomy) -> dict[str, HeldOut]:
    """Put the predictions of an earlier version in terms of a later one's taxonomy.

    Retired tags are left out; in an exclusive facet the probabilities of the others add up to 1
    without them. Facets of which nothing tells what became of their tags are left out, too.
    """
    found = {}
    for name, part in held_out.items():
        translation = translate_facet(taxonomy, name, part.facet.tag_names)
        if translation is None or translation.facet.exclusive != part.facet.exclusive:
            continue
        probabilities = translation.probabilities(part.probabilities)
        if part.facet.exclusive:
            total = probabilities.sum(axis=1, keepdims=True)
            probabilities = np.divide(probabilities, total, out=probabilities, where=total > 0)
        y_true = translation.probabilities(part.y_true.astype(np.float64)) > 0
        found[name] = replace(
            part, facet=translation.facet, y_true=y_true, probabilities=probabilities
        )
    return found


def measure_churn(
    titles: Sequence[str],
    before: Mapping[str, Sequence[frozenset[str]]],
    after: Mapping[str, Sequence[frozenset[str]]],
) -> Churn:
    """Count how often the tags of each paper differ, per facet that both versions have."""
    changed = {}
    for name in (name for name in after if name in before):
        rows = zip(titles, before[name], after[name], strict=True)
        changed[name] = tuple(title for title, old, new in rows if old != new)
    shares = {name: len(found) / max(len(titles), 1) for name, found in changed.items()}
    return Churn(len(titles), shares, changed)


def _compare_facet(old: HeldOut, new: HeldOut) -> FacetComparison | None:
    from scipy.stats import binomtest

    places = {name: row for row, name in enumerate(old.ids)}
    rows = [row for row, name in enumerate(new.ids) if name in places]
    if not rows or old.facet.exclusive != new.facet.exclusive:
        return None
    new = new.take(rows)
    old = old.take([places[name] for name in new.ids])
    facet = _with_all_tags(new.facet, old.facet)
    y_true = _columns(new.y_true, new.facet, facet)
    probabilities = [_columns(part.probabilities, part.facet, facet) for part in (old, new)]
    weights = bootstrap_weights(len(rows))
    points = [evaluate(facet, y_true, p) for p in probabilities]
    draws = [weighted_figures(facet, y_true, p, weights) for p in probabilities]

    def change(name: str, *, higher_is_better: bool = True) -> Change:
        noise = interval(draws[1][name] - draws[0][name])
        return Change(points[0][name], points[1][name], noise, higher_is_better)

    given = [predict_labels(facet, p) for p in probabilities]
    was_right, is_right = ((tags == y_true).all(axis=1) for tags in given)

    def flips(which: Booleans) -> tuple[Flip, ...]:
        found = []
        for row in np.flatnonzero(which):
            names = (tuple(np.array(facet.tag_names)[tags[row]]) for tags in (y_true, *given))
            found.append(Flip(new.ids[row], new.titles[row], *names))
        return tuple(found)

    negative, positive = flips(was_right & ~is_right), flips(~was_right & is_right)
    changed = len(negative) + len(positive)
    return FacetComparison(
        facet=facet.name,
        papers=len(rows),
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
    extra = [tag for tag in other.tags if tag.name not in facet.tag_names]
    loose = [{**tag.model_dump(), "parent": None} for tag in extra]
    content = facet.model_dump()
    return Facet.model_validate({**content, "tags": [*content["tags"], *loose]})


def _columns(values: npt.NDArray[_Value], facet: Facet, target: Facet) -> npt.NDArray[_Value]:
    """Put the columns of a facet in the order of another that has all its tags."""
    arranged = np.zeros((len(values), len(target.tags)), dtype=values.dtype)
    arranged[:, [target.tag_names.index(tag) for tag in facet.tag_names]] = values
    return arranged
