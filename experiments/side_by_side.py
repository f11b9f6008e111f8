"""Is this state as good and as fast as an earlier revision? Both are measured in one run.

Through the command line alone, which both know: each trains on labels/ and tags the development
papers of ../shared/gold, trains on a few papers of the EMNLP 2022 benchmark (26 tags, at least
eight papers of each) and tags the rest, and tags 400 papers that are not cached, in turns.

    python experiments/side_by_side.py 17074b1  # writes results/side_by_side.*
    python experiments/side_by_side.py 17074b1 --only speed

Steps that are done are kept in experiments/cache/side_by_side and not done again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from emnlp_tags import FOLDS, TOKENS, draw, read
from gold import bootstrap_interval, read_gold
from record import RESULTS, ROOT, machine
from sklearn.metrics import f1_score

from tagger._util.arrays import Integers
from tagger.labels import LabelStore
from tagger.papers import Paper, merge_duplicates

KEPT = Path(os.environ.get("SIDE_BY_SIDE", Path(__file__).parent / "cache" / "side_by_side"))
PER_TAG = 8
SPEED_PAPERS = 400
EFFORTS = ("full", "balanced", "low")
ROUNDS = 5
STEPS = ("gold", "emnlp", "speed")

Given = list[dict[str, list[str]]]
"""Tags of each paper, by facet."""


@dataclass(frozen=True)
class State:
    """A checkout, and the folder in which its command line works."""

    name: str
    checkout: Path
    workspace: Path

    def run(self, *words: object, cwd: Path, cache: Path | None = None) -> str:
        """Run the command line of this checkout; stop if it fails."""
        environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
        environment["PYTHONPATH"] = str(self.checkout)
        environment["TAGGER_CACHE"] = str(cache or self.workspace / "cache")
        command = [sys.executable, "-m", "tagger", *map(str, words)]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{self.name}: {command}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def train(self, folder: Path, *options: object) -> None:
        """Train in a folder that has labels, unless that was done."""
        if (folder / "trained").exists():
            return
        shutil.rmtree(folder / "mlruns", ignore_errors=True)
        if "--no-learning-curve" in self.run("train", "--help", cwd=folder):
            options = (*options, "--no-learning-curve")
        start = time.monotonic()
        self.run("train", "--labels", "labels", *options, cwd=folder)
        (folder / "trained").write_text(str(time.monotonic() - start), encoding="utf-8")

    def tag(self, folder: Path, papers: list[Paper], name: str) -> Given:
        """Return the tags that the champion of a folder gives to each paper."""
        write_table(folder / f"{name}.csv", papers)
        self.run("tag", f"{name}.csv", "--output", name, cwd=folder)
        lines = (folder / name / "tags.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line)["tags"] for line in lines]
        # A title is cleaned when it is read, so rows are matched by their order.
        assert len(rows) == len(papers), f"{name}: {len(rows)} rows for {len(papers)} papers"
        return rows


def write_table(path: Path, papers: list[Paper]) -> None:
    """Write titles and abstracts as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["title", "abstract"])
        rows.writerows([paper.title, paper.abstract] for paper in papers)


def gold_papers(name: str) -> tuple[list[Paper], Given]:
    """Return the papers of dev or dev2, and the tags that people gave them."""
    taxonomy = LabelStore(ROOT / "labels").taxonomy
    gold = read_gold(taxonomy, name)
    given = [
        {
            facet.name: np.array(facet.tag_names)[gold.y_true[facet.name][row]].tolist()
            for facet in taxonomy.facets
        }
        for row in range(len(gold.papers))
    ]
    return gold.papers, given


def score(given: Given, found: Given, facet: str, average: str) -> tuple[float, float, float]:
    """Return the F1 of a facet with its bootstrap interval."""
    names = sorted({tag for tags in (*given, *found) for tag in tags.get(facet, ())})
    y_true, y_pred = (
        np.array([[name in tags.get(facet, ()) for name in names] for tags in some], dtype=int)
        for some in (given, found)
    )

    def figure(rows: Integers) -> float:
        return float(f1_score(y_true[rows], y_pred[rows], average=average, zero_division=0))

    low, high = bootstrap_interval(figure, len(given), rounds=300)
    return figure(np.arange(len(given))), low, high


def measure_gold(state: State) -> dict[str, tuple[float, float, float]]:
    folder = state.workspace / "gold"
    shutil.copytree(ROOT / "labels", folder / "labels", dirs_exist_ok=True)
    state.train(folder)
    figures = {}
    for name in ("dev", "dev2"):
        papers, given = gold_papers(name)
        found = state.tag(folder, papers, name)
        figures[f"{name}: contribution macro-F1"] = score(given, found, "contribution", "macro")
        figures[f"{name}: domain micro-F1"] = score(given, found, "domain", "micro")
    return figures


