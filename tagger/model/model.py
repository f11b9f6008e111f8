"""The model: predict calibrated probabilities of the tags of papers.

A saved model is a folder of data: ``model.json`` (taxonomy, settings, vocabulary, SHA-256 of
each other file), ``heads.safetensors``, ``reference.safetensors``, ``encoder.onnx`` and
``tokenizer.json``; for a GPU also ``encoder.float32.onnx``. Loading one executes nothing from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tagger._util.arrays import Floats, Integers, Vectors
from tagger._util.atomic import replacing
from tagger._util.progress import StepProgress
from tagger._util.validation import first_problem
from tagger.errors import TaggerError
from tagger.evaluation import DEFAULT_THRESHOLD
from tagger.model.calibration import Calibration, calibrated_probabilities, member_probabilities
from tagger.model.decision import NEVER, ReviewRule
from tagger.model.encoder import (
    ENCODING,
    FLOAT32_FILE,
    ONNX_FILE,
    TOKENIZER_FILE,
    Encoder,
    OnnxEncoder,
    sha256_of,
)
from tagger.model.heads import MEMBERS, Head, Linear
from tagger.model.integrity import Shape, check_hash, load_arrays
from tagger.model.tfidf import LexicalFeatures
from tagger.model.training_reference import Reference
from tagger.model.vector_cache import CachedEncoder, VectorCache
from tagger.papers import EFFORTS, TEXT_VIEWS, Paper
from tagger.taxonomy import Taxonomy, check_names

MANIFEST_FILE = "model.json"
HEADS_FILE = "heads.safetensors"
REFERENCE_FILE = "reference.safetensors"
MODEL_FILES = (ONNX_FILE, TOKENIZER_FILE, HEADS_FILE, REFERENCE_FILE)
"""Files of each saved model besides its manifest; ``encoder.float32.onnx`` is optional."""
_IDF = "lexical.idf"
_BATCH_SIZE = 1024
"""Number of papers that are predicted at a time."""

Calibrations = Mapping[str, Mapping[str, Calibration]]
"""Calibrations by text view and facet."""
Thresholds = Mapping[str, Mapping[str, float]]
"""Minimum probabilities of a given tag, by effort and facet."""


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[5] = 5
    taxonomy: Taxonomy
    max_tokens: Annotated[int, Field(ge=1, le=8192)]
    vocabulary: tuple[str, ...]
    calibrations: dict[str, dict[str, Calibration]]
    thresholds: dict[str, dict[str, Annotated[float, Field(ge=0, le=1)]]]
    files: dict[str, str]

    @model_validator(mode="after")
    def _fit_together(self) -> _Manifest:
        facets = {facet.name for facet in self.taxonomy.facets}
        if self.calibrations.keys() != TEXT_VIEWS.keys():
            raise ValueError(f"calibrations must have the keys {', '.join(TEXT_VIEWS)}")
        if any(each.keys() != facets for each in self.calibrations.values()):
            raise ValueError("calibrations must have one entry per facet")
        if self.thresholds.keys() != EFFORTS.keys():
            raise ValueError(f"thresholds must have the keys {', '.join(EFFORTS)}")
        if any(each.keys() != facets for each in self.thresholds.values()):
            raise ValueError("thresholds must have one entry per facet")
        if self.files.keys() - {FLOAT32_FILE} != set(MODEL_FILES):
            raise ValueError(f"files must have the keys {', '.join(MODEL_FILES)}")
        return self


@dataclass(frozen=True)
class Predictions:
    """Vectors of papers, shape (papers, dimensions), and calibrated probabilities per facet.

    ``probabilities`` have shape (papers, tags); ``members``, those by each member of the head
    alone, have shape (members, papers, tags).
    """

    vectors: Vectors
    probabilities: dict[str, Floats]
    members: dict[str, Floats]

    def take(self, indices: Integers) -> Predictions:
        """Return the predictions for some of the papers."""
        return Predictions(
            self.vectors[indices],
            {name: values[indices] for name, values in self.probabilities.items()},
            {name: values[:, indices] for name, values in self.members.items()},
        )


class TaggerModel:
    """An encoder and lexical features, shared by the heads of all facets.

    Parameters
    ----------
    taxonomy:
        The facets and tags.
    encoder:
        Turns the text of a paper into a vector.
    lexical:
        Turns the words of a paper into TF-IDF weights.
    heads:
        One for each facet of the taxonomy, in its order.
    reference:
        The labelled papers, to compare new papers with.
    name:
        Name of the model in results, for example ``tagger/7``.
    digest:
        SHA-256 of the manifest, which contains the SHA-256 of every other file.
    calibrations:
        By text view and facet. By default only the whole text is read, and scores are logits.
    thresholds:
        By effort and facet, 0.5 by default.
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
        calibrations: Calibrations | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.taxonomy = taxonomy
        self.encoder = encoder
        self.lexical = lexical
        self.heads = {head.facet.name: head for head in heads}
        self.reference = reference
        self.name = name
        self.digest = digest
        self.calibrations = calibrations or {"whole": dict.fromkeys(self.heads, Calibration())}
        self._thresholds = thresholds or {}
        self.effort = "full"

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Minimum probability of a given tag by facet; not for exclusive facets."""
        return self._thresholds.get(self.effort) or dict.fromkeys(self.heads, DEFAULT_THRESHOLD)

    def rule(self, min_confidence: float = ReviewRule().min_confidence) -> ReviewRule:
        """Return the rule that gives tags by the model's thresholds.

        A paper that is given a tag with too few labels goes to review.
        """
        accept = {
            name: dict.fromkeys(calibration.capped, NEVER)
            for name, calibration in self.calibrations["whole"].items()
        }
        return ReviewRule(min_confidence, accept, self.thresholds)

    def at_effort(self, effort: str) -> TaggerModel:
        """Return the same model with another effort.

        Raises
        ------
        TaggerError
            If the effort is unknown, or the model has no calibrations for it.
        """
        if effort == self.effort:
            return self
        if effort not in EFFORTS:
            raise TaggerError(f"unknown effort '{effort}'", hint=f"Known: {', '.join(EFFORTS)}")
        if not {*EFFORTS[effort]} <= {*self.calibrations}:
            raise TaggerError(
                f"{self.name} is not calibrated for {effort} effort",
                hint="Train a model with tagger train, or tag with --effort full",
            )
        model = copy(self)
        model.effort, model.reference = effort, replace(self.reference, effort=effort)
        return model

    def encode(self, papers: Sequence[Paper], progress: StepProgress | None = None) -> Vectors:
        """Return vectors of the whole texts at any effort, shape (papers, dimensions)."""
        return self.encoder.encode([paper.text for paper in papers], progress)

    def predict(self, papers: Sequence[Paper], progress: StepProgress | None = None) -> Predictions:
        """Predict papers; ``progress`` is called with the papers done and the total number."""
        batches = [
            self._predict_batch(papers, start, progress)
            for start in range(0, max(len(papers), 1), _BATCH_SIZE)
        ]
        return Predictions(
            np.concatenate([batch.vectors for batch in batches]),
            {name: np.concatenate([b.probabilities[name] for b in batches]) for name in self.heads},
            {
                name: np.concatenate([b.members[name] for b in batches], axis=1)
                for name in self.heads
            },
        )

    def _predict_batch(
        self, papers: Sequence[Paper], start: int, progress: StepProgress | None
    ) -> Predictions:
        batch = [papers[index] for index in range(start, min(start + _BATCH_SIZE, len(papers)))]
        views = [view for view in EFFORTS[self.effort] if view in self.calibrations]
        texts = [TEXT_VIEWS[view](paper) for view in views for paper in batch]
        # Views of a short paper may be the same text.
        index = {text: place for place, text in enumerate(dict.fromkeys(texts))}

        def report(done: int, total: int) -> None:
            if progress:
                progress(start + done * len(batch) // total, len(papers))

        vectors = self.encoder.encode([*index], report)
        shape = len(views), len(batch), vectors.shape[1]
        vectors = vectors[[index[text] for text in texts]].reshape(shape)
        terms = self.lexical.transform(batch)
        probabilities, members = {}, {}
        for name, head in self.heads.items():
            words = head.lexical.scores(terms)
            by_view = [
                (np.stack([head.encoder.scores(each), words]), self.calibrations[view][name])
                for view, each in zip(views, vectors, strict=True)
            ]
            found = [calibrated_probabilities(head.facet, *each) for each in by_view]
            alone = [member_probabilities(head.facet, *each) for each in by_view]
            probabilities[name], members[name] = np.mean(found, axis=0), np.mean(alone, axis=0)
        return Predictions(vectors[-1], probabilities, members)

    def predict_proba(self, papers: Sequence[Paper]) -> dict[str, Floats]:
        """Return calibrated probabilities of shape (papers, tags) for each facet.

        Columns are in the order of ``tag_names``; rows of an exclusive facet sum to 1.
        """
        if not papers:
            return {name: np.zeros((0, len(h.facet.tags))) for name, h in self.heads.items()}
        return self.predict(papers).probabilities


def save_heads(
    folder: Path,
    taxonomy: Taxonomy,
    lexical: LexicalFeatures,
    heads: Sequence[Head],
    reference: Reference,
    *,
    max_tokens: int,
    calibrations: Calibrations,
    thresholds: Thresholds,
) -> None:
    """Save a model next to its exported encoder.

    The manifest is written last, so that an incomplete model does not load.
    """
    from safetensors.numpy import save

    arrays = {_IDF: lexical.idf}
    for head in heads:
        for member in MEMBERS:
            classifier: Linear = getattr(head, member)
            arrays[f"{head.facet.name}.{member}.weights"] = classifier.weights
            arrays[f"{head.facet.name}.{member}.bias"] = classifier.bias
    arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    (folder / HEADS_FILE).write_bytes(save(arrays))
    reference.sample().save(folder / REFERENCE_FILE)
    files = [*MODEL_FILES, *([FLOAT32_FILE] if (folder / FLOAT32_FILE).exists() else [])]
    manifest = _Manifest(
        taxonomy=taxonomy,
        max_tokens=max_tokens,
        vocabulary=lexical.vocabulary,
        calibrations={view: dict(each) for view, each in calibrations.items()},
        thresholds={effort: dict(each) for effort, each in thresholds.items()},
        files={name: sha256_of(folder / name) for name in files},
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

    Nothing in the folder is executed, and everything is checked before use: the hashes of the
    files, the shapes and finite numbers of the arrays, and the size of the encoder's vectors.

    Parameters
    ----------
    folder:
        A saved model.
    name:
        Name of the model in results; by default ``local/`` and the start of its hash.
    cache:
        Cache of vectors. With a cache, the encoder is checked and loaded when the first text must
        be encoded, so keep the folder until then.
    device, threads:
        As for :class:`tagger.model.OnnxEncoder`.

    Raises
    ------
    TaggerError
        If the folder is not a saved model, a file is missing or was changed, or the files do not
        fit together.
    """
    folder = Path(folder)
    manifest, digest = _load_manifest(folder)
    for file in (HEADS_FILE, REFERENCE_FILE):
        check_hash(folder / file, manifest.files[file])
    heads, lexical = _load_heads(folder / HEADS_FILE, manifest)
    dimensions = heads[0].encoder.weights.shape[1]
    reference = Reference.load(folder / REFERENCE_FILE, manifest.taxonomy, [*EFFORTS], dimensions)

    def make_encoder() -> Encoder:
        for file in (ONNX_FILE, TOKENIZER_FILE, FLOAT32_FILE):
            if file in manifest.files and (file != FLOAT32_FILE or device != "cpu"):
                check_hash(folder / file, manifest.files[file])
        return OnnxEncoder(folder, manifest.max_tokens, dimensions, device, threads)

    # The cache is for vectors of a CPU; those of a GPU differ.
    if cache is None or device != "cpu":
        encoder = make_encoder()
    else:
        hashes = f"{manifest.files[ONNX_FILE]} {manifest.files[TOKENIZER_FILE]}"
        identity = f"{ENCODING} {manifest.max_tokens} {hashes}"
        encoder = CachedEncoder(make_encoder, identity, dimensions, cache)
    return TaggerModel(
        manifest.taxonomy,
        encoder,
        lexical,
        heads,
        reference,
        name or f"local/{digest[:12]}",
        digest,
        manifest.calibrations,
        manifest.thresholds,
    )


