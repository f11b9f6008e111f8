"""The model: papers to calibrated probabilities per facet and tag.

A saved model is a folder of data: ``model.json`` (taxonomy, settings, vocabulary, SHA-256 of
each other file), ``heads.safetensors``, ``reference.safetensors``, ``encoder.onnx`` and
``tokenizer.json``. Loading one executes nothing from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tagger.durable import replacing
from tagger.encoder import (
    ENCODING,
    ONNX_FILE,
    TOKENIZER_FILE,
    Encoder,
    OnnxEncoder,
    Progress,
    Vectors,
    sha256_of,
)
from tagger.errors import TaggerError
from tagger.evaluation import Integers
from tagger.heads import PARTS, Calibration, Floats, Head, Linear
from tagger.lexical import LexicalFeatures
from tagger.paper import Paper
from tagger.reading import READINGS
from tagger.reference import Reference
from tagger.taxonomy import Facet, Taxonomy
from tagger.vector_cache import CachedEncoder, VectorCache

MANIFEST_FILE = "model.json"
HEADS_FILE = "heads.safetensors"
REFERENCE_FILE = "reference.safetensors"
MODEL_FILES = (ONNX_FILE, TOKENIZER_FILE, HEADS_FILE, REFERENCE_FILE)
"""The files of a saved model beside its manifest."""
_RARITY = "lexical.rarity"


EFFORTS = ("low", "balanced", "full")
"""How much work a paper is given. ``low``: its title is read. ``balanced``: an excerpt, and the
whole where that leaves doubt. ``full``: the whole."""


class Stage(BaseModel):
    """A reading of papers, and what is believed of it.

    Parameters
    ----------
    reading:
        What is read, one of :data:`tagger.reading.READINGS`.
    calibration:
        Per facet, of the heads on this reading.
    sure_from:
        A paper of which the model is at least this sure in every facet is not read any further.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    reading: Literal["title", "excerpt", "whole"]
    calibration: dict[str, Calibration]
    sure_from: float = 0.0


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[2] = 2
    taxonomy: Taxonomy
    max_tokens: Annotated[int, Field(ge=1, le=8192)]
    vocabulary: tuple[str, ...]
    calibration: dict[str, Calibration]
    efforts: dict[str, tuple[Stage, ...]] = {}
    files: dict[str, str]


@dataclass(frozen=True)
class Predictions:
    """What a model says of papers.

    Parameters
    ----------
    vectors:
        Of the encoder, shape (papers, dimensions), of what was read of each paper in the end.
    probabilities:
        Per facet, calibrated, shape (papers, tags).
    parts:
        Per facet, what each part of the head alone would say, shape (parts, papers, tags).
    """

    vectors: Vectors
    probabilities: dict[str, Floats]
    parts: dict[str, Floats]

    def take(self, rows: Integers) -> Predictions:
        """Return what is said of some of the papers."""
        return Predictions(
            self.vectors[rows],
            {name: chances[rows] for name, chances in self.probabilities.items()},
            {name: parts[:, rows] for name, parts in self.parts.items()},
        )

    def replace(self, rows: Integers, others: Predictions) -> Predictions:
        """Return the same with some papers, shape (others,), said otherwise."""
        new = self.take(np.arange(len(self.vectors)))
        new.vectors[rows] = others.vectors
        for name in new.probabilities:
            new.probabilities[name][rows] = others.probabilities[name]
            new.parts[name][:, rows] = others.parts[name]
        return new


