"""What an earlier model leaves for a later one that is to break little of what it had right.

Its encoder, to average weights with (:mod:`tagger.weight_change`), and what it says of labelled
papers, for the heads to agree with where it is right. In cross-validation a fold must not learn
from a model that saw the papers it holds out, not even through that model's answers on other
papers. So a training keeps the encoders and the answers of its own folds, too, and the next one
takes, in each fold, those of one that did not see these papers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tagger.errors import TaggerError
from tagger.evaluation import Booleans, Integers, assign
from tagger.heads import PARTS, Floats, probabilities
from tagger.model import TaggerModel
from tagger.paper import Paper
from tagger.taxonomy import Facet, Taxonomy
from tagger.weight_change import WeightChange


@dataclass(frozen=True)
class Answers:
    """A model, and what it says of papers.

    Parameters
    ----------
    ids:
        Of the papers: of a fold, those that it was trained on.
    seen:
        Ids of all papers that had part in it: also those of the models that guided it.
    labels:
        How many labelled papers it was trained on.
    scores:
        Per facet, of the parts of its head, shape (parts, papers, tags).
    change:
        How its encoder was fine-tuned.
    """

    ids: tuple[str, ...]
    seen: frozenset[str]
    labels: int
    scores: dict[str, Floats]
    change: WeightChange


@dataclass(frozen=True)
class Compatibility:
    """What a training leaves for a later one.

    Parameters
    ----------
    change:
        How the encoder of the model was fine-tuned.
    folds:
        Of its cross-validation.
    """

    change: WeightChange
    folds: tuple[Answers, ...]


@dataclass(frozen=True)
class Champion:
    """A model whose right answers are to be kept.

    Parameters
    ----------
    model:
        The model.
    left:
        What its training left.
    """

    model: TaggerModel
    left: Compatibility

    def answers(self, papers: Sequence[Paper]) -> Answers:
        """Return what the model itself says of papers."""
        vectors = self.model.encode(papers)
        terms = self.model.lexical.transform(papers)
        scores = {name: head.scores(vectors, terms) for name, head in self.model.heads.items()}
        ids = tuple(paper.id for paper in papers)
        folds = self.left.folds
        seen = frozenset[str]().union(*(fold.seen for fold in folds))
        labels = len(frozenset[str]().union(*(fold.ids for fold in folds)))
        return Answers(ids, seen, labels, scores, self.left.change)

    def folds_of_papers(self) -> dict[str, int]:
        """Return which fold, from 0, can be asked about each paper that all others have seen."""
        seen = [fold.seen for fold in self.left.folds]
        blind = {
            name: [fold for fold, papers in enumerate(seen) if name not in papers]
            for name in frozenset[str]().union(*seen)
        }
        return {name: folds[0] for name, folds in blind.items() if len(folds) == 1}

    def answers_without(self, held_out: set[str]) -> Answers | None:
        """Return the answers of a fold that none of these papers had part in, if there is one.

        Of several, those on most papers.
        """
        blind = [fold for fold in self.left.folds if held_out.isdisjoint(fold.seen)]
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
    trust:
        How much they count, 0 to 1: the earlier model may have learned from fewer papers.
    """

    scores: Floats
    right: Booleans
    trust: float

    def take(self, rows: Integers | Booleans) -> SoftLabels:
        """Return those of some papers."""
        return SoftLabels(self.scores[:, rows], self.right[rows], self.trust)


@dataclass(frozen=True)
class Guidance:
    """What a training is to keep to.

    Parameters
    ----------
    change:
        How the earlier encoder was fine-tuned.
    seen:
        Ids of the papers that had part in the earlier model.
    labels:
        How many it was trained on.
    soft:
        Soft labels per facet.
    """

    change: WeightChange
    seen: frozenset[str]
    labels: int
    soft: dict[str, SoftLabels]


def guide(
    champion: Champion,
    answers: Answers,
    ids: Sequence[str],
    truth: Mapping[str, Booleans],
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
    taxonomy:
        What the tags are of.
    """
    places = {name: row for row, name in enumerate(answers.ids)}
    known = np.array([name in places for name in ids], dtype=bool)
    rows = [places[name] for name in ids if name in places]
    trust = min(1.0, answers.labels / len(ids))
    soft = {}
    for facet in champion.facets(taxonomy):
        scores = np.zeros((len(PARTS), len(ids), len(facet.tags)))
        scores[:, known] = answers.scores[facet.name][:, rows]
        calibration = champion.model.heads[facet.name].calibration
        tags = assign(facet, probabilities(facet, scores, calibration))
        right = known & (tags == truth[facet.name]).all(axis=1)
        soft[facet.name] = SoftLabels(scores, right, trust)
    return Guidance(answers.change, answers.seen, answers.labels, soft)


_FINAL = "final"
_SCORES = "scores."


def save_compatibility(left: Compatibility, path: Path) -> None:
    """Save what a training left as one safetensors file, ids of papers in its header."""
    from safetensors.numpy import save

    arrays = left.change.parts(f"{_FINAL}.")
    for number, fold in enumerate(left.folds):
        arrays |= fold.change.parts(f"{number}.")
        for name, scores in fold.scores.items():
            arrays[f"{number}.{_SCORES}{name}"] = np.ascontiguousarray(scores)
    ids = {
        str(number): json.dumps({"ids": fold.ids, "seen": sorted(fold.seen)})
        for number, fold in enumerate(left.folds)
    }
    # The library's own way to a file raises what is no OSError, and lets nobody else read it.
    path.write_bytes(save(arrays, metadata={"base": left.change.base, **ids}))


def load_compatibility(path: Path) -> Compatibility:
    """Load what :func:`save_compatibility` saved.

    Raises
    ------
    TaggerError
        If the file cannot be read or is another one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            ids, names = file.metadata() or {}, file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
        base = ids.pop("base")
        folds = []
        for number in sorted(ids, key=int):
            start = f"{number}.{_SCORES}"
            scores = {
                name.removeprefix(start): values
                for name, values in arrays.items()
                if name.startswith(start)
            }
            change = WeightChange.from_parts(base, arrays, f"{number}.")
            papers = json.loads(ids[number])
            own, seen = tuple(papers["ids"]), frozenset(papers["seen"])
            folds.append(Answers(own, seen, len(own), scores, change))
        return Compatibility(WeightChange.from_parts(base, arrays, f"{_FINAL}."), tuple(folds))
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise TaggerError(
            "does not hold what a training leaves for a later one", path=path
        ) from error
