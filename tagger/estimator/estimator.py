"""The estimator ``Tagger``: train, tag, save and load from Python."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from numbers import Real
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from tagger._util.arrays import Floats
from tagger._util.progress import Progress, no_progress
from tagger.errors import ArgumentError, TaggerError, missing_package
from tagger.estimator.inputs import answers_of, labels_of, papers_of, taxonomy_of
from tagger.estimator.sklearn_base import NotFittedError, PaperClassifier
from tagger.estimator.values import Names, Values, array_of, in_order, inverse, names_in
from tagger.evaluation import MIN_PAPERS, evaluate
from tagger.model import (
    DEFAULT_MAX_TOKENS,
    TaggerModel,
    count_drift,
    decide,
    drift_of,
    load_own_copy,
    review_rule,
    save_copy,
)
from tagger.papers import EFFORTS, TaggedPaper
from tagger.tagging import facet_columns
from tagger.taxonomy import Facet
from tagger.training import BUNDLED_ENCODER, DEFAULT_RECIPE

if TYPE_CHECKING:
    from pandas import DataFrame

    from tagger.training import TrainingSettings

_T = TypeVar("_T")


class Tagger(PaperClassifier):
    """A classifier that learns tags from labelled papers and tags other papers.

    It follows scikit-learn's estimator interface. With one exclusive facet it works in
    ``cross_val_score`` and ``GridSearchCV``. With several facets, ``predict`` and ``predict_proba``
    return a dictionary with one array per facet.

    Papers can be :class:`tagger.Paper` objects, as :func:`tagger.read_papers` returns them; texts
    with the title in the first line and the abstract below; pairs of title and abstract; or a data
    frame of pandas, polars or Arrow with the columns ``title`` and ``abstract``.

    Parameters
    ----------
    encoder:
        ``"bundled-minilm"``, or the folder or name of a sentence-transformers model.
    recipe, max_tokens, epochs, folds, seed:
        As for ``tagger train``. By default, epochs are those of the recipe; with 0 the encoder is
        not fine-tuned, which is faster and less accurate.
    min_confidence, target_precision, effort:
        As for ``tagger tag``: the rule by which :meth:`tag` marks papers for review, and how much
        of a paper the encoder reads.
    verbose:
        Whether :meth:`fit` prints its stages to standard error.

    Attributes
    ----------
    classes_:
        The sorted tags, as ``y`` had them, the columns of :meth:`predict_proba`; with several
        facets a dictionary with one array per facet.
    taxonomy_, model_:
        The :class:`~tagger.taxonomy.Taxonomy` and :class:`~tagger.model.TaggerModel`.
    metrics_:
        Cross-validated figures on the labels, with keys such as ``contribution/macro_f1`` and
        ``domain/f1/legal``; see :func:`tagger.evaluation.evaluate`. The audit sample counts apart,
        from 30 papers on: its figures have keys such as ``audit/contribution/macro_f1``.

    Examples
    --------
    >>> from tagger import Tagger, read_papers
    >>> tagger = Tagger.load("champion")  # doctest: +SKIP
    >>> tagger.tag(read_papers("examples/monday.txt"))  # doctest: +SKIP
    """

    def __init__(
        self,
        encoder: str = BUNDLED_ENCODER,
        *,
        recipe: str = DEFAULT_RECIPE,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        epochs: int | None = None,
        folds: int = 3,
        seed: int = 0,
        min_confidence: float = 0.6,
        target_precision: float | None = None,
        effort: str = "full",
        verbose: bool = False,
    ) -> None:
        self.encoder = encoder
        self.recipe = recipe
        self.max_tokens = max_tokens
        self.epochs = epochs
        self.folds = folds
        self.seed = seed
        self.min_confidence = min_confidence
        self.target_precision = target_precision
        self.effort = effort
        self.verbose = verbose

    def fit(self, X: Any, y: Any, taxonomy: Any = None) -> Self:  # noqa: N803
        """Train on labelled papers, as ``tagger train`` does.

        Parameters
        ----------
        X:
            The papers. If several rows are the same paper, the last one counts.
        y:
            For one facet, one tag per paper, or a list of tags per paper if it can have several.
            Tags are names or any other hashable values, such as numbers; with ``taxonomy``, its
            names. For several facets, a data frame with one column per facet, a dictionary
            of such lists, or a list with one dictionary per paper. None means not annotated.
        taxonomy:
            Definitions of the tags: a :class:`~tagger.taxonomy.Taxonomy`, its file, a label folder,
            or a dictionary with the content of such a file. Facets without tags in ``y`` are
            left out. By default each tag is defined by its name. A saved model has only the names
            of tags, which are made from the values of ``y``.

        Raises
        ------
        ArgumentError
            If an argument is invalid; it is a ``ValueError`` and a ``TaggerError``.
        TaggerError
            If there are too few labels, the encoder cannot be loaded, or a package of the extra
            ``train`` is missing.
        """
        if y is None:
            raise ArgumentError("fit requires y to be passed, but the target y is None")
        papers = papers_of(X)
        if not papers:
            raise ArgumentError("X has 0 papers, while a minimum of 1 is required")
        taxonomy, names = taxonomy_of(taxonomy, y, len(papers))
        labels = labels_of(papers, answers_of(y, len(papers), names, taxonomy))
        try:
            from tagger.training import train

            with TemporaryDirectory() as scratch:
                folder, progress = Path(scratch), _print_stages() if self.verbose else no_progress
                train(labels, taxonomy, self._settings(), folder, progress)
                return self._use(*load_own_copy(folder, None), names)
        except ModuleNotFoundError as error:
            raise missing_package(error, "train") from error

    def predict(self, X: Any) -> Values | dict[str, Values]:  # noqa: N803
        """Predict the tags of papers.

        Returns
        -------
        ndarray or dict of ndarray
            Shape (papers,): one tag in an exclusive facet, else a tuple of tags, which may be
            empty. With several facets, one array per facet.

        Raises
        ------
        NotFittedError, ArgumentError
            Before :meth:`fit` or :meth:`load`; if ``X`` contains anything else than papers.
        """
        tagged = self._predict_tags(X)

        def values(facet: Facet) -> Values:
            value_of = self._values[facet.name]
            found = [tuple(value_of[tag] for tag in paper.tags[facet.name]) for paper in tagged]
            if facet.exclusive:
                return array_of([only for (only,) in found], list(value_of.values()))
            array = np.empty(len(found), dtype=object)
            array[:] = found
            return array

        return self._per_facet(values)

    def _predict_tags(self, X: Any) -> list[TaggedPaper]:  # noqa: N803
        model, papers = self._fitted(), papers_of(X)
        probabilities = model.predict_proba(papers)
        return decide(papers, probabilities, model.taxonomy, model.name, model.rule())

    def predict_proba(self, X: Any) -> Floats | dict[str, Floats]:  # noqa: N803
        """Predict calibrated probabilities; raises as :meth:`predict` does.

        Returns
        -------
        ndarray or dict of ndarray
            Shape (papers, tags), columns as in ``classes_``; rows of an exclusive facet sum to 1.
            With several facets, one array per facet.
        """
        probabilities = self._fitted().predict_proba(papers_of(X))

        def columns(facet: Facet) -> Floats:
            value_of = self._values[facet.name]
            place = {value_of[tag]: index for index, tag in enumerate(facet.tag_names)}
            return np.asarray(probabilities[facet.name][:, [place[v] for v in in_order(place)]])

        return self._per_facet(columns)

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Return the accuracy: the share of papers with exactly the true tags, mean over facets.

        Papers and tags have the forms of :meth:`fit`; facets that were not annotated are ignored,
        and a tag that the model does not know is never predicted.
        Raises as :meth:`predict` does.
        """
        taxonomy, papers = self._fitted().taxonomy, papers_of(X)
        answers = answers_of(y, len(papers), inverse(self._values))
        tagged = self._predict_tags(papers)
        shares = []
        for facet in taxonomy.facets:
            right = [
                set(paper.tags[facet.name]) == _with_ancestors(facet, answer[facet.name])
                for paper, answer in zip(tagged, answers, strict=True)
                if facet.name in answer
            ]
            if right:
                shares.append(sum(right) / len(right))
        if not shares:
            raise ArgumentError("y has no tags in any facet of the model")
        return float(np.mean(shares))

    def tag(self, X: Any) -> DataFrame:  # noqa: N803
        """Tag papers, with the same review rule and warnings as ``tagger tag``.

        Returns
        -------
        DataFrame
            One row per paper, with the index of ``X`` if that is a data frame. Columns are ``id``,
            ``title`` and ``review`` (the reason for a review, or empty), and per facet ``FACET``
            (one tag name if exclusive, else a list) and ``FACET_confidence`` (the probabilities of
            these tags). A facet whose columns would have the name of another column has
            ``facet:FACET`` and ``confidence:FACET``.

        Raises
        ------
        NotFittedError, TaggerError
            As :meth:`predict`; also if pandas is not installed or a parameter is out of range.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise missing_package(error, "formats") from error
        model, papers = self._fitted(), papers_of(X)
        for name, kind in (("min_confidence", Real), ("target_precision", Real | None)):
            if not isinstance(value := getattr(self, name), kind):
                raise ArgumentError(f"{name} is {value!r}, but must be a number")
        rule, target = review_rule(model, self.min_confidence, self.target_precision)
        for shortfall in target.shortfalls if target else ():
            warnings.warn(shortfall, stacklevel=2)
        predictions = model.predict(papers)
        reference, taxonomy = model.reference, model.taxonomy
        similarity = reference.similarity_of(predictions.vectors)
        if papers and reference.ids:
            counts = count_drift(similarity, predictions.probabilities, reference, taxonomy, rule)
            drift = drift_of(counts, reference, taxonomy, rule)
            for warning in drift.warnings:
                warnings.warn(f"{warning}; check a sample of the tags", stacklevel=2)
        tagged = model.decide(papers, predictions, rule, similarity)
        columns: dict[str, list[Any]] = {
            name: [getattr(paper, name) for paper in tagged] for name in ("id", "title")
        }
        names = facet_columns([*self._values], ("id", "title", "review"))
        for facet in taxonomy.facets:
            name, pick = facet.name, itemgetter(0) if facet.exclusive else list
            value_of, (of_tags, of_confidences) = self._values[name], names[name]
            columns[of_tags] = [pick([value_of[tag] for tag in one.tags[name]]) for one in tagged]
            columns[of_confidences] = [
                pick([paper.confidence[name][tag] for tag in paper.tags[name]]) for paper in tagged
            ]
        columns["review"] = [paper.review.reason if paper.review else "" for paper in tagged]
        return pd.DataFrame(columns, index=X.index if hasattr(X, "iloc") else None)

    def save(self, folder: str | Path) -> Path:
        """Save the model to a folder, replacing a model that is already there; return the folder.

        :meth:`load` and the option ``--model`` of every command accept the folder.

        Raises
        ------
        NotFittedError, TaggerError
            Before :meth:`fit` or :meth:`load`; if the folder contains other files or cannot be
            written to, or the model is a zero-shot model.
        """
        self._fitted()
        folder = Path(folder)
        if self._folder is None:
            raise TaggerError(
                "a zero-shot model has nothing to save",
                hint="Load it from the label folder with its definitions",
            )
        save_copy(self._folder, folder)
        return folder

    @classmethod
    def load(cls, model: str | int | Path = "champion", **parameters: Any) -> Self:
        """Load a trained model, without PyTorch or scikit-learn.

        Parameters
        ----------
        model:
            As for ``--model``: a model folder, a label folder (for a zero-shot model of its tag
            definitions), or a version in MLflow by number (``7``), alias (``champion``) or run id.
        parameters:
            Parameters of the constructor. Those of training apply to the next :meth:`fit`.

        Raises
        ------
        TaggerError
            If the model does not exist or is damaged.
        """
        from tagger.registry import find_model_folder, is_label_folder, load_model_by_name

        tagger = cls(**parameters)
        model = str(model) if isinstance(model, int) else model
        if is_label_folder(model):
            return tagger._use(load_model_by_name(model), None)
        with TemporaryDirectory() as scratch:
            found = find_model_folder(model, Path(scratch))
            return tagger._use(*load_own_copy(found.folder, found.name))

    def _use(self, model: TaggerModel, folder: Path | None, names: Names | None = None) -> Self:
        self._folder = folder
        self.model_, self.taxonomy_ = model, model.taxonomy
        self._values = inverse(names or names_in(model.taxonomy))

        def classes(facet: Facet) -> Values:
            values = in_order(self._values[facet.name].values())
            return array_of(values, values)

        self.classes_ = self._per_facet(classes)
        self.metrics_ = _cross_validated(model)
        return self

    def _fitted(self) -> TaggerModel:
        if not hasattr(self, "model_"):
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with labelled "
                "papers, or load a trained model with 'Tagger.load'"
            )
        if self.effort not in EFFORTS:
            raise ArgumentError(f"effort is {self.effort!r}, but must be {' or '.join(EFFORTS)}")
        return self.model_.at_effort(self.effort)

    def _per_facet(self, compute: Callable[[Facet], _T]) -> _T | dict[str, _T]:
        """Return the result for the only facet, or a dictionary of the results for each facet."""
        facets = self.taxonomy_.facets
        return compute(facets[0]) if len(facets) == 1 else {f.name: compute(f) for f in facets}

    def _settings(self) -> TrainingSettings:
        from tagger.training import TrainingSettings, epochs_of

        if self.recipe == "from-setfit":
            hint = "Use 'tagger train --from-setfit FOLDER --trust-pickle', then Tagger.load"
            raise ArgumentError("recipe is 'from-setfit', which loads a pickle", hint=hint)
        epochs = epochs_of(self.recipe) if self.epochs is None else self.epochs
        numbers: dict[str, Any] = {"max_tokens": self.max_tokens, "epochs": epochs}
        numbers |= {"folds": self.folds, "seed": self.seed}
        for (name, value), least in zip([*numbers.items()], (1, 0, 2, 0), strict=True):
            if not isinstance(value, int | np.integer) or value < least:
                raise ArgumentError(f"{name} is {value!r}, but must be a whole number >= {least}")
            numbers[name] = int(value)
        return TrainingSettings(recipe=self.recipe, encoder=str(self.encoder), **numbers)


def _print_stages() -> Progress:
    printed: set[str] = set()

    def step(stage: str, _done: int, _total: int) -> None:
        if stage not in printed:
            print(stage, file=sys.stderr, flush=True)
        printed.add(stage)

    return step


def _with_ancestors(facet: Facet, tags: Sequence[str]) -> set[str]:
    return {*tags, *facet.with_ancestors(tag for tag in tags if tag in facet.tag_names)}


def _cross_validated(model: TaggerModel) -> dict[str, float]:
    """Return the cross-validated figures, computed from the predictions stored in the model."""
    reference = model.reference
    figures: dict[str, float] = {}
    parts = (("audit/", reference.audited, MIN_PAPERS), ("", ~reference.audited, 1))
    for prefix, members, least in parts:
        for facet in model.taxonomy.facets:
            name, rows = facet.name, reference.annotated[facet.name] & members
            if rows.sum() >= least:
                predicted = reference.y_true[name][rows], reference.probabilities[name][rows]
                found = evaluate(facet, *predicted, model.thresholds[name])
                figures |= {f"{prefix}{name}/{key}": value for key, value in found.items()}
    return figures
