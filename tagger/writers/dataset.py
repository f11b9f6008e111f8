"""A data set of Hugging Face `datasets`, saved to disk with a card that describes it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tagger.markdown import as_markdown
from tagger.taxonomy import Taxonomy
from tagger.writers.arrow import arrow_table

CARD_FILE = "README.md"
_COLUMNS = {
    "id": "identity of the paper",
    "title": "its title",
    "identifiers": "its DOI, arXiv id and PubMed number, as far as they are known",
    "sources": "the files that it stood in",
    "tags": "per facet, the tags given",
    "confidence": "per facet and tag, the calibrated probability",
    "review": "the facets in doubt and the doubt in words; null where no person need look",
    "model": "what tagged it",
    "taxonomy": "the taxonomy that the tags are from",
}


def write_dataset(rows: Sequence[dict[str, Any]], taxonomy: Taxonomy, folder: Path) -> None:
    """Write rows of ``tags.jsonl`` as a data set into an empty folder, with its card.

    ``datasets.load_from_disk`` reads it.
    """
    import datasets

    quiet = datasets.are_progress_bars_disabled()
    # Otherwise drawn by chance: the same rows give the same bytes.
    fingerprint = hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
    datasets.disable_progress_bars()
    try:
        datasets.Dataset(arrow_table(rows, taxonomy), fingerprint=fingerprint).save_to_disk(folder)
    finally:
        if not quiet:
            datasets.enable_progress_bars()
    (folder / CARD_FILE).write_text(dataset_card(rows, taxonomy), encoding="utf-8")


def dataset_card(rows: Sequence[dict[str, Any]], taxonomy: Taxonomy) -> str:
    """Describe the data set in Markdown: what it is, made by what, how much, which columns."""
    models = as_markdown(", ".join(dict.fromkeys(row["model"] for row in rows)) or "no model")
    title = f"Papers tagged by {taxonomy.name}"
    front = yaml.safe_dump(
        {"pretty_name": title, "task_categories": ["text-classification"], "tags": ["tagger"]},
        sort_keys=False,
    )
    to_review = sum(row["review"] is not None for row in rows)
    lines = [
        f"---\n{front}---\n",
        f"# {title}\n",
        f"{len(rows)} papers with the tags that {models} gave them, with calibrated confidences; "
        f"{to_review} of them are marked for a person to look at. The tags are a model's, not "
        "labels by hand. Texts of the papers are not in here, only titles.\n",
        "```python\nimport datasets\n\npapers = datasets.load_from_disk('tags_dataset')\n```\n",
        *_markdown_table(("column", "what it holds"), list(_COLUMNS.items())),
    ]
    for facet in taxonomy.facets:
        counts = Counter(tag for row in rows for tag in row["tags"][facet.name])
        lines += [f"## {facet.name}\n", f"{as_markdown(facet.definition)}\n"]
        lines += _markdown_table(
            ("tag", "meaning", "papers"),
            [(tag.name, as_markdown(tag.definition), str(counts[tag.name])) for tag in facet.tags],
        )
    return "\n".join(lines)


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    table = [header, ["---"] * len(header), *rows]
    return [*(f"| {' | '.join(row)} |" for row in table), ""]
