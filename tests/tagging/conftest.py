"""Tables of invented papers, some of them more than once."""

import json

import pytest

from tagger.model import TaggerModel

WORDS = ("heart", "court", "survey", "trial", "network", "question", "drug", "judge")


@pytest.fixture
def rows():
    """Two hundred rows of a table: some have one DOI, some one title, one has an odd abstract."""
    rows = [
        {
            "title": f"Paper number {n} on the {WORDS[n % 8]}",
            "abstract": f"We look at {WORDS[n % 8]} and {WORDS[n * 3 % 8]}.\nIn case {n}, too.",
            "doi": f"10.1234/{n}" if n % 3 else None,
        }
        for n in range(200)
    ]
    rows[150] = {**rows[10], "abstract": rows[10]["abstract"] + " More is said here."}
    rows[151] = {**rows[11], "title": rows[11]["title"] + ": another part of the title"}
    rows[152] = {**rows[12], "title": rows[12]["title"].upper(), "doi": "10.1234/own"}
    rows[153] = {"title": "An abstract, with “quotes” and a comma", "abstract": "No abstract"}
    return rows


@pytest.fixture
def poison(monkeypatch):
    """Let no model tag the paper number 42 any more."""
    real = TaggerModel.predict

    def poisoned(self, papers):
        if any("number 42 " in paper.title for paper in papers):
            raise RuntimeError("too much for the tokenizer")
        return real(self, papers)

    return lambda: monkeypatch.setattr(TaggerModel, "predict", poisoned)


@pytest.fixture
def write_json(tmp_path):
    """Write rows as JSON Lines."""

    def write(rows, name="papers.jsonl", after=""):
        path = tmp_path / name
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_text("".join(lines) + after, encoding="utf-8")
        return path

    return write
