"""What workers do: each step takes one item and gives one answer, both as JSON.

A step is a small object that can be sent to another machine. What a person can put right comes
back as an answer, so that an engine never takes it for a worker that failed and tries again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from tagger.decision import ReviewRule
from tagger.errors import TaggerError
from tagger.model import TaggerModel, load_model
from tagger.scale.shards import Shard, read_file
from tagger.scale.storage import StoredFile
from tagger.scale.tag_shard import BATCH_SIZES, tag_shard


class Step(Protocol):
    """Something that workers do with each of many items."""

    holds_model: ClassVar[bool]
    """Whether a worker keeps what is dear to load from item to item."""

    def __call__(self, item: str) -> str:
        """Return the answer to an item."""
        ...


class Engine(Protocol):
    """What runs steps on workers."""

    def each(self, step: Step, items: Iterable[str]) -> Iterator[str]:
        """Yield the answer to every item, in any order, as soon as it is there."""
        ...


@dataclass
class ReadFiles:
    """Read files; the parameters are those of :func:`tagger.scale.shards.read_file`."""

    work: Path
    columns: Mapping[str, str]
    format_name: str | None
    rows_per_shard: int
    holds_model: ClassVar[bool] = False

    def __call__(self, item: str) -> str:
        """Read the stored file of that number."""
        number, file = json.loads(item)
        return _answer(
            lambda: read_file(
                number,
                StoredFile(**file),
                self.work,
                self.columns,
                self.format_name,
                self.rows_per_shard,
            )
        )


@dataclass
class TagShards:
    """Tag shards with a model that is loaded once.

    Parameters
    ----------
    run, folder, work, rule:
        As for :func:`tagger.scale.tag_shard.tag_shard`.
    model_folder, model_name, device:
        As for :func:`tagger.model.load_model`.
    effort:
        How much of each paper is read.
    """

    run: str
    folder: Path
    work: Path
    rule: ReviewRule
    model_folder: Path
    model_name: str
    effort: str
    device: str
    holds_model: ClassVar[bool] = True
    _model: TaggerModel | None = field(default=None, init=False, repr=False)

    def __call__(self, item: str) -> str:
        """Tag a shard; return its number of rows."""

        def tag() -> int:
            if self._model is None:
                # Each worker has one core: all others have workers of their own.
                os.environ["TOKENIZERS_PARALLELISM"] = "false"
                model = load_model(
                    self.model_folder, self.model_name, device=self.device, threads=1
                )
                self._model = model.at_effort(self.effort)
            shard = Shard.model_validate_json(item)
            size = BATCH_SIZES[self.device]
            return tag_shard(
                shard, self.run, self.folder, self.work, self._model, self.rule, size
            ).rows

        return _answer(tag)


def answers(engine: Engine, step: Step, items: Iterable[str]) -> Iterator[Any]:
    """Yield the answers to items.

    Raises
    ------
    TaggerError
        That a worker met.
    """
    for answer in engine.each(step, items):
        said: dict[str, Any] = json.loads(answer)
        if "problem" in said:
            raise TaggerError(**said)
        yield said["answer"]


def _answer(work: Callable[[], object]) -> str:
    try:
        return json.dumps({"answer": work()})
    except TaggerError as error:
        fields = ("problem", "path", "line", "field", "hint")
        return json.dumps({name: getattr(error, name) for name in fields})
