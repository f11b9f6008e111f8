"""A data set of Hugging Face `datasets`, saved to disk with a card that describes it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tagger.taxonomy import Taxonomy
from tagger.writers.arrow import arrow_schema, arrow_tables
from tagger.writers.tally import Tally

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


def write_dataset(rows: Iterable[dict[str, Any]], taxonomy: Taxonomy, folder: Path) -> None:
    """Write rows of ``tags.jsonl`` as a data set into an empty folder, with its card.

    ``datasets.load_from_disk`` reads it.
    """
    import datasets
    import pyarrow as pa

    tally = Tally()
    # Otherwise drawn by chance: the same rows give the same bytes.
    fingerprint = hashlib.sha256()
    quiet = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory(prefix="tagger-") as scratch:
            path = str(Path(scratch) / "rows.arrow")
            with (
                pa.OSFile(path, "wb") as sink,
                pa.ipc.new_stream(sink, arrow_schema(taxonomy)) as writer,
            ):
                for table in arrow_tables(_noted(rows, tally, fingerprint), taxonomy):
                    writer.write_table(table)
            # Mapped, not read: what is not needed is not in memory.
            with pa.memory_map(path) as mapped, pa.ipc.open_stream(mapped) as reader:
                whole = datasets.Dataset(
                    reader.read_all(), fingerprint=fingerprint.hexdigest()[:16]
                )
                whole.save_to_disk(folder)
    finally:
        if not quiet:
            datasets.enable_progress_bars()
    (folder / CARD_FILE).write_text(dataset_card(tally, taxonomy), encoding="utf-8")


def _noted(
    rows: Iterable[dict[str, Any]], tally: Tally, digest: hashlib._Hash
) -> Iterator[dict[str, Any]]:
    """Yield the rows, counted and hashed as they go by."""
    for row in rows:
        tally.add(row)
        digest.update(json.dumps(row).encode() + b"\n")
        yield row


def dataset_card(tally: Tally, taxonomy: Taxonomy) -> str:
    """Describe the data set in Markdown: what it is, made by what, how much, which columns."""
    models = ", ".join(tally.models) or "no model"
    title = f"Papers tagged by {taxonomy.name}"
    front = yaml.safe_dump(
        {"pretty_name": title, "task_categories": ["text-classification"], "tags": ["tagger"]},
        sort_keys=False,
    )
    lines = [
        f"---\n{front}---\n",
        f"# {title}\n",
        f"{tally.papers} papers with the tags that {models} gave them, with calibrated "
        f"confidences; {tally.to_review} of them are marked for a person to look at. The tags are "
        "a model's, not labels by hand. Texts of the papers are not in here, only titles.\n",
        "```python\nimport datasets\n\npapers = datasets.load_from_disk('tags_dataset')\n```\n",
        *_markdown_table(("column", "what it holds"), list(_COLUMNS.items())),
    ]
    for facet in taxonomy.facets:
        counts = tally.tags.get(facet.name, Counter())
        lines += [f"## {facet.name}\n", f"{facet.definition}\n"]
        lines += _markdown_table(
            ("tag", "meaning", "papers"),
            [(tag.name, tag.definition, str(counts[tag.name])) for tag in facet.tags],
        )
    return "\n".join(lines)


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    table = [header, ["---"] * len(header), *cells]
    return [*(f"| {' | '.join(row)} |" for row in table), ""]