def _load_manifest(folder: Path) -> tuple[_Manifest, str]:
    """Return the manifest of a model, and its SHA-256."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise TaggerError("is not a saved model: it has no readable model.json", path=folder)
    try:
        content = path.read_bytes()
        manifest = _Manifest.model_validate_json(content)
        check_names(manifest.taxonomy)
    except (OSError, ValidationError, TaggerError) as error:
        reason = str(error)
        if isinstance(error, ValidationError):
            invalid = first_problem(error)
            reason = f"{invalid.field}: {invalid.problem}" if invalid.field else invalid.problem
        raise TaggerError(
            f"is not a valid model manifest: {reason}",
            path=path,
            hint="Train models of earlier versions of tagger again: tagger train",
        ) from error
    return manifest, hashlib.sha256(content).hexdigest()


def _load_heads(path: Path, manifest: _Manifest) -> tuple[list[Head], LexicalFeatures]:
    """Load heads and lexical features; raise TaggerError if an array does not fit the manifest."""
    terms = len(manifest.vocabulary)
    shapes: dict[str, Shape] = {_IDF: (terms,)}
    for facet in manifest.taxonomy.facets:
        tags = len(facet.tags)
        shapes |= {f"{facet.name}.{member}.bias": (tags,) for member in MEMBERS}
        shapes[f"{facet.name}.encoder.weights"] = (tags, "dimensions")
        shapes[f"{facet.name}.lexical.weights"] = (tags, terms)
    arrays, _ = load_arrays(path, shapes)
    heads = []
    for facet in manifest.taxonomy.facets:
        encoder, words = [
            Linear(arrays[f"{facet.name}.{member}.weights"], arrays[f"{facet.name}.{member}.bias"])
            for member in MEMBERS
        ]
        heads.append(Head(facet, encoder, words))
    return heads, LexicalFeatures(manifest.vocabulary, arrays[_IDF])
