"""Write tagged papers as a data set of Hugging Face `datasets`, with a card that describes it."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tagger._util.rendering import render
from tagger.papers import COLUMNS, TaggedPaper
from tagger.tagging.writers.arrow import arrow_schema, arrow_tables
from tagger.taxonomy import Taxonomy

if TYPE_CHECKING:
    import pyarrow as pa

CARD_FILE = "README.md"


def write_dataset(papers: Iterable[TaggedPaper], taxonomy: Taxonomy, folder: Path) -> None:
    """Write papers and a card into an empty folder, for ``datasets.load_from_disk``."""
    import datasets
    import pyarrow as pa

    quiet = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory(prefix="tagger-") as scratch:
            path = str(Path(scratch) / "rows.arrow")
            with (
                pa.OSFile(path, "wb") as sink,
                pa.ipc.new_stream(sink, arrow_schema(taxonomy)) as writer,
            ):
                for table in arrow_tables(papers, taxonomy):
                    writer.write_table(table)
            # Mapped rather than read, so that not all rows are in memory.
            with pa.memory_map(path) as mapped, pa.ipc.open_stream(mapped) as reader:
                rows = reader.read_all()
                # Without a fingerprint datasets draws a random one, and equal rows give different
                # bytes.
                mapped.seek(0)
                fingerprint = hashlib.file_digest(mapped, "sha256").hexdigest()[:16]
                datasets.Dataset(rows, fingerprint=fingerprint).save_to_disk(folder)
                card = dataset_card(rows, taxonomy)
    finally:
        if not quiet:
            datasets.enable_progress_bars()
    (folder / CARD_FILE).write_text(card, encoding="utf-8")


def dataset_card(rows: pa.Table, taxonomy: Taxonomy) -> str:
    """Describe the data set in Markdown: models, numbers of papers, columns and tags."""
    import pyarrow.compute as pc

    counts = {}
    for facet in taxonomy.facets:
        found = pc.value_counts(pc.list_flatten(pc.struct_field(rows["tags"], facet.name)))
        counts[facet.name] = Counter({each["values"]: each["counts"] for each in found.to_pylist()})
    return render(
        "tagging/writers/dataset_card.md",
        taxonomy=taxonomy,
        columns=COLUMNS,
        papers=len(rows),
        to_review=len(rows) - rows["review"].null_count,
        models=pc.unique(rows["model"]).to_pylist() or ["no model"],
        counts=counts,
    )
