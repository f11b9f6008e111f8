"""Base class of :class:`tagger.Tagger`: the parts of scikit-learn's estimator interface.

A saved model tags without scikit-learn; then only features that call scikit-learn are missing.
"""

from __future__ import annotations

import warnings
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from tagger._util.rendering import render
from tagger.estimator.values import inverse
from tagger.model import load_own_copy

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import NotFittedError as NotFittedError
except ModuleNotFoundError:
    BaseEstimator = object

    class ClassifierMixin:  # type: ignore[no-redef]
        """Replaces scikit-learn's class if that is not installed."""

    class NotFittedError(ValueError, AttributeError):  # type: ignore[no-redef]
        """Replaces scikit-learn's class if that is not installed."""


_FILES = "_files"
"""The files of the model, in a pickle."""


class PaperClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of papers that is fitted once it has ``model_`` and ``metrics_``.

    A fitted one is copied with its model, and pickled with the files of its model.
    """

    def __copy__(self) -> Self:
        other = type(self)(**self.get_params(deep=False))
        other.__dict__.update(self.__dict__)  # a model is not changed once it is fitted
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return copy(self)

    def __getstate__(self) -> Any:
        state = dict(super().__getstate__())
        if not self.__sklearn_is_fitted__():
            return state
        if self._folder is None:
            raise TypeError("a zero-shot model cannot be pickled: load it from its label folder")
        warnings.warn(
            "a pickle may run any code when it is loaded, and fits one version of tagger; 'save' "
            "and 'Tagger.load' do not have these limits",
            stacklevel=2,
        )
        for name in ("model_", "taxonomy_", "classes_", "metrics_", "_folder"):
            del state[name]
        return state | {_FILES: {file.name: file.read_bytes() for file in self._folder.iterdir()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        files = state.pop(_FILES, None)
        super().__setstate__(state)
        if files:
            with TemporaryDirectory() as scratch:
                for name, content in files.items():
                    (Path(scratch) / name).write_bytes(content)
                self._use(*load_own_copy(Path(scratch), None), inverse(self._values))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.two_d_array = tags.input_tags.string = True
        tags.input_tags.sparse = False
        tags.classifier_tags.multi_label = False
        return tags

    def _repr_html_(self) -> str:
        """Return the HTML for notebooks: the parameters or, once fitted, the tags with figures."""
        if not self.__sklearn_is_fitted__():
            return render("estimator/sklearn_base.html", model=None, parameters=vars(self))
        y_true = self.model_.reference.y_true
        labels = {name: counted.sum(axis=0).tolist() for name, counted in y_true.items()}
        return render(
            "estimator/sklearn_base.html", model=self.model_, labels=labels, metrics=self.metrics_
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return the representations that a notebook chooses from."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}
