"""Encoders that were fine-tuned before, so that a training that was broken off goes on.

Fine-tuning is nearly all of the time of a training, and what it makes depends on its inputs alone:
a fold whose papers and tags are as they were gets the same encoder again. The files lie beside the
vectors (:mod:`tagger.vector_cache`) and hold weights, no text. Like these they are never needed:
what cannot be read or written is done without, and a damaged encoder is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tagger.durable import replacing_folder
from tagger.encoder import BUNDLED_ENCODER, BUNDLED_IDENTITY, ONNX_FILE, TOKENIZER_FILE, sha256_of
from tagger.errors import TaggerError
from tagger.vector_cache import usual_cache_folder

if TYPE_CHECKING:
    from tagger.contrastive import Anchor, ContrastiveTarget, FineTuning

_FOLDER = "encoders-1"
"""The number is that of the layout."""
_LIMIT = 512 * 2**20
"""Bytes; a training with the bundled encoder makes ten of 23 MB."""
_HASHES = "hashes.json"
_FILES = (ONNX_FILE, TOKENIZER_FILE)
_MAKERS = ("torch", "transformers", "sentence-transformers", "onnxruntime")
_OWN_MAKERS = ("contrastive.py", "encoder.py", "onnx_export.py")
"""Packages and modules of this one that the weights depend on."""


class EncoderCache:
    """Exported encoders by key, kept up to a size; those unused for longest go first.

    Parameters
    ----------
    folder:
        Where they are; made when the first is put in.
    limit:
        Bytes that they may take together. The last one put in stays in any case.

    Attributes
    ----------
    found:
        How many were asked for and there.
    """

    def __init__(self, folder: Path, limit: int = _LIMIT) -> None:
        self.folder = folder
        self.limit = limit
        self.found = 0

    def get(self, key: str, target: Path) -> bool:
        """Copy an encoder into a folder, which is made if missing; tell whether it was there."""
        kept = self.folder / key
        try:
            hashes = (kept / _HASHES).read_text(encoding="utf-8")
            target.mkdir(parents=True, exist_ok=True)
            for name in _FILES:
                shutil.copyfile(kept / name, target / name)
            intact = hashes == _hashes(target)
        except OSError:
            return False
        except ValueError:
            intact = False
        if not intact:
            shutil.rmtree(kept, ignore_errors=True)
            return False
        with suppress(OSError):
            os.utime(kept)
        self.found += 1
        return True

    def put(self, key: str, source: Path) -> None:
        """Keep a copy of an encoder."""
        kept = self.folder / key
        with suppress(OSError, TaggerError):
            with replacing_folder(kept) as new:
                for name in _FILES:
                    shutil.copyfile(source / name, new / name)
                (new / _HASHES).write_text(_hashes(new), encoding="utf-8")
            os.utime(kept)
            self._drop_least_recently_used()

    def _drop_least_recently_used(self) -> None:
        # What a kill left half-written is an old folder like any other.
        entries = sorted(self.folder.iterdir(), key=lambda entry: entry.stat().st_mtime)
        sizes = [
            sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
            for entry in entries
        ]
        excess = sum(sizes) - self.limit
        for entry, size in list(zip(entries, sizes, strict=True))[:-1]:
            if excess <= 0:
                return
            shutil.rmtree(entry, ignore_errors=True)
            excess -= size


def usual_encoder_cache() -> EncoderCache | None:
    """Return the user's cache, or None where ``TAGGER_CACHE`` is ``off``."""
    folder = usual_cache_folder()
    return EncoderCache(folder / _FOLDER) if folder else None


def key_of(
    texts: Sequence[str],
    targets: Mapping[str, ContrastiveTarget],
    tuning: FineTuning,
    anchor: Anchor | None,
) -> str | None:
    """Return a name for what fine-tuning would make of its inputs, equal for equal inputs.

    Of an encoder that is not the bundled one there is none: another may come under its name.

    Parameters
    ----------
    texts, targets, tuning, anchor:
        As for :func:`tagger.contrastive.fine_tune`.
    """
    if tuning.encoder != BUNDLED_ENCODER:
        return None
    versions = [BUNDLED_IDENTITY, *map(version, _MAKERS)]
    versions += [sha256_of(Path(__file__).with_name(module)) for module in _OWN_MAKERS]
    weights = {name: target.weight for name, target in targets.items()}
    arrays: list[npt.NDArray[np.generic]] = [target.similarity for target in targets.values()]
    if anchor:
        arrays += [anchor.vectors, anchor.kept]
    shapes = [array.shape for array in arrays]
    content = json.dumps([versions, asdict(tuning), weights, shapes, list(texts)])
    digest = hashlib.sha256(content.encode())
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()


def _hashes(folder: Path) -> str:
    return json.dumps({name: sha256_of(folder / name) for name in _FILES})
