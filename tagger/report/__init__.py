"""The report: result folders, reviews and the figures of a model version on one HTML page."""
