"""The model: papers to calibrated probabilities per facet and tag.

A saved model is a folder of data: ``model.json`` (taxonomy, settings, vocabulary, SHA-256 of
each other file), ``heads.safetensors``, ``reference.safetensors``, ``encoder.onnx`` and
``tokenizer.json``. Loading one executes nothing from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tagger.atomic import replacing
from tagger.decision import paper_confidence
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
from tagger.heads import (
    PARTS,
    Calibration,
    Floats,
    Head,
    Linear,
    probabilities,
    probabilities_of_parts,
)
from tagger.integrity import Shape, check_folder, check_graph, check_hash, load_arrays
from tagger.lexical import LexicalFeatures
from tagger.paper import Paper
from tagger.reading import READINGS
from tagger.reference import Reference
from tagger.taxonomy import Taxonomy, check_names
from tagger.validation import first_problem
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

    Attributes
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

    format: Literal[3] = 3
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
            left = left[paper_confidence(self.taxonomy, found.probabilities) < stage.sure_from]
            if not len(left):
                break
        assert said is not None
        return said

    def _classify(self, vectors: Vectors, terms: Floats, stage: Stage) -> Predictions:
        chances, parts = {}, {}
        for name, head in self.heads.items():
            scores = head.scores(vectors, terms)
            chances[name] = probabilities(head.facet, scores, stage.calibration[name])
            parts[name] = probabilities_of_parts(head.facet, scores, stage.calibration[name])
        return Predictions(vectors, chances, parts)

    def predict_proba(self, papers: Sequence[Paper]) -> dict[str, Floats]:
        """Return calibrated probabilities of shape (papers, tags) for each facet.

        Columns are in the order of the facet's ``tag_names``; rows of an exclusive facet sum
        to 1.
        """
        if not papers:
            return {name: np.zeros((0, len(h.facet.tags))) for name, h in self.heads.items()}
        return self.predict(papers).probabilities


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
    from safetensors.numpy import save

    arrays = {_RARITY: lexical.rarity}
    for head in heads:
        for part in PARTS:
            classifier: Linear = getattr(head, part)
            arrays[f"{head.facet.name}.{part}.weights"] = np.ascontiguousarray(classifier.weights)
            arrays[f"{head.facet.name}.{part}.bias"] = np.ascontiguousarray(classifier.bias)
    (folder / HEADS_FILE).write_bytes(save(arrays))
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

    Nothing in the folder is executed, and nothing of it is used before it is seen to be what it
    must be: just these files, with the hashes of the manifest, arrays of the right shapes that
    hold numbers, an encoder that holds its weights itself and gives vectors of the right size.

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
    folder = Path(folder)
    manifest, content = _load_manifest(folder)
    for file in (HEADS_FILE, REFERENCE_FILE):
        check_hash(folder / file, manifest.files[file])
    heads, lexical = _load_heads(folder / HEADS_FILE, manifest)
    reference = Reference.load(folder / REFERENCE_FILE)
    dimensions = heads[0].encoder.weights.shape[1]
    fits = reference.fits(manifest.taxonomy, manifest.efforts)
    if not fits or reference.vectors.shape[1] != dimensions:
        raise TaggerError("does not fit the taxonomy in model.json", path=folder / REFERENCE_FILE)

    def make_encoder() -> Encoder:
        for file in (ONNX_FILE, TOKENIZER_FILE):
            check_hash(folder / file, manifest.files[file])
        check_graph(folder / ONNX_FILE)
        return OnnxEncoder(folder, manifest.max_tokens, dimensions, device, threads)

    _check_efforts(manifest, folder / MANIFEST_FILE)
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
            and all(map(_is_calibration, stage.calibration.values()))
            for stage in stages
        )
        if effort not in EFFORTS or effort == "full" or not fits:
            raise TaggerError("does not fit the rest of the model", path=path, field="efforts")


def _is_calibration(calibration: Calibration) -> bool:
    numbers = (*calibration.scales, calibration.shift)
    return len(calibration.scales) == len(PARTS) and bool(np.isfinite(numbers).all())


def _load_manifest(folder: Path) -> tuple[_Manifest, bytes]:
    """Return the manifest of a folder that holds a model and nothing else, and its bytes."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise TaggerError("is not a saved model: it has no readable model.json", path=folder)
    check_folder(folder, (MANIFEST_FILE, *MODEL_FILES))
    hint = "A model of an earlier version has to be trained anew: tagger train"
    try:
        content = path.read_bytes()
        manifest = _Manifest.model_validate(json.loads(content))
        check_names(manifest.taxonomy)
        if set(manifest.files) != set(MODEL_FILES):
            raise TaggerError("it has not the hashes of just the model's files")
        if set(manifest.calibration) != {facet.name for facet in manifest.taxonomy.facets}:
            raise TaggerError("it has not a calibration of each facet")
        if not all(map(_is_calibration, manifest.calibration.values())):
            raise TaggerError("a calibration holds what is no number, or too many or too few")
    except ValidationError as error:
        invalid = first_problem(error)
        raise TaggerError(
            f"is not a model manifest that this version reads: {invalid.field}: {invalid.problem}",
            path=path,
            hint=hint,
        ) from error
    except (OSError, ValueError, RecursionError, TaggerError) as error:
        raise TaggerError(
            f"is not a model manifest that this version reads: {error}", path=path, hint=hint
        ) from error
    return manifest, content


def _load_heads(path: Path, manifest: _Manifest) -> tuple[list[Head], LexicalFeatures]:
    """Put the heads together, if all of their arrays fit the manifest and one another."""
    terms = len(manifest.vocabulary)
    shapes: dict[str, Shape] = {_RARITY: (terms,)}
    for facet in manifest.taxonomy.facets:
        for part, features in zip(PARTS, (None, terms), strict=True):
            shapes[f"{facet.name}.{part}.weights"] = (len(facet.tags), features)
            shapes[f"{facet.name}.{part}.bias"] = (len(facet.tags),)
    arrays = load_arrays(path, shapes)
    heads = []
    for facet in manifest.taxonomy.facets:
        encoder, words = [
            Linear(arrays[f"{facet.name}.{part}.weights"], arrays[f"{facet.name}.{part}.bias"])
            for part in PARTS
        ]
        heads.append(Head(facet, encoder, words, manifest.calibration[facet.name]))
    if len({head.encoder.weights.shape[1] for head in heads}) != 1:
        raise TaggerError("its heads are made for vectors of different sizes", path=path)
    return heads, LexicalFeatures(manifest.vocabulary, arrays[_RARITY])


def _cached(
    make: Callable[[], Encoder], manifest: _Manifest, heads: Sequence[Head], cache: VectorCache
) -> CachedEncoder:
    files = [manifest.files[name] for name in (ONNX_FILE, TOKENIZER_FILE)]
    identity = f"{ENCODING} {manifest.max_tokens} {' '.join(files)}"
    return CachedEncoder(make, identity, heads[0].encoder.weights.shape[1], cache)
