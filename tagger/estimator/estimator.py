"""The estimator: train, tag and load from Python, in the manner of scikit-learn."""

from __future__ import annotations

import shutil
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Floats
from tagger._util.atomic import replacing_folder
from tagger._util.progress import Progress
from tagger._util.rendering import render
from tagger.errors import ArgumentError, TaggerError, missing_package
from tagger.estimator.inputs import answers_of, labels_of, papers_of, taxonomy_of
from tagger.evaluation import evaluate
from tagger.model import (
    DEFAULT_MAX_TOKENS,
    EFFORTS,
    FLOAT32_FILE,
    MANIFEST_FILE,
    MODEL_FILES,
    TaggerModel,
    decide,
    default_cache,
    load_model,
    measure_drift,
    review_rule,
)
from tagger.papers import TaggedPaper
from tagger.taxonomy import Facet
from tagger.training import BUNDLED_ENCODER

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import NotFittedError
except ModuleNotFoundError:
    # A saved model tags without scikit-learn; only what speaks to scikit-learn is missing then.
    BaseEstimator = object

    class ClassifierMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's."""

    class NotFittedError(ValueError, AttributeError):  # type: ignore[no-redef]
        """Stands in for scikit-learn's."""


if TYPE_CHECKING:
    from pandas import DataFrame

    from tagger.training import TrainingSettings

Names = npt.NDArray[np.object_]
_T = TypeVar("_T")


