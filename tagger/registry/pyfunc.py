"""What MLflow runs to load and serve a model: a table of papers in, a table of tags out."""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tagger.decision import ReviewRule, decide
from tagger.errors import TaggerError
from tagger.model import TaggerModel, load_model
from tagger.paper import Paper
from tagger.risk_control import promise_precision


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
        """Tag papers.

        Parameters
        ----------
        context:
            Not used.
        model_input:
            Columns ``title`` and ``abstract``, one paper a row.
        params:
            ``min_confidence``, below which a paper is marked for review;
            ``target_precision``, the share of accepted tags that are to be right; and ``effort``,
            one of :data:`tagger.model.EFFORTS`.

        Returns
        -------
        DataFrame
            Per facet the tags and the confidence of each tag; whether and why to review.
        """
        # What is missing in a table is no text, not the text "None".
        texts = model_input[["title", "abstract"]].fillna("")
        papers = [Paper(*row) for row in texts.itertuples(index=False, name=None)]
        params = params or {}
        model = self.model.at_effort(params.get("effort", "full"))
        rule = _rule(model, params)
        decisions = decide(papers, model.predict_proba(papers), model.taxonomy, model.name, rule)
        names = [facet.name for facet in model.taxonomy.facets]
        return pd.DataFrame(
            {
                **{name: [list(made.tags[name]) for made in decisions] for name in names},
                **{
                    f"{name}.confidence": [made.confidence[name] for made in decisions]
                    for name in names
                },
                "tagger.review": [made.review is not None for made in decisions],
                "tagger.reason": [made.review.reason if made.review else "" for made in decisions],
            },
            index=model_input.index,
        )


def _rule(model: TaggerModel, params: dict[str, Any]) -> ReviewRule:
    rule = ReviewRule(float(params.get("min_confidence", ReviewRule().min_confidence)))
    if not 0.5 <= rule.min_confidence <= 1:
        raise TaggerError("min_confidence is not between 0.5 and 1")
    target = params.get("target_precision")
    if target is None:
        return rule
    if not 0 < target < 1:
        raise TaggerError("target_precision is not between 0 and 1")
    return promise_precision(
        model.reference, model.taxonomy, float(target), rule.min_confidence
    ).rule


mlflow.models.set_model(TaggerPyfunc())
