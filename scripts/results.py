"""Write docs/results.md and the table of the README from the tables in experiments/results.

    python scripts/results.py

``make results`` runs it after the experiments. A test checks that both are up to date. The page
says at its top which tables were measured on another state of what they used of ``tagger/`` than
the present one, and below each of them which folders have changed since.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "experiments"))
from record import RESULTS, ROOT, changed_since, read_state

PAGE = ROOT / "docs" / "results.md"
README = ROOT / "README.md"

INTRODUCTION = """\
Each table is written by one script in `experiments/`. `make results` runs all of them, `python
scripts/results.py` collects the tables here. *dev*, *dev2* and *pool* are sets of published papers
with their tags: 210 of three real digests on language models, 119 of other venues, and 240 sampled
at random. *Seed labels* are the texts in `labels/seed.jsonl`, which were written for this project.
Below each table is said on which papers settings were chosen: figures on these are a little too
good. A table is of an earlier state if a folder of `tagger/` that its script used has changed since
it was measured; of the readers counts what they give on these papers.
"""

SECTIONS = {
    "Quality": {
        "Simpler methods on the same labels": "baselines",
        "26 tags of EMNLP 2022 that others chose": "emnlp_tags",
        "A larger encoder": "encoders",
        "Other settings of fine-tuning": "alternatives",
        "New tags without labels": "zero_shot",
        "Hidden tags found by `tagger discover`": "discovery",
    },
    "Trust": {"Confidences and target precision": "trust"},
    "Gain by review": {
        "What reviewed papers bring": "review_gain",
        "Papers to review, by strategy": "review_efficiency",
        "Keys and seconds a paper": "review_keys",
    },
    "Versions compared": {"The gate": "gate"},
    "Speed and memory": {
        "The first tags on a new machine": "fresh_machine",
        "Tagging": "speed",
        "Training": "training_speed",
        "Size of the installation": "install_size",
        "Memory": "memory",
        "A library of a year": "library",
        "Several workers": "scale",
    },
    "Robustness": {
        "Killed commands": "kills",
        "Faults of Label Studio and MLflow": "faults",
        "Malformed input": "fuzz",
    },
}
"""Heading of each table, and its file in experiments/results and script in experiments."""

PICTURES = {"review_efficiency": "F1 by reviewed papers", "speed": "Quality and speed"}
RECORD = ROOT / "tagger" / "default_model" / "training.json"
"""Figures of the model that ships, by facet: value, lower and upper end of a 95% interval."""
README_COLUMNS = {
    "accuracy": "all tags right",
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "calibration_error": "calibration error",
}


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and MkDocs make it."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def state_line(older: list[str]) -> str:
    """Say which tables are not of the present state of what they used of ``tagger/``."""
    if not older:
        return "All tables were measured on the present state of `tagger/`.\n"
    if len(older) == (many := sum(map(len, SECTIONS.values()))):
        return "**All tables were measured on earlier states of `tagger/`.**\n"
    links = "\n".join(f"- [{heading}](#{anchor(heading)})" for heading in older)
    told = f"**{len(older)} of the {many} tables were measured on earlier states of `tagger/`:**"
    return f"{told}\n\n{links}\n"


def origin_of(name: str, state: dict[str, Any], changed: list[str]) -> str:
    """Say which script wrote a table, when, where and on which commit, and what changed since."""
    if not state:
        return f"Written by `python experiments/{name}.py`, on a state that was not recorded.\n"
    since = f" Changed since: {', '.join(f'`{each}`' for each in changed)}." if changed else ""
    return (
        f"Written by `python experiments/{name}.py` on {state['date']}, commit {state['commit']}, "
        f"{state['machine']}.{since}\n"
    )


def results_page() -> str:
    """Return docs/results.md: every table under its heading, with the command that writes it."""
    older, parts = [], []
    for chapter, sections in SECTIONS.items():
        parts.append(f"## {chapter}\n")
        for heading, name in sections.items():
            state = read_state(RESULTS, name)
            if changed := changed_since(state):
                older.append(heading)
            table = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
            parts += [f"### {heading}\n", table.rstrip() + "\n"]
            if picture := PICTURES.get(name):
                parts.append(f"![{picture}](../experiments/results/{name}.svg)\n")
            parts.append(origin_of(name, state, changed))
    return "\n".join(["# Results\n", state_line(older), INTRODUCTION, *parts])


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
