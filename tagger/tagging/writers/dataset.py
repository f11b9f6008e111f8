"""Write tagged papers as a data set of Hugging Face `datasets`, with a card that describes it."""

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
from tagger.taxonomy import Taxonomy

CARD_FILE = "README.md"


class Tally:
    """Numbers of tagged papers: in total, to review, by facet and tag, and by model."""

    def __init__(self) -> None:
        self.papers = self.to_review = 0
        self.tags: dict[str, Counter[str]] = {}
        self.models: Counter[str] = Counter()

    def add(self, paper: TaggedPaper) -> None:
        """Count a paper."""
        self.papers += 1
        self.to_review += paper.review is not None
        self.models[paper.model] += 1
        for facet, tags in paper.tags.items():
            self.tags.setdefault(facet, Counter()).update(tags)


def write_dataset(papers: Iterable[TaggedPaper], taxonomy: Taxonomy, folder: Path) -> None:
    """Write papers and a card into an empty folder, for ``datasets.load_from_disk``."""
    import datasets
    import pyarrow as pa

    tally = Tally()
    # Without this fingerprint datasets draws a random one, and equal rows give different bytes.
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
                for table in arrow_tables(_counted(papers, tally, fingerprint), taxonomy):
                    writer.write_table(table)
            # Mapped rather than read, so that not all rows are in memory.
            with pa.memory_map(path) as mapped, pa.ipc.open_stream(mapped) as reader:
                whole = datasets.Dataset(
                    reader.read_all(), fingerprint=fingerprint.hexdigest()[:16]
                )
                whole.save_to_disk(folder)
    finally:
        if not quiet:
            datasets.enable_progress_bars()
    (folder / CARD_FILE).write_text(dataset_card(tally, taxonomy), encoding="utf-8")


def _counted(
    papers: Iterable[TaggedPaper], tally: Tally, digest: hashlib._Hash
) -> Iterator[TaggedPaper]:
    """Yield the papers; add each to the tally and to the digest."""
    for paper in papers:
        tally.add(paper)
        digest.update(json.dumps(paper.as_row()).encode() + b"\n")
        yield paper


def dataset_card(tally: Tally, taxonomy: Taxonomy) -> str:
    """Describe the data set in Markdown: models, numbers of papers, columns and tags."""
    models = ", ".join(tally.models) or "no model"
    title = f"Papers tagged by {taxonomy.name}"
    front = yaml.safe_dump(
        {"pretty_name": title, "task_categories": ["text-classification"], "tags": ["tagger"]},
        sort_keys=False,
    )
    lines = [
        f"---\n{front}---\n",
        f"# {title}\n",
        f"{tally.papers} papers, tagged by {as_markdown(models)}, with calibrated confidences. "
        f"{tally.to_review} of them are marked for review. The tags were given by a model, not by "
        "people. The data set contains titles, but not the texts of the papers.\n",
        "```python\nimport datasets\n\npapers = datasets.load_from_disk('tags_dataset')\n```\n",
        *_markdown_table(("column", "content"), list(COLUMNS.items())),
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
