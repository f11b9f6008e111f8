"""Names by which readers recognise what tagger itself wrote, which is not to be read as papers."""

MANIFEST_FILE = "manifest.json"
"""In a result folder: numbers of rows, papers and tags, and what the run was made of."""
NEAR_DUPLICATES_FILE = "near_duplicates.jsonl"
"""In a result folder: pairs of papers; no folder but those of tagger has it and a manifest."""
REPORT_TITLE = "tagger report"
"""End of the title of each report in HTML."""
