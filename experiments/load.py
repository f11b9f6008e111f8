"""Does the backend stand 200 requests at once, do commands answer on a large workspace?

The backend runs as ``tagger review backend`` runs it, in a process of its own, with a model of a
few kilobytes from an MLflow store; 200 clients ask it for two minutes, each again when it has its
answer. A workspace of 100,000 labels and 50 versions is made, and commands are timed on all of it
and on a tenth.

Run from the root of the project: python experiments/load.py
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gold import RESULTS, ROOT, machine

sys.path.insert(0, str(ROOT / "tests"))

from helpers.ports import free_port, wait_for
from helpers.samples import label_line, page, small_taxonomy, write_taxonomy
from helpers.tiny_encoder import save_tiny_encoder
from helpers.tiny_model import save_tiny_model
from helpers.tiny_training import log_tiny

CLIENTS = 200
SECONDS = 120.0
LABELS = 100_000
VERSIONS = 50
WORDS = ["heart", "court", "survey", "trial", "network", "question", "drug", "judge"]
PASSWORD = "load"


@dataclass(frozen=True)
class Load:
    """What came of the requests; times in seconds."""

    requests: int
    errors: dict[str, int]
    per_second: float
    median: float
    p99: float


def serve(port: int) -> None:
    """Serve the champion of the current folder, as ``tagger review backend`` does."""
    from tagger.cli.backend import ModelInUse, make_server
    from tagger.labels import LabelStore
    from tagger.review import Credentials, make_backend

    in_use = ModelInUse(LabelStore("labels"), "champion", print)
    app = make_backend(in_use, Credentials(password=PASSWORD), lambda: None)
    make_server(app).run([socket.create_server(("127.0.0.1", port), backlog=2048)])


def measure_backend(folder: Path, clients: int, seconds: float) -> Load:
    """Let so many clients ask at once."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "--serve", str(port)], cwd=folder
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        return asyncio.run(ask(f"http://127.0.0.1:{port}/predict", clients, seconds))
    finally:
        process.terminate()
        process.wait()


async def ask(url: str, clients: int, seconds: float) -> Load:
    """Ask for the tags of a paper, as Label Studio does, from so many clients at once."""
    import httpx

    times: list[float] = []
    errors: Counter[str] = Counter()
    end = time.monotonic() + seconds

    # A connection each: many in one pool cost the side that asks more than the backend.
    context = httpx.create_ssl_context()

    async def client(number: int) -> None:
        data = {"title": f"On the {WORDS[number % 8]}", "abstract": "A trial on the heart. " * 20}
        async with httpx.AsyncClient(
            auth=("tagger", PASSWORD), timeout=60, trust_env=False, verify=context
        ) as http:
            while time.monotonic() < end:
                begin = time.perf_counter()
                try:
                    answer = await http.post(url, json={"tasks": [{"id": number, "data": data}]})
                    if answer.status_code != 200:
                        errors[f"status {answer.status_code}"] += 1
                    elif not answer.json()["results"][0]["result"]:
                        errors["no tags"] += 1
                except httpx.HTTPError as error:
                    errors[repr(error)] += 1
                times.append(time.perf_counter() - begin)

    begin = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(clients)))
    took = time.monotonic() - begin
    median, p99 = np.percentile(times, [50, 99])
    return Load(len(times), dict(errors), len(times) / took, float(median), float(p99))


def make_workspace(folder: Path, versions: int) -> None:
    """Make a workspace with so many versions in MLflow, and a page."""
    from tagger.registry import Registry

    taxonomy = small_taxonomy()
    labels = folder / "labels"
    labels.mkdir(parents=True)
    write_taxonomy(labels, taxonomy)
    write_labels(folder, 12)
    model = save_tiny_model(folder / "model", taxonomy)
    with contextlib.chdir(folder):
        for seed in range(versions):
            log_tiny(Registry(), labels, model, 0.5 + seed / versions / 2, seed)
    save_tiny_encoder(folder)
    titles = [f"Page paper {n} on heart and court" for n in range(20)]
    (folder / "page.txt").write_text(page(*titles), encoding="utf-8")


