"""How long does a library of a year take to grow by a page, and its report to open?

Fifty-two pages of invented papers, 10,000 in all, are added to one library, a week apart; one paper
in twenty has been on an earlier page. The model is a stand-in of a few kilobytes, and the time of
tagging is not counted: what is measured is finding out which papers are known, and adding the
others. Then ``tagger report`` and ``tagger library search`` run in processes of their own, and
Chromium opens the report.

    python experiments/library.py  # writes experiments/results/library.*
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from browser import open_browser
from record import ROOT, environment_of_tagger, read_options, write_result

from tagger.labels import LabelStore
from tagger.model import ReviewRule, load_model
from tagger.papers import Paper
from tagger.tagging import Arrivals, tag_papers, work_on_library

sys.path.append(str(ROOT / "tests"))
from helpers.tiny_model import save_tiny_model

PAGES = 52
COMMANDS = ("report library", "library search library w1f w20", "library show library w1f")


def pages_of(papers: int, pages: int) -> list[list[Paper]]:
    """Invent pages of papers with 130 words each, drawn by Zipf's law."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{n:x}" for n in range(30_000)])
    shares = 1 / np.arange(1, len(words) + 1)
    drawn = np.searchsorted(np.cumsum(shares / shares.sum()), rng.random((papers, 130)))
    texts = words[np.minimum(drawn, len(words) - 1)].tolist()
    made = [Paper(" ".join(t[:10]), " ".join(t[10:]), ("page.txt",)) for t in texts]
    found = []
    for page in np.array_split(np.arange(papers), pages):
        again = rng.integers(0, page[0], len(page) // 20).tolist() if page[0] else []
        found.append([made[n] for n in (*page, *again)])
    return found


def grow(path: Path, pages: list[list[Paper]], model_folder: Path) -> list[float]:
    """Add pages to a library, a week apart; return the seconds besides tagging of each."""
    model, seconds = load_model(model_folder), []
    for week, page in enumerate(pages):
        with work_on_library(path) as folder:
            begin = time.perf_counter()
            arrivals = Arrivals.at(path, page)
            found = time.perf_counter() - begin
            run = tag_papers(arrivals.new, model, folder, ReviewRule(), abstracts=False)
            begin = time.perf_counter()
            day = date(2025, 1, 6) + timedelta(weeks=week)
            arrivals.add(run, model.taxonomy, day, abstracts=True)
            seconds.append(found + time.perf_counter() - begin)
        print(f"page {week + 1}: {seconds[-1]:.2f} s", flush=True)
    return seconds


def seconds_of(command: str, folder: Path) -> float:
    """Run a command of tagger in a folder and return its seconds."""
    words = [sys.executable, "-m", "tagger", *shlex.split(command)]
    begin = time.perf_counter()
    subprocess.run(words, cwd=folder, env=environment_of_tagger(), check=True, capture_output=True)
    return time.perf_counter() - begin


def seconds_to_open(page: Path) -> float:
    """Open a page in Chromium and return the seconds until it is loaded."""
    driver = open_browser()
    try:
        driver.get("about:blank")
        begin = time.perf_counter()
        driver.get(page.as_uri())
        return time.perf_counter() - begin
    finally:
        driver.quit()


def table_of(found: dict[str, Any]) -> str:
    """Write what was measured as a table."""
    lines = [
        f"| a library of {found['papers']:,} papers, {found['megabytes']:.0f} MB | seconds |",
        "|---|---|",
        f"| adding a page of about {found['page']}, besides tagging: median of the last ten "
        f"| {found['last']:.2f} |",
        f"| the slowest of {found['pages']} pages | {found['slowest']:.2f} |",
    ]
    lines += [f"| `tagger {command}` | {found[command]:.1f} |" for command in COMMANDS]
    lines += [
        f"| opening its report ({found['report_megabytes']:.1f} MB) in Chromium "
        f"| {found['open']:.1f} |",
        "",
        "Invented papers and a model of a few kilobytes. Of each command, the fastest of 3 runs.",
    ]
    return "\n".join(lines)


def main() -> None:
    options = read_options(__doc__, papers=(10_000, 520))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        save_tiny_model(folder / "model", LabelStore(ROOT / "labels").taxonomy)
        pages = pages_of(options.papers, PAGES)
        seconds = grow(folder / "library", pages, folder / "model")
        found: dict[str, Any] = {
            "papers": options.papers,
            "pages": PAGES,
            "page": options.papers // PAGES,
            "megabytes": (folder / "library").stat().st_size / 1e6,
            "last": median(seconds[-10:]),
            "slowest": max(seconds),
        }
        for command in COMMANDS:
            found[command] = min(seconds_of(command, folder) for _ in range(3))
        found["report_megabytes"] = (folder / "report.html").stat().st_size / 1e6
        found["open"] = seconds_to_open(folder / "report.html")
    write_result(options, "library", found, table_of(found))


if __name__ == "__main__":
    main()
