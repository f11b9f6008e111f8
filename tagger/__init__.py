"""Tag papers by what they contribute and what they are about.

What is used from Python is here: :class:`Tagger`, an estimator in the manner of scikit-learn, and
what reads papers and labels for it.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tagger.errors import TaggerError as TaggerError
    from tagger.estimator import Tagger as Tagger
    from tagger.estimator import read_labels as read_labels
    from tagger.papers import Paper as Paper
    from tagger.papers import merge_duplicates as merge_duplicates
    from tagger.papers import read_papers as read_papers

__version__ = "0.1.0"

for _variable in ("ORT_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    # Nothing phones home. ONNX Runtime (from 1.29 on), MLflow and the Hugging Face hub look at it
    # when they are loaded, which is always after this module.
    os.environ.setdefault(_variable, "1")

_PLACES = {
    "Paper": "tagger.papers",
    "Tagger": "tagger.estimator",
    "TaggerError": "tagger.errors",
    "merge_duplicates": "tagger.papers",
    "read_labels": "tagger.estimator.inputs",
    "read_papers": "tagger.papers",
}
"""Where each name comes from; loaded when it is first asked for, so that the command line, which
loads this module too, answers at once (PEP 562)."""

__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