def write_labels(folder: Path, count: int) -> None:
    """Write so many labels, half of them by hand and half from review by two people."""
    rng = np.random.default_rng(0)
    kinds: list[str] = ["survey", "method", "study"]
    fields: list[list[str]] = [["heart"], ["law"], []]
    files = {name: folder / "labels" / f"{name}.jsonl" for name in ("seed", "corrections")}
    with files["seed"].open("w") as seed, files["corrections"].open("w") as corrections:
        for n in range(count):
            paper = n if n < count / 2 or n % 2 else n - count // 2
            changes: dict[str, object] = {
                "text": " ".join(rng.choice(WORDS, 40)),
                "tags": {"kind": [kinds[n % 3]], "field": fields[n // 3 % 3]},
            }
            if n < count / 2:
                seed.write(label_line(f"Title {paper}", **changes) + "\n")
                continue
            time = "2026-02-01T00:00:00Z"
            origin = {"annotation": f"u{n}", "updated": time, "project": "1/then", "task": n}
            changes |= {"source": "review", "annotator": ("ann", "bob")[n % 3 > 0], "time": time}
            changes |= {"prediction": {"model": "tagger/1", "tags": {"kind": ["study"]}}}
            line = label_line(f"Title {paper}", **changes, origin=origin)
            corrections.write(line + "\n")


COMMANDS = [
    "tag page.txt --json",
    "explain 'Page paper 19' page.txt --json",
    "report tagged --json",
    "taxonomy show --json",
    "taxonomy check --json",
    "taxonomy rereview --json",
    "taxonomy rename kind/study inquiry --dry-run --json",
    "labels suggest 5 page.txt --encoder encoder --json",
    "labels audit --json",
    "history --json",
    "compare 1 {last} --json",
    "promote {last} --force load --json",
    "rollback --json",
]


def seconds_of(command: str, folder: Path) -> float:
    """Give a command; it must answer."""
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "tagger", *shlex.split(command)],
        cwd=folder,
        env=environment | {"TAGGER_CACHE": "off"},
        capture_output=True,
        text=True,
    )
    took = time.perf_counter() - begin
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command}: {done.stderr}")
    return took


def measure_commands(folder: Path, labels: int, last: int) -> dict[str, float]:
    """Return the seconds that each command takes."""
    write_labels(folder, labels)
    found = {}
    for command in COMMANDS:
        found[command] = seconds_of(command.format(last=last), folder)
        print(f"{labels:,} labels: {command}: {found[command]:.1f} s", flush=True)
    return found


def table_of(found: dict[str, Any]) -> str:
    """Write what was measured as tables."""
    load, size = found["backend"], found["size"]
    lines = [
        "| clients at once | seconds | requests | errors | a second | median | 99th percentile "
        "| in medians |",
        "|---|---|---|---|---|---|---|---|",
        f"| {load['clients']} | {load['seconds']:.0f} | {load['requests']:,} "
        f"| {sum(load['errors'].values())} | {load['per_second']:.0f} | {load['median']:.2f} s "
        f"| {load['p99']:.2f} s | {load['p99'] / load['median']:.1f} |",
        "",
        f"| command, {size['versions']} versions | {size['labels'] // 10:,} labels "
        f"| {size['labels']:,} labels | times |",
        "|---|---|---|---|",
    ]
    for command in COMMANDS:
        shown = command.format(last=size["versions"])
        few, many = found["few"][command], found["many"][command]
        lines.append(f"| `tagger {shown}` | {few:.1f} s | {many:.1f} s | {many / few:.1f} |")
    lines += [
        "",
        "Ten times the labels: what grows with them takes up to ten times as long, what does not, "
        "as long. A model and an encoder of a few kilobytes: what is measured is everything else. "
        f"Clients and backend share {machine()}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--part", choices=["backend", "commands"], action="append")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--labels", type=int, default=LABELS)
    parser.add_argument("--versions", type=int, default=VERSIONS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    parts = given.part or ["backend", "commands"]
    stored = RESULTS / "load.json"
    found = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_workspace(folder, given.versions if "commands" in parts else 1)
        if "backend" in parts:
            load = measure_backend(folder, given.clients, given.seconds)
            asked = {"clients": given.clients, "seconds": given.seconds}
            found["backend"] = {**asked, **asdict(load)}
            print(found["backend"], flush=True)
        if "commands" in parts:
            found["size"] = {"labels": given.labels, "versions": given.versions}
            found["few"] = measure_commands(folder, given.labels // 10, given.versions)
            found["many"] = measure_commands(folder, given.labels, given.versions)
    stored.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if {"backend", "many"} <= found.keys():
        table = table_of(found)
        (RESULTS / "load.md").write_text(table, encoding="utf-8")
        print(table)


if __name__ == "__main__":
    main()
