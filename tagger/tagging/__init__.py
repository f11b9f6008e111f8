"""The batch run: papers are read, merged, tagged and written, on this machine or on a cluster."""

from tagger.tagging.run import TagRun, tag_papers

__all__ = ["TagRun", "tag_papers"]
