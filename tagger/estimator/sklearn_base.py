"""Base class of :class:`tagger.Tagger`: the parts of scikit-learn's estimator interface.

A saved model tags without scikit-learn; then only features that call scikit-learn are missing.
"""

from __future__ import annotations

from typing import Any

from tagger._util.rendering import render

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import NotFittedError as NotFittedError
except ModuleNotFoundError:
    BaseEstimator = object

    class ClassifierMixin:  # type: ignore[no-redef]
        """Replaces scikit-learn's class if that is not installed."""

    class NotFittedError(ValueError, AttributeError):  # type: ignore[no-redef]
        """Replaces scikit-learn's class if that is not installed."""


class PaperClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of papers that is fitted once it has ``model_`` and ``metrics_``."""

    def __getstate__(self) -> Any:
        if self.__sklearn_is_fitted__():
            raise TypeError("a fitted Tagger cannot be pickled: use save() and Tagger.load()")
        return super().__getstate__()

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
