"""A SetFit checkpoint as a model: its encoder and its head, calibrated on labels."""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tagger.errors import TaggerError, first_line
from tagger.model import Head, Linear
from tagger.taxonomy import Facet, Taxonomy
from tagger.training.heads import HeadInputs, per_class
from tagger.training.recipes.base import no_scores
from tagger.training.recipes.frozen import Frozen
from tagger.training.settings import TrainingSettings

CONFIG_FILE, HEAD_FILE = "config_setfit.json", "model_head.pkl"
_NEVER = -10.0
"""Score of a tag that the checkpoint does not know."""
_LOG = logging.getLogger(__name__)


class FromSetFit(Frozen):
    """The head of a SetFit checkpoint, in the facet that has its labels.

    The encoder of the settings is the checkpoint's folder. Other facets have logistic regression on
    its vectors.
    """

    labels: tuple[str, ...] = ()
    head: Linear

    def prepare(self, settings: TrainingSettings, taxonomy: Taxonomy) -> None:
        """Load the head, if the settings trust its pickle and a facet has its labels."""
        super().prepare(settings, taxonomy)
        folder = Path(settings.encoder)
        if not (folder / CONFIG_FILE).is_file() or not (folder / HEAD_FILE).is_file():
            raise TaggerError(
                f"is not a SetFit checkpoint: it needs {CONFIG_FILE} and {HEAD_FILE}", path=folder
            )
        if not settings.trust_pickle:
            raise TaggerError(
                "is a pickle, which may run any code when it is loaded",
                path=folder / HEAD_FILE,
                hint="If you trust its origin, add --trust-pickle. Or use only the encoder, which "
                f"is data: --recipe frozen --encoder {folder}",
            )
        changed = tuple((folder / name).stat().st_mtime_ns for name in (CONFIG_FILE, HEAD_FILE))
        self.labels, self.head = _read(folder, changed)
        if not any(map(self._fits, taxonomy.facets)):
            raise TaggerError(
                f"no facet has all labels of the checkpoint: {', '.join(self.labels)}",
                path=folder,
                hint="Give the tags of the taxonomy the same names",
            )

    def _fits(self, facet: Facet) -> bool:
        return bool(self.labels) and {*self.labels} <= {*facet.tag_names}

    def fit_head(self, given: HeadInputs) -> Head:
        facet = given.facet
        if not self._fits(facet):
            return super().fit_head(given)
        places = [facet.tag_names.index(label) for label in self.labels]
        weights = np.zeros((len(facet.tags), self.head.weights.shape[1]))
        bias = np.full(len(facet.tags), _NEVER)
        weights[places], bias[places] = self.head.weights, self.head.bias
        return Head(facet, Linear(weights, bias), no_scores(facet, given.terms))


@lru_cache(maxsize=1)
def _read(folder: Path, _changed: tuple[int, ...]) -> tuple[tuple[str, ...], Linear]:
    """Read the labels and the head of a checkpoint, once for all folds."""
    import joblib

    path = folder / HEAD_FILE
    _LOG.warning(f"{path}: loading a pickle, which may run any code")
    try:
        config = json.loads((folder / CONFIG_FILE).read_bytes())
        modules = (folder / "modules.json").read_text(encoding="utf-8")
        head = joblib.load(path)
        classes = list(getattr(head, "classes_", ()))
        # A head that was fitted on names predicts them, in its own order.
        named = any(isinstance(each, str) for each in classes)
        labels = tuple(map(str, (not named and config.get("labels")) or classes))
        classifier = _linear(head)
    except Exception as error:  # a pickle may raise anything
        raise TaggerError(
            f"cannot be read as a linear classifier ({first_line(error)})", path=path
        ) from error
    if len(labels) != len(classifier.weights):
        found = f"has {len(classifier.weights)} classes, but {CONFIG_FILE} has {len(labels)} labels"
        raise TaggerError(found, path=path)
    if not config.get("normalize_embeddings") and "Normalize" not in modules:
        raise TaggerError(
            "was fitted on vectors of any length; those of tagger have length 1",
            path=path,
            hint="Train the checkpoint with normalize_embeddings=True",
        )
    return labels, classifier


def _linear(head: Any) -> Linear:
    """Return the weights of a head of SetFit: of scikit-learn, one for each tag, or PyTorch's."""
    if hasattr(head, "estimators_"):
        parts = [(each.coef_[0], each.intercept_[0]) for each in head.estimators_]
        weights, bias = (np.array(array, dtype=np.float64) for array in zip(*parts, strict=True))
    elif hasattr(head, "linear"):
        layer = head.linear
        weights, bias = (
            value.detach().cpu().numpy().astype(np.float64) for value in (layer.weight, layer.bias)
        )
    else:
        weights, bias = np.array(head.coef_, np.float64), np.array(head.intercept_, np.float64)
    return Linear(*per_class(weights, bias))
