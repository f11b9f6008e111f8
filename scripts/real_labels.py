"""Write labels/real.jsonl: tags of published papers that two people read, without their abstracts.

    python scripts/real_labels.py GOLD

GOLD is a folder with ``dev.jsonl``, ``dev2.jsonl`` and ``pool.jsonl``, one paper a line, as its
README describes them. Abstracts are texts of others, so only titles and tags are written; ``tagger
train --texts`` finds the abstracts elsewhere. Papers that were drawn at random get the queue
``audit``: they may calibrate and measure. Those drawn for rare tags get ``enriched``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tagger.labels import Label
from tagger.labels.store import REAL_FILE

LABELS = Path(__file__).parents[1] / "labels"
FILES = ("dev.jsonl", "dev2.jsonl", "pool.jsonl")
LABELLED = datetime(2026, 11, 28, tzinfo=UTC)


def labels_of(rows: list[dict[str, Any]]) -> Iterator[Label]:
    """Yield the label of each row."""
    for row in rows:
        # The id follows from the title.
        yield Label.model_validate(
            {
                "title": row["title"],
                "tags": {"contribution": (row["contribution"],), "domain": tuple(row["domain"])},
                "annotator": "two-readers",
                "time": LABELLED,
                "source": "review",
                "queue": "audit" if row.get("draw", "random") == "random" else "enriched",
            }
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gold", type=Path)
    gold = parser.parse_args().gold
    lines = [line for name in FILES for line in (gold / name).read_text("utf-8").splitlines()]
    labels = list(labels_of([json.loads(line) for line in lines]))
    with (LABELS / REAL_FILE).open("w", encoding="utf-8") as file:
        for label in labels:
            file.write(label.model_dump_json(exclude_defaults=True) + "\n")
    print(f"{len(labels)} labels in {LABELS / REAL_FILE}")


if __name__ == "__main__":
    main()
