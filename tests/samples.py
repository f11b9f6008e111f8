"""Small files for tests: digest pages, label lines, taxonomies; and the command line on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tagger.taxonomy import Taxonomy

QUICK = ("--epochs", 1, "--folds", 2, "--max-tokens", 32, "--no-learning-curve")
"""Options of the quickest training there is."""
TAGGER = Path(sys.executable).with_name("tagger")
ABSTRACT = (
    "We present something that is long enough to be taken for an abstract by the reader of "
    "digest pages. It has two sentences and names nothing real."
)


def page(*titles: str, header: str = "new\n\nSubscribe\n\nMar 12\n\n") -> str:
    """Write a digest page with the given titles, each with an abstract of its own."""
    entries = [f"{title}\n\nOn {title.lower()}: {ABSTRACT}" for title in titles]
    return header + "\n\n".join(entries)


def label_line(title: str, **changes: object) -> str:
    """Write one line of a label file."""
    label: dict[str, object] = {
        "title": title,
        "text": f"A text on {title}.",
        "tags": {"kind": ["method"], "field": []},
        "annotator": "ann",
        "time": "2026-01-01T00:00:00Z",
        "source": "seed",
    }
    return json.dumps({**label, **changes})


def small_taxonomy() -> Taxonomy:
    """One exclusive facet, and one facet with a nested tag."""
    return Taxonomy.model_validate(
        {
            "name": "small",
            "facets": [
                {
                    "name": "kind",
                    "definition": "What it is.",
                    "exclusive": True,
                    "tags": [
                        {"name": "survey", "definition": "Looks back."},
                        {"name": "method", "definition": "Something new."},
                        {"name": "study", "definition": "Asks a question."},
                    ],
                },
                {
                    "name": "field",
                    "definition": "What it is about.",
                    "tags": [
                        {"name": "health", "definition": "Health."},
                        {"name": "heart", "definition": "The heart.", "parent": "health"},
                        {"name": "law", "definition": "Law."},
                    ],
                },
            ],
        }
    )


def write_taxonomy(folder: Path, taxonomy: Taxonomy) -> None:
    """Write a taxonomy as YAML, of which JSON is a part."""
    (folder / "taxonomy.yaml").write_text(taxonomy.model_dump_json(indent=1), encoding="utf-8")


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line with the MLflow store of the folder ``cwd``."""
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    command = [TAGGER, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
