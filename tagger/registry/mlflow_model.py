"""Log a model in MLflow's pyfunc format, for MLflow's own tools and for serving.

The format requires code, so :mod:`tagger.registry.pyfunc` and this package are logged with the
data ("models from code": nothing is pickled). ``tagger`` itself reads only the data.
"""

from __future__ import annotations

import shutil
from importlib.metadata import requires, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import tagger
from tagger.model import ReviewRule, TaggerModel

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.models.model import ModelInfo

_CODE_FILE = "pyfunc.py"
_EXAMPLE = {
    "title": ["A Survey of Reading Aids"],
    "abstract": ["We review tools that help people to keep up with a field, and what they lack."],
}


def log_model(model: TaggerModel, folder: Path) -> ModelInfo:
    """Log a model and the data in its folder to the active MLflow run."""
    import mlflow
    import pandas as pd

    with TemporaryDirectory() as scratch:
        code = Path(scratch) / tagger.__name__
        # Without the model that ships, which is larger than all code.
        ignored = shutil.ignore_patterns("default_model", "__pycache__")
        shutil.copytree(Path(tagger.__file__).parent, code, ignore=ignored)
        logged: ModelInfo = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name(_CODE_FILE)),
            artifacts={"model": str(folder)},
            code_paths=[str(code)],
            signature=_signature(model),
            input_example=pd.DataFrame(_EXAMPLE),
            pip_requirements=_requirements(),
        )
    return logged


def _signature(model: TaggerModel) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, DataType, Map, ParamSchema, ParamSpec, Schema

    facets = [facet.name for facet in model.taxonomy.facets]
    texts, numbers = Array(DataType.string), Map(DataType.double)
    outputs = [
        *(ColSpec(texts, name) for name in facets),
        *(ColSpec(numbers, f"{name}.confidence") for name in facets),
        ColSpec(DataType.boolean, "tagger.review"),
        ColSpec(DataType.string, "tagger.reason"),
    ]
    params = [
        ParamSpec("min_confidence", DataType.double, ReviewRule().min_confidence),
        ParamSpec("target_precision", DataType.double, None),
        ParamSpec("effort", DataType.string, "full"),
    ]
    return ModelSignature(
        inputs=Schema(
            [
                ColSpec(DataType.string, "title"),
                ColSpec(DataType.string, "abstract", required=False),
            ]
        ),
        outputs=Schema([*outputs]),
        params=ParamSchema(params),
    )


def _requirements() -> list[str]:
    """Return the packages that tagging needs, pinned to their installed versions."""
    from packaging.requirements import Requirement

    needed = [Requirement(text) for text in requires("tagger") or []]
    names = [need.name for need in needed if need.marker is None or need.marker.evaluate()]
    return [f"{name}=={version(name)}" for name in sorted([*names, "mlflow", "pandas"])]
