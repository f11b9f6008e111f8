"""Lines of result folders and answers of reviewers, made up for the report."""

import numpy as np

from tagger.evaluation import HeldOut
from tagger.labels import Label
from tagger.papers import paper_id

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'& {{ 7 * 7 }}"


def tag_row(title, kind="method", sure=0.9, fields=(), pages=("monday.txt",), model="tagger/1"):
    """Make a line of ``tags.jsonl``; a paper less sure than 0.6 is marked for review."""
    others = [tag for tag in ("survey", "method", "study") if tag != kind]
    probabilities = {kind: sure, others[0]: round(1 - sure, 4), others[1]: 0.0}
    reason = f"kind: {kind} {sure:.2f} or {others[0]} {1 - sure:.2f}"
    return {
        "id": paper_id(title),
        "title": title,
        "sources": list(pages),
        "tags": {"kind": [kind], "field": list(fields)},
        "confidence": {
            "kind": probabilities,
            "field": {tag: 0.97 if tag in fields else 0.02 for tag in ("health", "heart", "law")},
        },
        "review": {"facets": ["kind"], "reason": reason} if sure < 0.6 else None,
        "model": model,
        "taxonomy": "small@0123456789ab",
    }


def review(title, kind, **changes):
    """Make the answer of a reviewer who judged the kind alone; None stands for "not a paper"."""
    content = {
        "title": title,
        "text": f"An abstract on {title}.",
        "outcome": "tagged" if kind else "not-a-paper",
        "tags": {"kind": [kind]} if kind else {},
        "annotator": "ann",
        "time": "2026-03-02T10:00:00Z",
        "source": "review",
        "prediction": {"model": "tagger/1", "tags": {"kind": ["method"], "field": []}},
    }
    return Label.model_validate({**content, **changes})


def held_out(facet, y_true, probabilities):
    """Make predictions of a cross-validation, both of shape (papers, tags)."""
    ids = tuple(f"paper {n}" for n in range(len(y_true)))
    folds = np.ones(len(y_true), dtype=int)
    return HeldOut(facet, ids, ids, folds, np.array(y_true, dtype=bool), np.array(probabilities))