class TaggerModel:
    """An encoder and lexical features, shared by one head a facet.

    Parameters
    ----------
    taxonomy:
        What the model tags with.
    encoder:
        Turns the text of a paper into a vector.
    lexical:
        Turns the words of a paper into features.
    heads:
        One for each facet of the taxonomy, in its order.
    reference:
        What it remembers of its training.
    name:
        What the model is called in results, for example ``tagger/7``.
    digest:
        SHA-256 of the saved model's manifest, and through it of every part.
    efforts:
        For each effort but ``full``, how papers are read with it, stage by stage.
    effort:
        With which of them it reads.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        encoder: Encoder,
        lexical: LexicalFeatures,
        heads: Sequence[Head],
        reference: Reference,
        name: str,
        digest: str,
        efforts: Mapping[str, tuple[Stage, ...]] | None = None,
        effort: str = "full",
    ) -> None:
        self.taxonomy = taxonomy
        self.encoder = encoder
        self.lexical = lexical
        self.heads = {head.facet.name: head for head in heads}
        self.reference = reference
        self.name = name
        self.digest = digest
        self.efforts = dict(efforts or {})
        self.effort = effort

    def at_effort(self, effort: str) -> TaggerModel:
        """Return the same model reading with another effort.

        What it remembers of held-out papers is then what it would have said with that effort, so
        that promises and warnings keep their meaning.

        Parameters
        ----------
        effort:
            One of :data:`EFFORTS`.

        Raises
        ------
        TaggerError
            If there is no such effort, or the model has not learned it.
        """
        if effort == self.effort:
            return self
        if effort not in EFFORTS or self.effort != "full":
            raise TaggerError(f"there is no effort '{effort}'", hint=f"One of {', '.join(EFFORTS)}")
        if effort not in self.efforts:
            raise TaggerError(
                f"{self.name} has not learned to read with {effort} effort",
                hint="Train it anew with tagger train, or tag with --effort full",
            )
        return TaggerModel(
            self.taxonomy,
            self.encoder,
            self.lexical,
            [*self.heads.values()],
            self.reference.at_effort(effort),
            self.name,
            self.digest,
            self.efforts,
            effort,
        )

    def _stages(self) -> tuple[Stage, ...]:
        usual = {name: head.calibration for name, head in self.heads.items()}
        return self.efforts.get(self.effort, (Stage(reading="whole", calibration=usual),))

    def encode(self, papers: Sequence[Paper], progress: Progress | None = None) -> Vectors:
        """Return the vectors of whole papers, whatever the effort, shape (papers, dimensions)."""
        return self.encoder.encode([paper.text for paper in papers], progress)

    def predict(self, papers: Sequence[Paper], progress: Progress | None = None) -> Predictions:
        """Return all that the model says of each paper.

        Parameters
        ----------
        papers:
            The papers.
        progress:
            Called with papers done and papers in all.
        """
        terms = self.lexical.transform(papers)
        said: Predictions | None = None
        left: Integers = np.arange(len(papers))
        for stage in self._stages():
            read = READINGS[stage.reading]
            done = len(papers) - len(left)
            report = _onwards(progress, done, len(papers)) if progress else None
            vectors = self.encoder.encode([read(papers[int(row)]) for row in left], report)
            found = self._classify(vectors, terms[left], stage)
            said = found if said is None else said.replace(left, found)
            left = left[sureness(self.taxonomy, found.probabilities) < stage.sure_from]
            if not len(left):
                break
        assert said is not None
        return said

    def _classify(self, vectors: Vectors, terms: Floats, stage: Stage) -> Predictions:
        heads = {
            name: replace(head, calibration=stage.calibration[name])
            for name, head in self.heads.items()
        }
        return Predictions(
            vectors,
            {name: head.predict_proba(vectors, terms) for name, head in heads.items()},
            {name: head.predict_proba_of_parts(vectors, terms) for name, head in heads.items()},
        )

    def predict_proba(self, papers: Sequence[Paper]) -> dict[str, Floats]:
        """Return calibrated probabilities of shape (papers, tags) for each facet.

        Columns are in the order of the facet's ``tag_names``; rows of an exclusive facet sum
        to 1.
        """
        if not papers:
            return {name: np.zeros((0, len(h.facet.tags))) for name, h in self.heads.items()}
        return self.predict(papers).probabilities


def sureness(taxonomy: Taxonomy, probabilities: Mapping[str, Floats]) -> Floats:
    """Return how sure a model is of its least sure answer on each paper, shape (papers,).

    Parameters
    ----------
    taxonomy:
        The facets.
    probabilities:
        Per facet, shape (papers, tags).
    """
    answers = []
    for facet in taxonomy.facets:
        chances = probabilities[facet.name]
        if not facet.exclusive:
            answers.append(np.maximum(chances, 1 - chances).min(axis=1, initial=1.0))
        else:
            answers.append(chances.max(axis=1, initial=0.0))
    return np.asarray(np.min(answers, axis=0))


def _onwards(progress: Progress, done: int, total: int) -> Progress:
    """Report a stage that begins when some papers are done."""
    return lambda more, _: progress(done + more, total)


def save_heads(
    folder: Path,
    taxonomy: Taxonomy,
    lexical: LexicalFeatures,
    heads: Sequence[Head],
    reference: Reference,
    max_tokens: int,
    efforts: Mapping[str, tuple[Stage, ...]] | None = None,
) -> None:
    """Complete a folder that holds an exported encoder into a saved model.

    The manifest is written last, so a folder that a kill left unfinished does not load.
    """
    from safetensors.numpy import save_file

    arrays = {_RARITY: lexical.rarity}
    for head in heads:
        for part in PARTS:
            classifier: Linear = getattr(head, part)
            arrays[f"{head.facet.name}.{part}.weights"] = np.ascontiguousarray(classifier.weights)
            arrays[f"{head.facet.name}.{part}.bias"] = np.ascontiguousarray(classifier.bias)
    save_file(arrays, folder / HEADS_FILE)
    reference.sample().save(folder / REFERENCE_FILE)
    manifest = _Manifest(
        taxonomy=taxonomy,
        max_tokens=max_tokens,
        vocabulary=lexical.vocabulary,
        calibration={head.facet.name: head.calibration for head in heads},
        efforts=dict(efforts or {}),
        files={name: sha256_of(folder / name) for name in MODEL_FILES},
    )
    with replacing(folder / MANIFEST_FILE) as file:
        file.write(manifest.model_dump_json(indent=2) + "\n")


def load_model(
    folder: str | Path,
    name: str | None = None,
    cache: VectorCache | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
) -> TaggerModel:
    """Load a saved model for use, without PyTorch.

    Parameters
    ----------
    folder:
        A saved model.
    name:
        What to call it in results; without one, ``local/`` and the start of its hash.
    cache:
        Where vectors are looked up and kept. With one, the encoder is checked and loaded when the
        first text has to be encoded, so the folder has to stay.
    device, threads:
        As for :class:`tagger.encoder.OnnxEncoder`.

    Raises
    ------
    TaggerError
        If the folder is no model, a file is missing or was changed, or the parts do not fit.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(folder)
    path = folder / MANIFEST_FILE
    try:
        content = path.read_bytes()
        manifest = _Manifest.model_validate(json.loads(content))
    except OSError as error:
        raise TaggerError(
            "is not a saved model: it has no readable model.json", path=folder
        ) from error
    except (ValueError, RecursionError, ValidationError) as error:
        raise TaggerError(
            "is not a model manifest that this version reads",
            path=path,
            hint="A model of an earlier version has to be trained anew: tagger train",
        ) from error
    for file in (HEADS_FILE, REFERENCE_FILE):
        _check_hash(folder / file, manifest)
    try:
        arrays = load_file(folder / HEADS_FILE)
    except (OSError, SafetensorError) as error:
        raise TaggerError("cannot be read", path=folder / HEADS_FILE) from error
    reference = Reference.load(folder / REFERENCE_FILE)
    if not reference.fits(manifest.taxonomy, manifest.efforts):
        raise TaggerError("does not fit the taxonomy in model.json", path=folder / REFERENCE_FILE)
    lexical = LexicalFeatures(manifest.vocabulary, arrays.get(_RARITY, np.zeros(0)))
    heads = [
        _head(facet, arrays, manifest, folder / HEADS_FILE) for facet in manifest.taxonomy.facets
    ]

    def make_encoder() -> Encoder:
        for file in (ONNX_FILE, TOKENIZER_FILE):
            _check_hash(folder / file, manifest)
        return OnnxEncoder(folder, manifest.max_tokens, device, threads)

    _check_efforts(manifest, path)
    # What another device says is not kept: a cache is for what one processor says like another.
    encoder = (
        make_encoder()
        if cache is None or device != "cpu"
        else _cached(make_encoder, manifest, heads, cache)
    )
    digest = hashlib.sha256(content).hexdigest()
    label = name or f"local/{digest[:12]}"
    return TaggerModel(
        manifest.taxonomy, encoder, lexical, heads, reference, label, digest, manifest.efforts
    )


