"""Plots of out-of-fold predictions: confusion matrix, reliability, learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tagger._util.arrays import Integers
from tagger.evaluation.metrics import (
    BINS,
    HeldOut,
    LearningPoint,
    confidences,
    evaluate_with_intervals,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_matrix_figure(held_out: HeldOut) -> Figure:
    """Draw the confusion matrix of a facet; see :func:`confusion_counts`."""
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    facet = held_out.facet
    counts = confusion_counts(held_out)
    names = [*facet.tag_names] if facet.exclusive else [*facet.tag_names, "none"]
    size = 2.5 + 0.55 * len(names)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    ConfusionMatrixDisplay(counts, display_labels=names).plot(
        ax=axes, cmap="Blues", colorbar=False, xticks_rotation=45
    )
    axes.set_title(f"{facet.name}: {len(held_out.ids)} papers, out of fold")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return figure


def reliability_figure(held_out: HeldOut) -> Figure:
    """Draw a reliability diagram and the histogram of confidences below it.

    On the diagonal, confidence equals accuracy (DeGroot and Fienberg, "The Comparison and
    Evaluation of Forecasters", 1983).
    """
    from matplotlib.figure import Figure
    from sklearn.calibration import CalibrationDisplay

    facet = held_out.facet
    confidence, right = confidences(held_out)
    figures = held_out.metrics()
    figure = Figure(figsize=(5, 6), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=(3, 1), sharex=True)
    if len(confidence):
        CalibrationDisplay.from_predictions(
            right, confidence, pos_label=True, n_bins=BINS, ax=upper, name=facet.name
        )
    error = figures["calibration_error"]
    upper.set(title=f"{facet.name}: calibration error {error:.3f}, out of fold", xlabel=None)
    upper.set_ylabel("accuracy")
    lower.hist(confidence, bins=BINS, range=(0, 1), color="tab:blue")
    lower.set(xlabel="confidence of predicted tag", ylabel="count")
    return figure


def learning_curve_figure(points: Sequence[LearningPoint]) -> Figure:
    """Draw macro-F1 against the number of training labels, with 95% bootstrap intervals.

    A curve that still rises says that more labels would help.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    labels = [point.labels for point in points]
    for name, last in points[-1].held_out.items():
        found = [evaluate_with_intervals(point.held_out[name])["macro_f1"] for point in points]
        values = np.array([figure.value for figure in found])
        low, high = np.array([figure.interval for figure in found]).T
        bars = np.maximum([values - low, high - values], 0)
        caption = f"{name} ({len(last.ids)} papers)"
        axes.errorbar(labels, values, bars, marker="o", capsize=4, label=caption)
    axes.set(xlabel="labels trained on", ylabel="macro-F1", ylim=(0, 1), title="Learning curve")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    return figure


def confusion_counts(held_out: HeldOut) -> Integers:
    """Return the confusion matrix: true tags as rows, predicted tags as columns.

    Shape (tags, tags); in a facet that is not exclusive a last row and column "none" are added.
    There, each missed tag of a paper is counted against each wrongly predicted one, or against
    "none" if there is no wrong one, and the reverse.
    """
    y_true, predicted = held_out.y_true, held_out.predicted
    missed, wrong = y_true & ~predicted, predicted & ~y_true
    counts = missed.astype(int).T @ wrong + np.diag((y_true & predicted).sum(axis=0))
    if held_out.facet.exclusive:
        return np.asarray(counts)
    only_missed = missed[~wrong.any(axis=1)].sum(axis=0)
    only_wrong = wrong[~missed.any(axis=1)].sum(axis=0)
    neither = (~(y_true | predicted).any(axis=1)).sum()
    return np.block([[counts, only_missed[:, None]], [only_wrong[None], neither]])
