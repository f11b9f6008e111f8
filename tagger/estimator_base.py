"""What the estimator takes from scikit-learn, and what stands in for it where it is missing.

A saved model tags without scikit-learn. Only what speaks to scikit-learn is missing then: the
methods ``get_params`` and ``set_params``, ``clone``, and its display of parameters.
"""

from __future__ import annotations

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import NotFittedError
except ModuleNotFoundError:

    class ClassifierMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's."""

    class BaseEstimator:  # type: ignore[no-redef]
        """Stands in for scikit-learn's."""

    class NotFittedError(ValueError, AttributeError):  # type: ignore[no-redef]
        """Stands in for scikit-learn's."""


__all__ = ["BaseEstimator", "ClassifierMixin", "NotFittedError"]
