"""The code that MLflow runs to load and serve a model; it maps a table of papers to tags."""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tagger.model import ReviewRule, load_model, review_rule
from tagger.papers import Paper


class TaggerPyfunc(PythonModel):
    """A saved model behind MLflow's ``predict``."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model's data."""
        self.model = load_model(context.artifacts["model"])

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return a table of tags, confidences and review decisions, one row per paper.

        ``model_input`` has the column ``title`` and may have ``abstract``. ``params`` are
        ``min_confidence``, ``target_precision`` and ``effort``, as for ``tagger tag``.
        """
        # A missing cell becomes an empty text, not the text "None".
        texts = model_input.reindex(columns=["title", "abstract"]).fillna("")
        papers = [Paper(*row) for row in texts.itertuples(index=False, name=None)]
        params = params or {}
        model = self.model.at_effort(params.get("effort", "full"))
        min_confidence = float(params.get("min_confidence", ReviewRule().min_confidence))
        rule, _ = review_rule(model, min_confidence, params.get("target_precision"))
        tagged = model.decide(papers, model.predict(papers), rule)
        names = [facet.name for facet in model.taxonomy.facets]
        columns: dict[str, list[Any]] = {
            **{name: [list(paper.tags[name]) for paper in tagged] for name in names},
            **{f"{name}.confidence": [one.confidence[name] for one in tagged] for name in names},
            "tagger.review": [paper.review is not None for paper in tagged],
            "tagger.reason": [paper.review.reason if paper.review else "" for paper in tagged],
        }
        return pd.DataFrame(columns, index=model_input.index)


mlflow.models.set_model(TaggerPyfunc())
