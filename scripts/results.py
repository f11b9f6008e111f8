"""Write docs/results.md and the table of the README from the tables in experiments/results.

    python scripts/results.py

``make results`` runs it after the experiments. A test checks that both are up to date, and that
figures within sentences of other pages are those of the results: see :func:`quoted`. The page
says at its top which tables were measured on another state of what they used of ``tagger/`` than
the present one, and below each of them which folders have changed since.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import mean
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
good. A table is of an earlier state if a file of `tagger/` that its script or its commands used has
changed since it was measured. If it ran no command, of the readers counts what they give on these
papers.
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


def figures_of(name: str) -> Any:
    """Return the figures of a result."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["figures"]


def quoted() -> list[tuple[Path, str]]:
    """Return each sentence of a page that quotes results, with their present figures."""
    return [
        (README, sentence_on_targets()),
        (README, sentence_on_few_labels()),
        (ROOT / "docs" / "how-to" / "train-and-promote.md", sentence_on_gain()),
    ]


def sentence_on_targets() -> str:
    trials = [each["50"] for each in figures_of("trust")["measured"]]
    accepted = [value for trial in trials for value in trial["0.9 accepts something"]]
    precision = [value for trial in trials for value in trial["0.9 precision"]]
    return (
        f"was tried {len(accepted)} times, with {len(trials)} models of the 313 written labels and "
        f"50 audit labels each. It accepted tags in {sum(accepted):.0f} trials, and on average "
        f"{mean(precision):.0%} of them were right ({min(precision):.0%} in the worst trial)."
    )


def sentence_on_few_labels() -> str:
    errors = {
        each["per_tag"]: each["calibration_error"]
        for each in figures_of("emnlp_tags")
        if each["method"] == "tagger"
    }
    return (
        f"Confidences differed from the share that was right by {errors[8]:.2f} with 8 labels a "
        f"tag, and by {errors[16]:.2f} with 16"
    )


def sentence_on_gain() -> str:
    orders = figures_of("review_gain")

    def average(strategy: str, papers: str, figure: str) -> float:
        return float(mean(order[papers][figure] for order in orders[strategy]))

    before, after, anew = (
        [average(*key, name) for name in ("contribution accuracy", "domain micro_f1")]
        for key in (("random", "0"), ("random", "160"), ("random, trained anew", "160"))
    )
    flips = average("random, trained anew", "160", "negative flips")
    return (
        "160 papers sampled at random changed the accuracy of contribution from "
        f"{before[0]:.3f} to {after[0]:.3f} and the micro-F1 of domain from {before[1]:.3f} to "
        f"{after[1]:.3f}. Training anew on the same labels gave {anew[0]:.3f} and {anew[1]:.3f}, "
        f"but {flips:.1%} of the papers that were right became wrong."
    )


def missing_quotes() -> list[tuple[Path, str]]:
    """Return the sentences of :func:`quoted` that their page does not have, or not like this."""
    return [
        (path, sentence)
        for path, sentence in quoted()
        if sentence not in " ".join(path.read_text(encoding="utf-8").split())
    ]


if __name__ == "__main__":
    for path, content in made().items():
        path.write_text(content, encoding="utf-8")
    for path, sentence in missing_quotes():
        print(f"{path.relative_to(ROOT)} should have this sentence: {sentence}")
