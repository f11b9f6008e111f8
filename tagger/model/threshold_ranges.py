"""Allowed ranges of the review thresholds, for commands, Python and the served model."""

from __future__ import annotations

from tagger.errors import ArgumentError

MIN_CONFIDENCE = (0.5, 1.0)
TARGET_PRECISION = (0.5, 0.999)


def check_thresholds(min_confidence: float, target_precision: float | None) -> None:
    """Raise :class:`ArgumentError` if a threshold is out of its range."""
    for name, value, (low, high) in (
        ("min_confidence", min_confidence, MIN_CONFIDENCE),
        ("target_precision", target_precision, TARGET_PRECISION),
    ):
        if value is not None and not low <= value <= high:
            raise ArgumentError(f"{name} must be from {low:g} to {high:g}, not {value!r}")