def measure_emnlp(state: State) -> dict[str, tuple[float, float, float]]:
    folder = state.workspace / "emnlp"
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    papers, y_true, names = read()
    names = [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in names]
    chosen = draw(y_true, PER_TAG, seed=0)
    tags = [{"name": name, "definition": f"About {name}."} for name in names]
    facet = {"name": "topic", "definition": "What it is about.", "tags": tags}
    taxonomy = yaml.safe_dump({"name": "emnlp", "facets": [facet]}, sort_keys=False)
    (folder / "labels" / "taxonomy.yaml").write_text(taxonomy, encoding="utf-8")

    def given(row: int) -> list[str]:
        return [name for name, has in zip(names, y_true[row], strict=True) if has]

    lines = [
        json.dumps(
            {
                "title": papers[row].title,
                "text": papers[row].abstract,
                "tags": {"topic": given(row)},
                "annotator": "benchmark",
                "time": "2026-01-01T00:00:00Z",
                "source": "seed",
            }
        )
        for row in chosen
    ]
    (folder / "labels" / "seed.jsonl").write_text("\n".join(lines), encoding="utf-8")
    state.train(folder, "--max-tokens", TOKENS, "--folds", FOLDS)
    places = {paper.id: row for row, paper in enumerate(papers)}
    # Some papers are in the benchmark twice.
    distinct = [places[paper.id] for paper in merge_duplicates(papers)]
    asked = {papers[row].id: row for row in distinct if row not in {*chosen}}
    found = state.tag(folder, [papers[row] for row in asked.values()], "asked")
    right: Given = [{"topic": given(row)} for row in asked.values()]
    return {
        f"EMNLP, {PER_TAG} a tag: micro-F1": score(right, found, "topic", "micro"),
        f"EMNLP, {PER_TAG} a tag: macro-F1": score(right, found, "topic", "macro"),
    }


def measure_speed(states: list[State]) -> dict[str, dict[str, list[float]]]:
    """Return texts a second of each state at each effort, round by round, in turns."""
    papers, _, _ = read()
    found: dict[str, dict[str, list[float]]] = {}
    for effort in EFFORTS:
        found[effort] = {state.name: [] for state in states}
        for turn in range(ROUNDS + 1):
            for state in states:
                folder = state.workspace / "gold"
                write_table(folder / "many.csv", papers[:SPEED_PAPERS])
                with tempfile.TemporaryDirectory() as cache:
                    shutil.rmtree(folder / "many", ignore_errors=True)
                    start = time.monotonic()
                    words = ("tag", "many.csv", "--effort", effort, "--output", "many")
                    state.run(*words, cwd=folder, cache=Path(cache))
                    seconds = time.monotonic() - start
                # The first turn warms up.
                if turn:
                    found[effort][state.name].append(SPEED_PAPERS / seconds)
    return found


def table(record: dict[str, Any], states: list[State]) -> str:
    """Write what was measured as a table in Markdown."""
    before, after = (state.name for state in states)
    lines = [f"| | {before} | {after} | ratio |", "|---|---|---|---|"]
    for step in ("gold", "emnlp"):
        of_step = record.get(step, {})
        for name in of_step.get(before, {}):
            cells = [
                "{:.3f} ({:.3f} to {:.3f})".format(*of_step[state][name])
                for state in (before, after)
            ]
            lines.append(f"| {name} | {cells[0]} | {cells[1]} | |")
    for effort, rounds in record.get("speed", {}).items():
        medians = [statistics.median(rounds[state]) for state in (before, after)]
        ratio = statistics.median(b / a for a, b in zip(rounds[before], rounds[after], strict=True))
        lines.append(
            f"| papers a second, `--effort {effort}` | {medians[0]:.1f} | {medians[1]:.1f} "
            f"| {ratio:.2f} |"
        )
    return "\n".join(lines) + (
        f"\n\nF1 with 95% bootstrap intervals over papers; speed is of the whole command on "
        f"{SPEED_PAPERS} papers, median of {ROUNDS} rounds in turns, ratio by pairs; one seed; "
        f"{machine()}.\n"
    )


def commit(revision: str) -> str:
    command = ["git", "rev-parse", "--short", revision]
    return subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="the earlier revision, as git names it")
    parser.add_argument("--only", choices=STEPS, action="append", help="a part of it")
    parser.add_argument("--before-only", action="store_true", help="train the earlier one alone")
    arguments = parser.parse_args()
    names = commit(arguments.revision), commit("HEAD")
    earlier = KEPT / names[0] / "checkout"
    if not earlier.exists():
        words = ["git", "worktree", "add", "--detach", str(earlier), names[0]]
        subprocess.run(words, cwd=ROOT, check=True)
    states = [
        State(names[0], earlier, KEPT / names[0]),
        State(names[1], ROOT, KEPT / names[1]),
    ]
    file = RESULTS / "side_by_side.json"
    record: dict[str, Any] = {}
    if file.exists():
        record = json.loads(file.read_text(encoding="utf-8"))
        if record.get("states") != [*names]:
            record = {}
    record["states"] = [*names]
    for step in arguments.only or STEPS:
        if step == "speed":
            record[step] = measure_speed(states)
        else:
            measure = {"gold": measure_gold, "emnlp": measure_emnlp}[step]
            some = states[:1] if arguments.before_only else states
            record[step] = {state.name: measure(state) for state in some}
        print(step, json.dumps(record[step]), flush=True)
        if not arguments.before_only:
            file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            text = table(record, states)
            file.with_suffix(".md").write_text(text, encoding="utf-8")
            print(text, flush=True)


if __name__ == "__main__":
    main()
