"""Tag papers by what they contribute and what they are about.

What is used from Python is here: :class:`Tagger`, an estimator in the manner of scikit-learn, and
what reads papers and labels for it.
"""

import os

import lazy_loader

__version__ = "0.2.0"

for _variable in ("ORT_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    # Nothing phones home. ONNX Runtime (from 1.29 on), MLflow and the Hugging Face hub look at it
    # when they are loaded, which is always after this module.
    os.environ.setdefault(_variable, "1")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__.append("__version__")
