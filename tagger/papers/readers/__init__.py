"""Read papers from files; each format is one module, and is recognised by the content of a file."""

from tagger.papers.readers.collection import PaperCollection, PaperFile, collect_papers, read_papers
from tagger.papers.readers.formats import FORMATS, Reader

__all__ = ["FORMATS", "PaperCollection", "PaperFile", "Reader", "collect_papers", "read_papers"]
