"""Pictures of how a model does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tagger.evaluation import Booleans, assign
from tagger.heads import Floats
from tagger.taxonomy import Facet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_matrix_figure(facet: Facet, truth: Booleans, predicted: Floats) -> Figure:
    """Draw which tag was taken for which.

    Rows are true tags and columns given tags. In a facet that is not exclusive the extra row and
    column "none" hold papers without a tag; a tag missed is set against each tag wrongly given.

    Parameters
    ----------
    facet:
        The facet.
    truth, predicted:
        Tags and probabilities, shape (papers, tags).
    """
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    counts = confusion_counts(facet, truth, predicted)
    names = [*facet.tag_names] if facet.exclusive else [*facet.tag_names, "none"]
    size = 2.5 + 0.55 * len(names)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    ConfusionMatrixDisplay(counts, display_labels=names).plot(
        ax=axes, cmap="Blues", colorbar=False, xticks_rotation=45
    )
    axes.set_title(f"{facet.name}: {len(truth)} papers, out of fold")
    axes.set_xlabel("given by the model")
    axes.set_ylabel("given by people")
    return figure


def confusion_counts(facet: Facet, truth: Booleans, predicted: Floats) -> npt.NDArray[np.int_]:
    """Count which tag was taken for which, shape (tags, tags), plus "none" unless exclusive."""
    given = assign(facet, predicted)
    size = len(facet.tags) + (not facet.exclusive)
    none = len(facet.tags)
    counts = np.zeros((size, size), dtype=int)
    for true_row, given_row in zip(truth, given, strict=True):
        for tag in np.flatnonzero(true_row & given_row):
            counts[tag, tag] += 1
        missed = np.flatnonzero(true_row & ~given_row)
        wrong = np.flatnonzero(given_row & ~true_row)
        if not true_row.any() and not given_row.any():
            counts[none, none] += 1
        for tag in missed:
            for other in wrong if len(wrong) else [none]:
                counts[tag, other] += 1
        if not len(missed):
            for other in wrong:
                counts[none, other] += 1
    return counts
