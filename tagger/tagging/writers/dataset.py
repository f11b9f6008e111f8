"""A data set of Hugging Face `datasets`, saved to disk with a card that describes it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml

from tagger._util.text_safety import as_markdown
from tagger.papers import COLUMNS, TaggedPaper
from tagger.tagging.writers.arrow import arrow_schema, arrow_tables
from tagger.tagging.writers.tally import Tally
from tagger.taxonomy import Taxonomy

CARD_FILE = "README.md"


def write_dataset(papers: Iterable[TaggedPaper], taxonomy: Taxonomy, folder: Path) -> None:
    """Write papers, with a card, into an empty folder, for ``datasets.load_from_disk``."""
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
                for table in arrow_tables(_noted(papers, tally, fingerprint), taxonomy):
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
    papers: Iterable[TaggedPaper], tally: Tally, digest: hashlib._Hash
) -> Iterator[TaggedPaper]:
    """Yield the papers, counted and hashed as they go by."""
    for paper in papers:
        tally.add(paper)
        digest.update(json.dumps(paper.as_row()).encode() + b"\n")
        yield paper


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
        f"{tally.papers} papers with the tags that {as_markdown(models)} gave them, with "
        f"calibrated confidences; {tally.to_review} of them are marked for a person to look at. "
        "The tags are a model's, not labels by hand. Texts of the papers are not in here, only "
        "titles.\n",
        "```python\nimport datasets\n\npapers = datasets.load_from_disk('tags_dataset')\n```\n",
        *_markdown_table(("column", "what it holds"), list(COLUMNS.items())),
    ]
    for facet in taxonomy.facets:
        counts = tally.tags.get(facet.name, Counter())
        lines += [f"## {facet.name}\n", f"{as_markdown(facet.definition)}\n"]
        lines += _markdown_table(
            ("tag", "meaning", "papers"),
            [(tag.name, as_markdown(tag.definition), str(counts[tag.name])) for tag in facet.tags],
        )
    return "\n".join(lines)


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    table = [header, ["---"] * len(header), *rows]
    return [*(f"| {' | '.join(row)} |" for row in table), ""]
