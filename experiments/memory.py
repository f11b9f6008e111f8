"""Does the memory of a tag run grow with the number of papers?

``tagger tag`` reads a file of JSON Lines of made-up papers, in a process of its own, of which the
system tells the peak of resident memory. The words of a paper are drawn by chance, few of them
often and most of them rarely (Zipf's law); one paper in fifty comes twice, and one in a hundred is
another one in other words. The model is a stand-in that costs next to nothing, the mean of random
word vectors with random heads for the taxonomy of this project, so that what is measured is all the
rest: reading, merging, deciding, journal, near duplicates, writing. The encoder of a real model
takes the same whatever the number of papers, see speed.py.

    python experiments/memory.py  # writes experiments/results/memory.*
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from record import ROOT, read_options, run_python, write_result

from tagger.labels import LabelStore

sys.path.append(str(ROOT / "tests"))
from helpers.tiny_model import save_tiny_model

WORDS = 120
VOCABULARY = 30_000
CHUNK = 1000
TAGGER = "import runpy; runpy.run_module('tagger', run_name='__main__', alter_sys=True)"


def write_papers(path: Path, rows: int, seed: int = 0) -> None:
    """Write made-up papers, a line each."""
    rng = np.random.default_rng(seed)
    vocabulary = np.array([f"w{n:x}" for n in rng.permutation(VOCABULARY)])
    shares = 1 / np.arange(1, VOCABULARY + 1)
    limits = np.cumsum(shares / shares.sum())
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            drawn = np.searchsorted(limits, rng.random((count, WORDS + 10)))
            kind = rng.random(count)
            for row in range(1, count):
                if kind[row] < 0.02:
                    drawn[row] = drawn[row - 1]
                elif kind[row] < 0.03:
                    kept = rng.random(WORDS) < 0.8
                    drawn[row, 10:][kept] = drawn[row - 1, 10:][kept]
            for words in vocabulary[np.minimum(drawn, VOCABULARY - 1)].tolist():
                paper = {"title": " ".join(words[:10]), "abstract": " ".join(words[10:])}
                file.write(json.dumps(paper) + "\n")


def measure(folder: Path, rows: int) -> dict[str, float]:
    """Tag so many papers in a child process; return what it took."""
    path, output = folder / f"{rows}.jsonl", folder / f"tagged-{rows}"
    write_papers(path, rows)
    model, target = str(folder / "model"), str(output)
    words = ("tag", str(path), "--model", model, "--output", target, "--json")
    printed, peak = run_python(TAGGER, *words)
    found = json.loads(printed)
    measured = {
        "rows": rows,
        "papers": found["papers"],
        "near_duplicates": found["near_duplicates"],
        "input_megabytes": path.stat().st_size / 1e6,
        "output_megabytes": sum(file.stat().st_size for file in output.iterdir()) / 1e6,
        "peak_megabytes": peak,
    }
    path.unlink()
    return measured


def main() -> None:
    options = read_options(__doc__, rows=(1_000_000, 1_000))
    sizes = [rows for rows in (1_000, 10_000, 100_000, 1_000_000) if rows <= options.rows]
    measured = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        save_tiny_model(folder / "model", LabelStore(ROOT / "labels").taxonomy)
        for rows in sizes:
            measured.append(measure(folder, rows))
            print({name: round(value) for name, value in measured[-1].items()}, flush=True)
    write_result(options, "memory", measured, table(measured))


def table(measured: list[dict[str, float]]) -> str:
    lines = [
        "| entries | papers | near duplicates | input | results | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for row in measured:
        cells = [f"{row[name]:,.0f}" for name in ("rows", "papers", "near_duplicates")]
        cells += [f"{row[f'{name}_megabytes']:,.0f} MB" for name in ("input", "output", "peak")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            "Made-up papers as JSON Lines, tagged by a stand-in for a model, the mean of random "
            "word vectors of 16 dimensions; peak resident memory of the process.",
        ]
    )


if __name__ == "__main__":
    main()
