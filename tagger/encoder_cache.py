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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from tagger.atomic import replacing_bytes
from tagger.encoder import BUNDLED_ENCODER, BUNDLED_IDENTITY, sha256_of
from tagger.errors import TaggerError
from tagger.fine_tuning import ContrastiveTarget, FineTuning
from tagger.vector_cache import usual_cache_folder
from tagger.weight_change import WeightChange

_FOLDER = "encoders-2"
"""The number is that of the layout."""
_LIMIT = 512 * 2**20
"""Bytes; a training with the bundled encoder makes ten of 5 MB."""
_MAKERS = ("torch", "accelerate", "transformers", "sentence-transformers")
_OWN_MAKERS = (
    "contrastive.py",
    "encoder.py",
    "fine_tuning.py",
    "frozen_layers.py",
    "weight_change.py",
)
"""Packages and modules of this one that the weights depend on."""
_DIGEST_SIZE = hashlib.sha256().digest_size


class EncoderCache:
    """Changes of weights by key, kept up to a size; those unused for longest go first.

    Parameters
    ----------
    folder:
        Where they are; made when the first is put in. A file holds the SHA-256 of what follows,
        and then safetensors.
    limit:
        Bytes that they may take together. The last one put in stays in any case.
    """

    def __init__(self, folder: Path, limit: int = _LIMIT) -> None:
        self.folder = folder
        self.limit = limit

    def get(self, key: str, base: str) -> WeightChange | None:
        """Return how the encoder of a key was fine-tuned, or None if that is not known.

        Parameters
        ----------
        key:
            As given by :func:`key_of`.
        base:
            Fingerprint of the encoder before.
        """
        from safetensors.numpy import load

        kept = self.folder / key
        try:
            content = kept.read_bytes()
        except OSError:
            return None
        digest, parts = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
        if hashlib.sha256(parts).digest() != digest:
            with suppress(OSError):
                kept.unlink()
            return None
        with suppress(OSError):
            os.utime(kept)
        return WeightChange.from_parts(base, load(parts))

    def put(self, key: str, change: WeightChange) -> None:
        """Keep how an encoder was fine-tuned."""
        from safetensors.numpy import save

        parts = save(change.parts())
        with suppress(OSError, TaggerError):
            with replacing_bytes(self.folder / key) as file:
                file.write(hashlib.sha256(parts).digest() + parts)
            self._drop_least_recently_used()

    def _drop_least_recently_used(self) -> None:
        files = [(path, path.stat()) for path in self.folder.iterdir() if path.is_file()]
        files.sort(key=lambda file: file[1].st_mtime)
        excess = sum(status.st_size for _, status in files) - self.limit
        for path, status in files[:-1]:
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= status.st_size


def usual_encoder_cache() -> EncoderCache | None:
    """Return the user's cache, or None where ``TAGGER_CACHE`` is ``off``."""
    folder = usual_cache_folder()
    return EncoderCache(folder / _FOLDER) if folder else None


def key_of(
    texts: Sequence[str],
    targets: Mapping[str, ContrastiveTarget],
    tuning: FineTuning,
    arithmetic: str,
) -> str | None:
    """Return a name for what fine-tuning would make of its inputs, equal for equal inputs.

    Of an encoder that is not the bundled one there is none: another may come under its name.

    Parameters
    ----------
    texts, targets, tuning:
        As for :func:`tagger.contrastive.fine_tune`.
    arithmetic:
        What it is done by, see :func:`tagger.contrastive.arithmetic`.
    """
    if tuning.encoder != BUNDLED_ENCODER:
        return None
    versions = [BUNDLED_IDENTITY, *map(version, _MAKERS)]
    versions += [sha256_of(Path(__file__).with_name(module)) for module in _OWN_MAKERS]
    weights = {name: target.weight for name, target in targets.items()}
    arrays = [array for target in targets.values() for array in (target.memberships, target.judged)]
    shapes = [array.shape for array in arrays]
    content = json.dumps([versions, arithmetic, asdict(tuning), weights, shapes, list(texts)])
    digest = hashlib.sha256(content.encode())
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()
