"""Write docs/results.md and the table of the README from the tables in experiments/results.

    python scripts/results.py

Run it after an experiment has written its table. A test checks that both are up to date.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
PAGE = ROOT / "docs" / "results.md"
README = ROOT / "README.md"

STATE = """\
All figures are from earlier states of tagger. They will be measured again: since then the word
features, the heads, the calibration and the effort levels have become simpler.
"""
"""Which state of tagger the tables were measured on: said in the README and in docs/results.md."""

INTRODUCTION = """\
Each table is written by one script in `experiments/`, and `python scripts/results.py` collects them
here. "210 papers" are labelled papers from three real digests on language models. They are
development data: settings were chosen on them. "150 seed labels" are the labels in `labels/`, whose
texts were written for this project.
"""

SECTIONS = {
    "Tags": {
        "Simpler methods on the same labels": ("baselines", "baselines"),
        "26 tags of EMNLP 2022 that others chose": ("emnlp_tags", "emnlp_tags"),
        "Confidences and target precision": ("trust", "trust"),
        "The gate": ("gate", "gate"),
        "Views, calibration and thresholds": ("calibration", "calibration"),
        "What each part of the method brings, and what else was tried": ("ablations", "ablations"),
    },
    "Tags without labels": {
        "One new tag among labelled ones": ("zero_shot", "zero_shot"),
        "Definitions only": ("definitions_only", "definitions_only"),
        "Hidden tags found by `tagger discover`": ("discovery", "discovery"),
    },
    "Review": {
        "Papers to review, by strategy": ("review_efficiency", "review_efficiency"),
        "Push and pull, compared with Label Studio's SDK": (
            "review_throughput",
            "review_throughput",
        ),
    },
    "Speed and size": {
        "Tagging": ("speed", "speed"),
        "Tagging, on a processor without VNNI": ("speed_avx2", "speed"),
        "Training": ("training_speed", "training_speed"),
        "Size of the installation": ("install_size", "install_size"),
        "Memory": ("memory", "memory"),
        "Several workers": ("scale", "scale"),
    },
    "Robustness": {
        "Killed commands": ("kills", "kills"),
        "Faults of Label Studio and MLflow": ("faults", "faults"),
        "Load": ("load", "load"),
        "Malformed input": ("fuzz", "fuzz"),
    },
}
"""Heading of each table, its file in experiments/results, and the script that writes it."""

PICTURES = {"review_efficiency": "F1 by reviewed papers", "speed": "Quality and speed"}
README_ROWS = ("majority",)
"""Rows of baselines.md that the README leaves out."""
README_COLUMNS = ("", "contribution macro-F1", "domain micro-F1", "seconds to train", "abstracts/s")


def results_page() -> str:
    """Return docs/results.md: every table under its heading, with the command that writes it."""
    parts = ["# Results\n", STATE, INTRODUCTION]
    for chapter, sections in SECTIONS.items():
        parts.append(f"## {chapter}\n")
        for heading, (name, script) in sections.items():
            table = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
            parts.append(f"### {heading}\n")
            parts.append(table.rstrip() + "\n")
            if picture := PICTURES.get(name):
                parts.append(f"![{picture}](../experiments/results/{name}.svg)\n")
            parts.append(f"Written by `python experiments/{script}.py`.\n")
    return "\n".join(parts)


def readme_table() -> str:
    """Return the table of the README: some columns and rows of baselines.md, and its caption."""
    text = (RESULTS / "baselines.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    kept = [header.index(name) for name in README_COLUMNS]
    table = [[row[place] for place in kept] for row in rows if row[0] not in README_ROWS]
    body = [README_COLUMNS, ("---",) * len(kept), *table]
    caption = text.strip().rpartition("\n")[2]
    return "\n".join(f"| {' | '.join(row)} |" for row in body) + f"\n\n{caption}\n\n{STATE}"


def readme() -> str:
    """Return the README with a fresh table between its two marks."""
    text = README.read_text(encoding="utf-8")
    marked = re.compile(r"(<!-- results: [^\n]*-->\n).*(<!-- end of results -->)", re.DOTALL)
    return marked.sub(lambda found: f"{found[1]}\n{readme_table()}\n{found[2]}", text)


def made() -> dict[Path, str]:
    """Return the content of each file that this script writes."""
    return {PAGE: results_page(), README: readme()}


if __name__ == "__main__":
    for path, content in made().items():
        path.write_text(content, encoding="utf-8")
