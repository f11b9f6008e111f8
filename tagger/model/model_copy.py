"""Copy the files of a model: for an estimator that owns it, to a folder, or to workers."""

from __future__ import annotations

import shutil
import weakref
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tagger._util.atomic import replacing_folder
from tagger.errors import TaggerError
from tagger.model.encoder import FLOAT32_FILE
from tagger.model.model import TaggerModel
from tagger.model.storage import MANIFEST_FILE, MODEL_FILES, load_model
from tagger.model.vector_cache import default_cache

_FILES = (*MODEL_FILES, FLOAT32_FILE, MANIFEST_FILE)
"""The manifest is last: an interrupted copy has none and does not load."""


def load_own_copy(folder: Path, name: str | None) -> tuple[TaggerModel, Path]:
    """Load a model from a temporary copy that exists as long as the model; return both.

    Raises a TaggerError if the model is damaged.
    """
    with ExitStack() as stack:
        temporary = TemporaryDirectory(prefix="tagger-", ignore_cleanup_errors=True)
        copy = Path(stack.enter_context(temporary))
        copy_model(folder, copy)
        model = load_model(copy, name, default_cache())
        weakref.finalize(model, stack.pop_all().close)
    return model, copy


def save_copy(source: Path, folder: Path) -> None:
    """Copy a model into a folder, replacing a model that is already there.

    Raises a TaggerError if the folder contains other files or cannot be written.
    """
    others = {file.name for file in folder.iterdir()} - set(_FILES) if folder.is_dir() else set()
    if others or (folder.exists() and not folder.is_dir()):
        raise TaggerError("contains other files; not overwritten", path=folder)
    with replacing_folder(folder) as new:
        copy_model(source, new)


def copy_model(source: Path, target: Path) -> None:
    """Copy the files of a model; loading the copy reports a missing file."""
    for name in _FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