def _check_efforts(manifest: _Manifest, path: Path) -> None:
    names = {facet.name for facet in manifest.taxonomy.facets}
    for effort, stages in manifest.efforts.items():
        fits = stages and all(
            set(stage.calibration) == names
            and all(len(each.scales) == len(PARTS) for each in stage.calibration.values())
            for stage in stages
        )
        if effort not in EFFORTS or effort == "full" or not fits:
            raise TaggerError("does not fit the rest of the model", path=path, field="efforts")


def _check_hash(path: Path, manifest: _Manifest) -> None:
    if not path.is_file():
        raise TaggerError("the model lacks this file", path=path)
    if sha256_of(path) != manifest.files.get(path.name):
        raise TaggerError("does not match the hash in model.json", path=path)


def _cached(
    make: Callable[[], Encoder], manifest: _Manifest, heads: Sequence[Head], cache: VectorCache
) -> CachedEncoder:
    files = [manifest.files[name] for name in (ONNX_FILE, TOKENIZER_FILE)]
    identity = f"{ENCODING} {manifest.max_tokens} {' '.join(files)}"
    return CachedEncoder(make, identity, heads[0].encoder.weights.shape[1], cache)


def _head(
    facet: Facet, arrays: Mapping[str, npt.NDArray[np.float64]], manifest: _Manifest, path: Path
) -> Head:
    """Put a head together from the arrays of a file, if all of them fit."""
    try:
        encoder, lexical = parts = [
            Linear(arrays[f"{facet.name}.{part}.weights"], arrays[f"{facet.name}.{part}.bias"])
            for part in PARTS
        ]
        head = Head(facet, encoder, lexical, manifest.calibration[facet.name])
        tags, terms = len(facet.tags), len(manifest.vocabulary)
        fits = (
            all(part.weights.shape[:-1] == part.bias.shape == (tags,) for part in parts)
            and head.lexical.weights.shape == (tags, terms)
            and arrays[_RARITY].shape == (terms,)
            and len(head.calibration.scales) == len(PARTS)
        )
    except KeyError:
        fits = False
    if not fits:
        raise TaggerError(
            f"the head of the facet '{facet.name}' does not fit the rest of the model", path=path
        )
    return head
