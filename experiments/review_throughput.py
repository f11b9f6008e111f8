"""What do push and pull cost beside the plain SDK's bulk import and export?

Both sides move the same 5,000 tasks to and from the same real Label Studio server, one after the
other in one run, so that only the ratio counts:

    python experiments/review_throughput.py

push: make the tasks, look for copies, import, make tabs (without tagging, which is measured in
baselines.py), beside ``projects.import_tasks``; pull: export, read annotations, merge, write
corrections.jsonl, beside ``projects.exports.download_sync``. Writes
experiments/results/review_throughput.md and .json.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gold import RESULTS, ROOT, machine

from tagger.labels import LabelStore
from tagger.model import Predictions, ReviewRule, decide
from tagger.papers import Paper
from tagger.review import (
    Connection,
    EmbeddedServer,
    PushSettings,
    ReviewProject,
    open_project,
    pull_labels,
    push_papers,
)
from tagger.review.strategies.uncertainty import Uncertainty
from tagger.review.tasks import make_result, make_task
from tagger.taxonomy import Taxonomy

PAPERS = 5000
ROUNDS = 3
TAXONOMY = LabelStore(ROOT / "labels").taxonomy
WORDS = [
    "we",
    "study",
    "how",
    "a",
    "model",
    "answers",
    "questions",
    "on",
    "text",
    "in",
    "many",
    "fields",
]


class InstantModel:
    """Says something of each paper at no cost: what is measured is everything else."""

    name = "tagger/1"

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy

    def encode(self, papers: list[Paper], progress: object = None) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(len(papers), 8)).astype(np.float32)

    def predict(self, papers: list[Paper], progress: object = None) -> Predictions:
        rng = np.random.default_rng(0)
        probabilities = {}
        for facet in self.taxonomy.facets:
            drawn = rng.random((len(papers), len(facet.tags)))
            probabilities[facet.name] = (
                drawn / drawn.sum(axis=1, keepdims=True) if facet.exclusive else drawn
            )
        members = {name: np.stack([p, p]) for name, p in probabilities.items()}
        return Predictions(self.encode(papers), probabilities, members)


def make_papers() -> list[Paper]:
    """Papers of the length of real abstracts, in words of our own."""
    rng = np.random.default_rng(1)
    return [Paper(f"Paper {n}", " ".join(rng.choice(WORDS, 180))) for n in range(PAPERS)]


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def plain_tasks(papers: list[Paper], model: InstantModel) -> list[dict[str, Any]]:
    probabilities = model.predict(papers).probabilities
    decisions = decide(papers, probabilities, TAXONOMY, model.name, ReviewRule())
    return [
        make_task(paper, decision, TAXONOMY, "checked", "Why.")
        for paper, decision in zip(papers, decisions, strict=True)
    ]


def annotated(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**task, "annotations": [{"result": make_result(task["meta"]["tags"], TAXONOMY)}]}
        for task in tasks
    ]


def import_plainly(project: ReviewProject, tasks: list[dict[str, Any]]) -> None:
    project.connection.client.projects.import_tasks(project.id, request=tasks)


def export_plainly(project: ReviewProject) -> None:
    exports = project.connection.client.projects.exports
    json.loads(b"".join(exports.download_sync(project.id, export_type="JSON")))


def measure_round(connection: Connection, number: int) -> dict[str, float]:
    """Time both sides once, the plain side first in every other round."""
    model, papers = InstantModel(TAXONOMY), make_papers()
    tasks = plain_tasks(papers, model)
    projects = {
        side: open_project(
            connection, TAXONOMY.model_copy(update={"name": f"{side}{number}"}), None, create=True
        )
        for side in ("plain", "tagger", "pull")
    }
    settings = PushSettings(PAPERS, Uncertainty())
    import_plainly(projects["pull"], annotated(tasks))
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "taxonomy.yaml").write_text(TAXONOMY.model_dump_json(), encoding="utf-8")
        store = LabelStore(scratch)
        sides = {
            "import": lambda: import_plainly(projects["plain"], tasks),
            "push": lambda: push_papers(papers, model, [], projects["tagger"], settings),  # type: ignore[arg-type]
            "export": lambda: export_plainly(projects["pull"]),
            "pull": lambda: pull_labels(projects["pull"], store),
        }
        order = ["import", "push", "export", "pull"]
        if number % 2:
            order = ["push", "import", "pull", "export"]
        found = {name: seconds(sides[name]) for name in order}
        assert len(store.all_labels()) == PAPERS
    for project in projects.values():
        connection.client.projects.delete(project.id)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        server = EmbeddedServer(Path(scratch), ROOT / ".label-studio" / "venv")
        running = server.start(port=8123, report=print)
        try:
            connection = Connection(running.url, running.token)
            rounds = [measure_round(connection, number) for number in range(ROUNDS)]
        finally:
            server.stop()
    middle = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    lines = [
        f"| {PAPERS:,} tasks | plain SDK | tagger | ratio |",
        "|---|---|---|---|",
    ]
    for ours, plain in (("push", "import"), ("pull", "export")):
        ratio = statistics.median(r[ours] / r[plain] for r in rounds)
        lines.append(f"| {ours} | {middle[plain]:.1f} s | {middle[ours]:.1f} s | {ratio:.2f} |")
    lines += ["", f"Medians of {ROUNDS} rounds, both sides in one run, {machine()}."]
    RESULTS.mkdir(exist_ok=True)
    table = "\n".join(lines) + "\n"
    (RESULTS / "review_throughput.md").write_text(table, encoding="utf-8")
    (RESULTS / "review_throughput.json").write_text(
        json.dumps({"rounds": rounds}, indent=1) + "\n", encoding="utf-8"
    )
    print(table)


if __name__ == "__main__":
    main()
