"""What an earlier model says of labelled papers, for a later one to agree with where it is right.

In cross-validation a fold must not learn from a model that saw the papers it holds out, not even
through that model's answers on other papers. So a training keeps the answers of its own fold
models, too, and the next one listens, in each fold, to one that did not see those papers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tagger.encoder import Vectors
from tagger.errors import TaggerError
from tagger.evaluation import Booleans, Integers, assign
from tagger.heads import PARTS, Floats, probabilities
from tagger.model import TaggerModel
from tagger.paper import Paper
from tagger.taxonomy import Facet, Taxonomy


@dataclass(frozen=True)
class Answers:
    """What a model says of the papers that it was trained on.

    Parameters
    ----------
    ids:
        Of the papers.
    vectors:
        Shape (views * papers, dimensions): of all papers, then perhaps of all their titles.
    scores:
        Per facet, of the parts of its head, shape (parts, papers, tags).
    """

    ids: tuple[str, ...]
    vectors: Vectors
    scores: dict[str, Floats]


@dataclass(frozen=True)
class Champion:
    """A model whose right answers are to be kept.

    Parameters
    ----------
    model:
        The model.
    folds:
        What the models of its cross-validation say, each of the papers it was trained on.
    """

    model: TaggerModel
    folds: tuple[Answers, ...]

    def answers(self, papers: Sequence[Paper]) -> Answers:
        """Return what the model itself says of papers."""
        texts = [paper.text for paper in papers] + [paper.title for paper in papers]
        vectors = self.model.encoder.encode(texts)
        terms = self.model.lexical.transform(papers)
        whole = vectors[: len(papers)]
        scores = {name: head.scores(whole, terms) for name, head in self.model.heads.items()}
        return Answers(tuple(paper.id for paper in papers), vectors, scores)

    def answers_without(self, held_out: set[str]) -> Answers | None:
        """Return the answers of a fold that was trained on none of these papers, if there is one.

        Of several, those on most papers.
        """
        blind = [fold for fold in self.folds if held_out.isdisjoint(fold.ids)]
        return max(blind, key=lambda fold: len(fold.ids), default=None)

    def facets(self, taxonomy: Taxonomy) -> list[Facet]:
        """Return the facets of a taxonomy that the model answers with the same tags."""
        return [
            facet
            for facet in taxonomy.facets
            for head in [self.model.heads.get(facet.name)]
            if head
            and head.facet.tag_names == facet.tag_names
            and head.facet.exclusive == facet.exclusive
        ]


@dataclass(frozen=True)
class SoftLabels:
    """Soft labels of one facet.

    Parameters
    ----------
    scores:
        Of the parts of the earlier model's head, shape (parts, papers, tags).
    right:
        Where they lead to the right tags, shape (papers,).
    """

    scores: Floats
    right: Booleans

    def take(self, rows: Integers | Booleans) -> SoftLabels:
        """Return those of some papers."""
        return SoftLabels(self.scores[:, rows], self.right[rows])


@dataclass(frozen=True)
class Guidance:
    """What a training is to keep to, paper by paper.

    Parameters
    ----------
    vectors:
        Where the earlier encoder put the papers, shape (views * papers, dimensions): the whole of
        each, then perhaps each title.
    kept:
        Which papers the earlier model has right in all facets, shape (papers,).
    soft:
        Soft labels per facet.
    """

    vectors: Vectors
    kept: Booleans
    soft: dict[str, SoftLabels]


def guide(
    champion: Champion,
    answers: Answers,
    ids: Sequence[str],
    truth: Mapping[str, Booleans],
    judged: Mapping[str, Booleans],
    taxonomy: Taxonomy,
) -> Guidance:
    """Turn the answers of a champion into guidance on papers; of papers it left out, none.

    Parameters
    ----------
    champion, answers:
        The model, and what it or one of its folds says.
    ids:
        Of the papers.
    truth:
        Per facet, their tags, shape (papers, tags).
    judged:
        Per facet, whether anybody said, shape (papers,).
    taxonomy:
        What the tags are of.
    """
    places = {name: row for row, name in enumerate(answers.ids)}
    known = np.array([name in places for name in ids], dtype=bool)
    rows = [places[name] for name in ids if name in places]
    views = answers.vectors.reshape(-1, len(answers.ids), answers.vectors.shape[1])
    vectors = np.zeros((len(views), len(ids), views.shape[2]), dtype=np.float32)
    vectors[:, known] = views[:, rows]
    soft = {}
    kept = known.copy()
    for facet in champion.facets(taxonomy):
        scores = np.zeros((len(PARTS), len(ids), len(facet.tags)))
        scores[:, known] = answers.scores[facet.name][:, rows]
        calibration = champion.model.heads[facet.name].calibration
        tags = assign(facet, probabilities(facet, scores, calibration))
        right = known & (tags == truth[facet.name]).all(axis=1)
        soft[facet.name] = SoftLabels(scores, right)
        kept &= right | ~judged[facet.name]
    return Guidance(vectors.reshape(-1, vectors.shape[2]), kept, soft)


def save_answers(folds: Sequence[Answers], path: Path) -> None:
    """Save the answers of folds as one safetensors file, the ids of the papers in its header."""
    from safetensors.numpy import save

    arrays = {}
    for number, fold in enumerate(folds):
        arrays[f"{number}.vectors"] = np.ascontiguousarray(fold.vectors)
        for name, scores in fold.scores.items():
            arrays[f"{number}.scores.{name}"] = np.ascontiguousarray(scores)
    ids = {str(number): json.dumps(fold.ids) for number, fold in enumerate(folds)}
    path.write_bytes(save(arrays, metadata=ids))


def load_answers(path: Path) -> tuple[Answers, ...]:
    """Load what :func:`save_answers` saved.

    Raises
    ------
    TaggerError
        If the file cannot be read or is another one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            ids, names = file.metadata() or {}, file.keys()
            return tuple(
                Answers(
                    tuple(json.loads(ids[number])),
                    file.get_tensor(f"{number}.vectors"),
                    {
                        name.removeprefix(f"{number}.scores."): file.get_tensor(name)
                        for name in names
                        if name.startswith(f"{number}.scores.")
                    },
                )
                for number in sorted(ids, key=int)
            )
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise TaggerError("is no file of fold answers", path=path) from error
