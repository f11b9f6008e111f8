"""Exported encoders of earlier trainings: an interrupted training resumes, and heads are fitted
again without fine-tuning.

An encoder depends on the inputs of its fine-tuning alone. The folders lie beside the vectors
(:mod:`tagger.vector_cache`) and hold weights, no text of papers. The cache is optional: what cannot
be read or written is skipped, and a damaged encoder is trained again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from tagger.encoder import BUNDLED_ENCODER, bundled_encoder_folder, sha256_of
from tagger.fine_tuning import ContrastiveTarget, FineTuning
from tagger.vector_cache import usual_cache_folder

CACHE_VERSION = 3
"""Raise it with every change after which fine-tuning or export gives another encoder."""

_LIMIT = 512 * 2**20
"""Bytes; a training with the bundled encoder makes six encoders of 23 MB."""
_LIBRARIES = ("torch", "accelerate", "transformers", "sentence-transformers", "onnxruntime")
_CHECKSUM = "sha256"


@dataclass
class EncoderCache:
    """Exported encoders, up to a limit in bytes; the least recently used go, the last one stays."""

    folder: Path
    limit: int = _LIMIT

    def get(self, key: str, target: Path) -> bool:
        """Copy the encoder of a key to a new folder, and return whether there is one."""
        kept = self.folder / key
        try:
            shutil.copytree(kept, target)
        except OSError:
            shutil.rmtree(target, ignore_errors=True)
            return False
        with suppress(OSError, ValueError):
            if (target / _CHECKSUM).read_text("ascii") == _checksum(target):
                os.utime(kept)
                return True
        for damaged in (target, kept):
            shutil.rmtree(damaged, ignore_errors=True)
        return False

    def put(self, key: str, encoder: Path) -> None:
        """Keep a copy of the encoder in a folder."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as scratch:
                copy = Path(scratch) / "copy"
                shutil.copytree(encoder, copy)
                (copy / _CHECKSUM).write_text(_checksum(copy), "ascii")
                copy.rename(self.folder / key)
            self._drop_least_recently_used()

    def _drop_least_recently_used(self) -> None:
        # A folder that a killed training left half-written is an old one like any other.
        folders = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime)
        sizes = [sum(file.stat().st_size for file in path.rglob("*")) for path in folders]
        excess = sum(sizes) - self.limit
        for path, size in list(zip(folders, sizes, strict=True))[:-1]:
            if excess <= 0:
                return
            shutil.rmtree(path, ignore_errors=True)
            excess -= size


def default_encoder_cache() -> EncoderCache | None:
    """Return the user's cache, or None where ``TAGGER_CACHE`` is ``off``."""
    folder = usual_cache_folder()
    return EncoderCache(folder / "encoders") if folder else None


def key_of(
    texts: Sequence[str],
    targets: Mapping[str, ContrastiveTarget],
    tuning: FineTuning,
    arithmetic: str,
    *,
    float32: bool = False,
) -> str | None:
    """Return a name for the encoder that its inputs lead to, None if it is not on this machine."""
    folder = local_folder(tuning.encoder)
    if folder is None:
        return None
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    pretrained = [[path.relative_to(folder).as_posix(), sha256_of(path)] for path in files]
    versions = [CACHE_VERSION, arithmetic, float32, *map(version, _LIBRARIES)]
    settings = {field.name: getattr(tuning, field.name) for field in fields(FineTuning)}
    settings["encoder"] = pretrained
    weights = {name: target.weight for name, target in targets.items()}
    arrays = [array for target in targets.values() for array in (target.memberships, target.judged)]
    shapes = [array.shape for array in arrays]
    digest = hashlib.sha256(json.dumps([versions, settings, weights, shapes, texts]).encode())
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()


def local_folder(encoder: str) -> Path | None:
    """Return the folder of a pretrained encoder, None if it is not on this machine."""
    from huggingface_hub import snapshot_download

    if encoder == BUNDLED_ENCODER:
        return bundled_encoder_folder()
    if Path(encoder).is_dir():
        return Path(encoder)
    for name in (encoder, f"sentence-transformers/{encoder}"):
        with suppress(OSError, ValueError):  # not downloaded, or not a name that a hub would give
            return Path(snapshot_download(name, local_files_only=True))
    return None


def _checksum(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.name != _CHECKSUM)
    return "\n".join(f"{path.name} {sha256_of(path)}" for path in files)
