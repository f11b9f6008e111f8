"""The result of a shard: one Parquet file, which says itself what was counted when it was made.

A part is put in place in one step when all of it is written. So a shard is done if and only if its
part is there, and what is done is told from the parts alone.
"""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tagger.atomic import replacing_bytes
from tagger.tagged_paper import TaggedPaper
from tagger.taxonomy import Taxonomy
from tagger.writers.arrow import ROWS_AT_ONCE, arrow_schema, arrow_tables

FOLDER = "tags"
_KEY = b"tagger.shard"


class Receipt(BaseModel):
    """What became of the rows of a shard.

    Parameters
    ----------
    run:
        Fingerprint of the plan that it was made by.
    shard:
        Number of the shard.
    rows:
        Rows that came in.
    tagged:
        Papers that came out.
    merged:
        Rows that are part of a paper that came out elsewhere.
    dead:
        Rows in the dead letters.
    to_review:
        Papers that a person should look at.
    counts:
        Papers per facet and tag.
    """

    model_config = ConfigDict(extra="forbid")

    run: str
    shard: int
    rows: int
    tagged: int = 0
    merged: int = 0
    dead: int = 0
    to_review: int = 0
    counts: dict[str, Counter[str]] = {}

    @property
    def balances(self) -> bool:
        """Whether each row that came in is accounted for."""
        return self.rows == self.tagged + self.merged + self.dead

    def count(self, paper: TaggedPaper) -> None:
        """Count a paper that came out."""
        self.tagged += 1
        self.to_review += paper.review is not None
        for facet, tags in paper.tags.items():
            self.counts.setdefault(facet, Counter()).update(tags)


class Part:
    """Collects the papers of a part; in memory they are Parquet."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        import pyarrow.parquet as pq

        self._taxonomy = taxonomy
        self._papers: list[TaggedPaper] = []
        self._content = io.BytesIO()
        self._writer = pq.ParquetWriter(self._content, arrow_schema(taxonomy))

    def add(self, paper: TaggedPaper) -> None:
        """Add a paper."""
        self._papers.append(paper)
        if len(self._papers) == ROWS_AT_ONCE:
            self._flush()

    def write(self, path: Path, receipt: Receipt) -> None:
        """Put it in place, with its receipt.

        Raises
        ------
        TaggerError
            If the folder cannot be written to.
        """
        if self._papers:
            self._flush()
        self._writer.add_key_value_metadata({_KEY: receipt.model_dump_json()})
        self._writer.close()
        with replacing_bytes(path) as file:
            file.write(self._content.getbuffer())

    def _flush(self) -> None:
        for table in arrow_tables(self._papers, self._taxonomy):
            self._writer.write_table(table)
        self._papers = []


def read_receipt(path: Path, run: str) -> Receipt | None:
    """Return the receipt of a part; None if there is no whole part of this run."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
        receipt = Receipt.model_validate_json((footer.metadata or {}).get(_KEY, b""))
    except (OSError, pa.ArrowException, ValidationError):
        return None
    whole = receipt.run == run and receipt.tagged == footer.num_rows and receipt.balances
    return receipt if whole else None
