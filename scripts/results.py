"""Write docs/results.md and the table of the README from the tables in experiments/results.

    python scripts/results.py

Run it after an experiment has written its table. A test checks that both are up to date.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
PAGE = ROOT / "docs" / "results.md"
README = ROOT / "README.md"

STATE = """\
Only the figures of the model that ships (in the README), of the gate, of updates, of the first
tags and of a library are of this version. Those of confidences are from before the last change of
the classifiers' class weights. All other tables are from earlier states of tagger and will be
measured again.
"""
"""Which state of tagger the tables were measured on."""

INTRODUCTION = """\
Each table is written by one script in `experiments/`, and `python scripts/results.py` collects them
here. "210 papers" are labelled papers from three real digests on language models. They are
development data: settings were chosen on them. "150 seed labels" are the labels in `labels/`, whose
texts were written for this project; there are 313 now.
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
        "What reviewed papers bring to an update of heads": ("review_gain", "review_gain"),
        "Push and pull, compared with Label Studio's SDK": (
            "review_throughput",
            "review_throughput",
        ),
    },
    "Speed and size": {
        "The first tags on a new machine": ("fresh_machine", "fresh_machine"),
        "Tagging": ("speed", "speed"),
        "Tagging, on a processor without VNNI": ("speed_avx2", "speed"),
        "Training": ("training_speed", "training_speed"),
        "Size of the installation": ("install_size", "install_size"),
        "A library of a year": ("library", "library"),
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
RECORD = ROOT / "tagger" / "default_model" / "training.json"
"""Figures of the model that ships, by facet: value, lower and upper end of a 95% interval."""
README_COLUMNS = {
    "accuracy": "all tags right",
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "calibration_error": "calibration error",
}


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
    """Return the table of the README: the figures of the model that ships."""
    facets = json.loads(RECORD.read_text(encoding="utf-8"))["figures"]
    rows = [
        [name, str(found["papers"])]
        + ["{:.2f} ({:.2f} to {:.2f})".format(*found[metric]) for metric in README_COLUMNS]
        for name, found in facets.items()
    ]
    header = ["", "papers", *README_COLUMNS.values()]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


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
