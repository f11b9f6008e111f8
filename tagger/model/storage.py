"""Save and load models.

A saved model is a folder of data: ``model.json`` (taxonomy, settings, vocabulary, SHA-256 of
each other file), ``heads.safetensors``, ``reference.safetensors``, ``encoder.onnx`` and
``tokenizer.json``; for a GPU also ``encoder.float32.onnx``. Loading one executes nothing from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tagger._util.atomic import replacing
from tagger._util.validation import first_problem
from tagger.errors import TaggerError
from tagger.model.calibration import Calibration
from tagger.model.cues import cues_of
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
from tagger.model.model import Calibrations, TaggerModel, Thresholds
from tagger.model.tfidf import LexicalFeatures
from tagger.model.training_reference import Reference
from tagger.model.vector_cache import CachedEncoder, VectorCache
from tagger.papers import EFFORTS, TEXT_VIEWS
from tagger.taxonomy import Taxonomy, check_names

MANIFEST_FILE = "model.json"
HEADS_FILE = "heads.safetensors"
REFERENCE_FILE = "reference.safetensors"
MODEL_FILES = (ONNX_FILE, TOKENIZER_FILE, HEADS_FILE, REFERENCE_FILE)
"""Files of each saved model besides its manifest; ``encoder.float32.onnx`` is optional."""
_IDF = "lexical.idf"


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[5] = 5
    taxonomy: Taxonomy
    max_tokens: Annotated[int, Field(ge=1, le=8192)]
    vocabulary: tuple[str, ...]
    calibrations: dict[str, dict[str, Calibration]]
    efforts: dict[str, dict[str, Calibration]] = {}
    thresholds: dict[str, dict[str, Annotated[float, Field(ge=0, le=1)]]]
    files: dict[str, str]

    @model_validator(mode="after")
    def _fit_together(self) -> _Manifest:
        facets = {facet.name for facet in self.taxonomy.facets}
        tables: dict[str, tuple[Mapping[str, Mapping[str, object]], Mapping[str, object]]] = {
            "calibrations": (self.calibrations, TEXT_VIEWS),
            "efforts": (self.efforts or dict.fromkeys(EFFORTS, dict.fromkeys(facets)), EFFORTS),
            "thresholds": (self.thresholds, EFFORTS),
        }
        for name, (table, keys) in tables.items():
            if table.keys() != keys.keys():
                raise ValueError(f"{name} must have the keys {', '.join(keys)}")
            if any(each.keys() != facets for each in table.values()):
                raise ValueError(f"{name} must have one entry per facet")
        if self.files.keys() - {FLOAT32_FILE} != set(MODEL_FILES):
            raise ValueError(f"files must have the keys {', '.join(MODEL_FILES)}")
        return self


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
    effort_calibrations: Calibrations | None = None,
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
        efforts={effort: dict(each) for effort, each in (effort_calibrations or {}).items()},
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
    Raises a TaggerError if the folder is not a saved model, a file is missing or was changed, or
    the files do not fit together.

    ``name`` is that of the model in results, by default ``local/`` and the start of its hash. With
    a ``cache`` of vectors, the encoder is checked and loaded when the first text must be encoded,
    so keep the folder until then. ``device`` and ``threads`` are as for
    :class:`tagger.model.OnnxEncoder`.
    """
    folder = Path(folder)
    manifest, digest = _load_manifest(folder)
    for file in (HEADS_FILE, REFERENCE_FILE):
        check_hash(folder / file, manifest.files[file])
    heads, lexical = _load_heads(folder / HEADS_FILE, manifest)
    dimensions = next(iter(heads.values())).encoder.weights.shape[1]
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
        manifest.efforts,
    )


def _load_manifest(folder: Path) -> tuple[_Manifest, str]:
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


def _load_heads(path: Path, manifest: _Manifest) -> tuple[dict[str, Head], LexicalFeatures]:
    """Load heads and lexical features; raise TaggerError if an array does not fit the manifest."""
    cues, terms = cues_of(manifest.taxonomy), len(manifest.vocabulary)
    shapes: dict[str, Shape] = {_IDF: (terms,)}
    for facet in manifest.taxonomy.facets:
        tags = len(facet.tags)
        shapes |= {f"{facet.name}.{member}.bias": (tags,) for member in MEMBERS}
        shapes[f"{facet.name}.encoder.weights"] = (tags, "dimensions")
        shapes[f"{facet.name}.lexical.weights"] = (tags, terms + len(cues))
    arrays, _ = load_arrays(path, shapes)
    heads = {}
    for facet in manifest.taxonomy.facets:
        encoder, words = [
            Linear(arrays[f"{facet.name}.{member}.weights"], arrays[f"{facet.name}.{member}.bias"])
            for member in MEMBERS
        ]
        heads[facet.name] = Head(facet, encoder, words)
    return heads, LexicalFeatures(manifest.vocabulary, arrays[_IDF], cues)