class Tagger(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Tags papers; learns from labelled ones.

    An estimator of scikit-learn: a classifier where there is one exclusive facet, so that
    ``cross_val_score`` and ``GridSearchCV`` take it. With several facets, ``predict`` and
    ``predict_proba`` return a dictionary with one array a facet.

    Papers are given as :class:`tagger.Paper`, as :func:`tagger.read_papers` reads them; as texts,
    each a title with the abstract on the lines below it; as pairs of title and abstract; or as a
    data frame with the columns ``title`` and ``abstract``.

    Parameters
    ----------
    encoder:
        ``"bundled-minilm"``, a folder or the name of a sentence-transformers model.
    max_tokens, epochs, folds, seed:
        As for ``tagger train``. With 0 epochs the encoder is not fine-tuned: quick and less exact.
    min_confidence, target_precision, effort:
        As for ``tagger tag``: what :meth:`tag` marks for review, and how much of a paper is read.
    verbose:
        Whether :meth:`fit` prints its stages on standard error.

    Attributes
    ----------
    classes_:
        Names of the tags in alphabetical order, the columns of :meth:`predict_proba`; with several
        facets a dictionary with an array for each.
    taxonomy_, model_:
        The :class:`~tagger.taxonomy.Taxonomy` and :class:`~tagger.model.TaggerModel`.
    metrics_:
        Figures of the cross-validation, under keys such as ``contribution/macro_f1`` and
        ``domain/f1/legal``; see :func:`tagger.evaluation.evaluate`.

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
        max_tokens: int = DEFAULT_MAX_TOKENS,
        epochs: int = 6,
        folds: int = 5,
        seed: int = 0,
        min_confidence: float = 0.6,
        target_precision: float | None = None,
        effort: str = "full",
        verbose: bool = False,
    ) -> None:
        self.encoder = encoder
        self.max_tokens = max_tokens
        self.epochs = epochs
        self.folds = folds
        self.seed = seed
        self.min_confidence = min_confidence
        self.target_precision = target_precision
        self.effort = effort
        self.verbose = verbose

    def fit(self, X: Any, y: Any, taxonomy: Any = None) -> Self:  # noqa: N803
        """Learn from labelled papers, as ``tagger train`` does.

        Parameters
        ----------
        X:
            The papers. Rows that are one paper are taken together, and the last one counts.
        y:
            For one facet the names of tags, one a paper, or lists of them where a paper can have
            several. For several facets a data frame with a column a facet, a dictionary of such
            lists, or a list with a dictionary a paper. None says that a paper was not annotated.
        taxonomy:
            What the tags mean: a :class:`~tagger.taxonomy.Taxonomy`, its file, a label folder, or
            a dictionary with the content of such a file. Facets that ``y`` does not speak of are
            left out. Without one, tags mean what they are called.

        Raises
        ------
        TaggerError
            If arguments do not fit each other (then it is a ``ValueError``, too), labels are too
            few, the encoder cannot be loaded, or a package of the extra ``train`` is missing.
        """
        if y is None:
            raise ArgumentError("fit requires y to be passed, but the target y is None")
        papers = papers_of(X)
        if not papers:
            raise ArgumentError("X has 0 papers, while a minimum of 1 is required")
        terms = taxonomy_of(taxonomy, y, len(papers))
        labels = labels_of(papers, answers_of(y, len(papers), terms))
        try:
            from tagger.training import train

            with TemporaryDirectory() as scratch:
                folder, stages = Path(scratch), _print_stages() if self.verbose else None
                train(labels, terms, self._settings(), folder, stages)
                return self._take(folder)
        except ModuleNotFoundError as error:
            raise missing_package(error, "train") from error

    def predict(self, X: Any) -> Names | dict[str, Names]:  # noqa: N803
        """Return the tags of papers.

        Returns
        -------
        ndarray or dict of ndarray
            Shape (papers,): the name of the tag in an exclusive facet, in any other a tuple of
            names, which may be empty. With several facets, one array for each.

        Raises
        ------
        NotFittedError, ArgumentError
            Before :meth:`fit` or :meth:`load`; if ``X`` does not hold papers.
        """
        model, papers = self._fitted(), papers_of(X)
        probabilities = model.predict_proba(papers)
        tagged = decide(papers, probabilities, model.taxonomy, model.name, model.rule())
        return self._per_facet(lambda facet: _names(facet, tagged))

    def predict_proba(self, X: Any) -> Floats | dict[str, Floats]:  # noqa: N803
        """Return calibrated probabilities, raising as :meth:`predict` does.

        Returns
        -------
        ndarray or dict of ndarray
            Shape (papers, tags), columns as in ``classes_``; rows of an exclusive facet sum to 1.
            With several facets, one array for each.
        """
        probabilities = self._fitted().predict_proba(papers_of(X))
        return self._per_facet(
            lambda facet: np.asarray(probabilities[facet.name][:, np.argsort(facet.tag_names)])
        )

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Return the share of papers with exactly the right tags, 0 to 1; the mean over facets.

        Papers and tags are given as for :meth:`fit`; facets that were not annotated do not count.
        Raises as :meth:`predict` does.
        """
        taxonomy, papers = self._fitted().taxonomy, papers_of(X)
        answers = answers_of(y, len(papers), taxonomy)
        predicted = self.predict(papers)
        shares = []
        for facet in taxonomy.facets:
            found = predicted[facet.name] if isinstance(predicted, dict) else predicted
            right = [
                ((tags,) if facet.exclusive else tags) == facet.with_ancestors(answer[facet.name])
                for tags, answer in zip(found, answers, strict=True)
                if facet.name in answer
            ]
            if right:
                shares.append(sum(right) / len(right))
        if not shares:
            raise ArgumentError("no paper of y is judged in a facet of the model")
        return float(np.mean(shares))

    def tag(self, X: Any) -> DataFrame:  # noqa: N803
        """Tag papers, as ``tagger tag`` does; warns where it does, too.

        Returns
        -------
        DataFrame
            One row a paper, under the index of ``X`` if that is a data frame. ``id`` and ``title``;
            for each facet its tags, one name where it is exclusive and otherwise a list, and, as
            ``FACET_confidence``, how likely each is; ``review``, why a person should look at the
            paper, empty if nobody need.

        Raises
        ------
        NotFittedError, TaggerError
            As :meth:`predict`; also if pandas is not installed, or a parameter is out of range.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise missing_package(error, "formats") from error
        model, papers = self._fitted(), papers_of(X)
        rule, promise = review_rule(model, self.min_confidence, self.target_precision)
        for shortfall in promise.shortfalls if promise else ():
            warnings.warn(shortfall, stacklevel=2)
        found = model.predict(papers)
        if papers and model.reference.ids:
            near = model.reference.similarity_of(found.vectors)
            drift = measure_drift(near, found.probabilities, model.reference, model.taxonomy, rule)
            for warning in drift.warnings:
                warnings.warn(f"{warning}; look some of them over", stacklevel=2)
        tagged = decide(papers, found.probabilities, model.taxonomy, model.name, rule)
        columns: dict[str, list[Any]] = {
            name: [getattr(paper, name) for paper in tagged] for name in ("id", "title")
        }
        for facet in model.taxonomy.facets:
            name, pick = facet.name, _only if facet.exclusive else list
            columns[name] = [pick(paper.tags[name]) for paper in tagged]
            columns[f"{name}_confidence"] = [
                pick([paper.confidence[name][tag] for tag in paper.tags[name]]) for paper in tagged
            ]
        columns["review"] = [paper.review.reason if paper.review else "" for paper in tagged]
        return pd.DataFrame(columns, index=X.index if hasattr(X, "iloc") else None)

    def save(self, folder: str | Path) -> Path:
        """Save the model to a folder, in place of a model that may be there; return the folder.

        It is what :meth:`load`, and ``--model`` of every command, takes.

        Raises
        ------
        NotFittedError, TaggerError
            Before :meth:`fit` or :meth:`load`; if the folder holds anything else than a model or
            cannot be written to, or the model is one of definitions.
        """
        self._fitted()
        folder = Path(folder)
        if self._folder is None:
            raise TaggerError(
                "a model of definitions holds nothing to save",
                hint="Load it by the label folder that the definitions are in",
            )
        others = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
        if folder.exists() and (not folder.is_dir() or others - set(_FILES)):
            raise TaggerError("contains other files; not overwritten", path=folder)
        with replacing_folder(folder) as new:
            _copy_model(self._folder, new)
        return folder

    @classmethod
    def load(cls, model: str | Path = "champion", **parameters: Any) -> Self:
        """Load a trained model, without PyTorch or scikit-learn.

        Parameters
        ----------
        model:
            As for ``--model``: a model's folder, a label folder whose definitions alone tell the
            tags, or a version in MLflow, by number (``7``), alias (``champion``) or run id.
        parameters:
            Of the constructor. Those of training are for the next :meth:`fit`.

        Raises
        ------
        TaggerError
            If there is no such model, or it is damaged.
        """
        from tagger.registry import find_model_folder, is_label_folder, load_model_by_name

        tagger = cls(**parameters)
        if is_label_folder(model):
            return tagger._use(load_model_by_name(model), None)
        with TemporaryDirectory() as scratch:
            found = find_model_folder(model, Path(scratch))
            return tagger._take(found.folder, found.version)

    def _take(self, folder: Path, name: str | None = None) -> Self:
        """Use the model of a folder, from a copy of its files that lasts as long as it is used."""
        with ExitStack() as kept:
            own = TemporaryDirectory(prefix="tagger-", ignore_cleanup_errors=True)
            path = Path(kept.enter_context(own))
            _copy_model(folder, path)
            model = load_model(path, name, default_cache())
            weakref.finalize(model, kept.pop_all().close)
        return self._use(model, path)

    def _use(self, model: TaggerModel, folder: Path | None) -> Self:
        self._folder = folder
        self.model_, self.taxonomy_ = model, model.taxonomy
        self.classes_ = self._per_facet(lambda facet: np.array(sorted(facet.tag_names)))
        self.metrics_ = _cross_validated(model)
        return self

    def _fitted(self) -> TaggerModel:
        if not hasattr(self, "model_"):
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with labelled "
                "papers, or take a trained one by 'Tagger.load'"
            )
        if self.effort not in EFFORTS:
            raise ArgumentError(f"effort is {self.effort!r}, not one of {', '.join(EFFORTS)}")
        model: TaggerModel = self.model_
        return model.at_effort(self.effort)

    def _per_facet(self, make: Callable[[Facet], _T]) -> _T | dict[str, _T]:
        """Return what is made of the only facet, or a dictionary of what is made of each."""
        facets = self.taxonomy_.facets
        return make(facets[0]) if len(facets) == 1 else {f.name: make(f) for f in facets}

    def _settings(self) -> TrainingSettings:
        from tagger.training import TrainingSettings

        for name, least in (("max_tokens", 1), ("epochs", 0), ("folds", 2)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise ArgumentError(f"{name} is {value!r}, not a whole number from {least} on")
        return TrainingSettings(
            encoder=str(self.encoder),
            max_tokens=int(self.max_tokens),
            epochs=int(self.epochs),
            folds=int(self.folds),
            seed=int(self.seed),
        )

    def __getstate__(self) -> Any:
        if self.__sklearn_is_fitted__():
            raise TypeError("a trained Tagger is not pickled: save it, and load it by Tagger.load")
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
        """Return what a notebook shows: of a trained one its tags, with figures."""
        if not self.__sklearn_is_fitted__():
            return render("estimator.html", model=None, parameters=vars(self))
        y_true = self.model_.reference.y_true
        labels = {name: counted.sum(axis=0).tolist() for name, counted in y_true.items()}
        return render("estimator.html", model=self.model_, labels=labels, metrics=self.metrics_)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Return what a notebook asks for first."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


_FILES = (*MODEL_FILES, FLOAT32_FILE, MANIFEST_FILE)
"""The manifest comes last, so that a copy that a kill cut short does not load."""


def _copy_model(source: Path, target: Path) -> None:
    """Copy the files of a model; what is missing shows when it is loaded."""
    for name in _FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def _print_stages() -> Progress:
    printed: set[str] = set()

    def step(stage: str, _done: int, _total: int) -> None:
        if stage not in printed:
            print(stage, file=sys.stderr, flush=True)
        printed.add(stage)

    return step


def _names(facet: Facet, tagged: Sequence[TaggedPaper]) -> Names:
    names = np.empty(len(tagged), dtype=object)
    pick = _only if facet.exclusive else tuple
    names[:] = [pick(paper.tags[facet.name]) for paper in tagged]
    return names


def _only(values: Sequence[Any]) -> Any:
    return values[0]


def _cross_validated(model: TaggerModel) -> dict[str, float]:
    """Return the figures of the cross-validation, as far as the model remembers it."""
    reference = model.reference
    figures: dict[str, float] = {}
    for facet in model.taxonomy.facets:
        rows = reference.annotated[facet.name]
        if rows.any():
            y_true = reference.y_true[facet.name][rows]
            probabilities = reference.probabilities[facet.name][rows]
            found = evaluate(facet, y_true, probabilities, model.thresholds[facet.name])
            figures |= {f"{facet.name}/{key}": value for key, value in found.items()}
    return figures
