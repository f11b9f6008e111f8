"""What do several workers bring, what does their engine cost, and how long would 250 million take?

Papers of the real digests are written to a table as often as asked for, each time with a number of
their own, and tagged by both engines, each in a process of its own: by this machine alone with as
many cores as there are workers, and by workers of Ray. The encoder is the bundled one, exported as
any model's; what it says depends on training, how long it takes does not, so nothing is trained.
Workers are counted on whole abstracts; what the engine costs is measured with ``--effort low``,
where the engine has the larger share of the work. Memory is measured with the stand-in for a model
of memory.py, whose encoder costs next to nothing: the faster papers are tagged, the more of them
could pile up. A real encoder takes the same whatever the number of papers.

    python experiments/scale.py  # writes experiments/results/scale.*
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from gold import digest_papers
from record import ROOT, environment_of_tagger, read_options, write_result

from tagger._util.arrays import Booleans, Floats
from tagger.labels import LabelStore
from tagger.model import (
    Calibration,
    Head,
    Linear,
    OutOfFold,
    Reference,
    save_heads,
)
from tagger.papers import EFFORTS, TEXT_VIEWS, Paper
from tagger.tagging import RayEngine
from tagger.training.heads import fit_lexical

sys.path.append(str(ROOT / "tests"))
from helpers.tiny_model import save_tiny_model

MILLION = 1_000_000
Run = dict[str, Any]
PAPERS = 250 * MILLION
CORE_HOUR = 0.04
"""Dollars, of the order of what clouds ask for a core by the hour; the sum can be done anew."""
GPU_HOUR = 4.0
"""Dollars, likewise for a GPU of the data centre."""

ENGINE = """
import json, os, sys, time
cores = int(sys.argv[5])
os.sched_setaffinity(0, range(cores))
began = time.time()
from contextlib import nullcontext
from pathlib import Path
from tagger.model import ReviewRule, load_model
from tagger.tagging import RayEngine, ray_cluster, read_for_run, tag_papers
model, table, output, engine = sys.argv[1:5]
marks, output = [], Path(output)
loaded = load_model(model, threads=cores).at_effort(sys.argv[7])
def note(stage, done, total):
    if stage == "Tagging":
        marks.append((time.time(), done))
with ray_cluster(workers=cores) if engine == "ray" else nullcontext():
    chosen = RayEngine(Path(model), cores) if engine == "ray" else None
    if chosen:
        chosen.shard_size = int(sys.argv[6])
    read = read_for_run([table], print, folder=output, engine=chosen)
    tag_papers(read.papers, loaded, output, ReviewRule(), read=read, parts=bool(chosen),
               engine=chosen, progress=note)
print(json.dumps({"seconds": time.time() - began, "marks": marks}))
"""


def make_model(folder: Path, papers: list[Paper]) -> None:
    """Export the bundled encoder, with heads and vocabulary of the usual size that say anything."""
    from tagger.model import DEFAULT_MAX_TOKENS
    from tagger.training import BUNDLED_ENCODER, load_trainable
    from tagger.training.onnx_export import export_onnx

    taxonomy, size = LabelStore(ROOT / "labels").taxonomy, 384
    rng = np.random.default_rng(0)
    encoder = load_trainable(BUNDLED_ENCODER, DEFAULT_MAX_TOKENS)
    export_onnx(encoder, folder, [paper.text for paper in papers])

    lexical = fit_lexical(papers[:150])
    terms = len(lexical.vocabulary)
    heads = [
        Head(
            facet,
            Linear(rng.normal(size=(len(facet.tags), size)), np.zeros(len(facet.tags))),
            Linear(rng.normal(size=(len(facet.tags), terms)), np.zeros(len(facet.tags))),
        )
        for facet in taxonomy.facets
    ]
    vectors = rng.normal(size=(150, size)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    probabilities: dict[str, Floats] = {
        f.name: np.full((150, len(f.tags)), 1 / len(f.tags)) for f in taxonomy.facets
    }
    first: dict[str, Booleans] = {
        f.name: np.tile(np.arange(len(f.tags)) == 0, (150, 1)) for f in taxonomy.facets
    }
    annotated: dict[str, Booleans] = {f.name: np.ones(150, dtype=bool) for f in taxonomy.facets}
    names = tuple(f"paper {n}" for n in range(150))
    found = OutOfFold(np.linspace(0.5, 0.9, 150, dtype=np.float64), probabilities)
    reference = Reference(names, names, vectors, first, annotated, dict.fromkeys(EFFORTS, found))
    calibration = {facet.name: Calibration() for facet in taxonomy.facets}
    threshold = {facet.name: 0.5 for facet in taxonomy.facets}
    save_heads(
        folder,
        taxonomy,
        lexical,
        heads,
        reference,
        max_tokens=256,
        calibrations=dict.fromkeys(TEXT_VIEWS, calibration),
        thresholds=dict.fromkeys(EFFORTS, threshold),
    )


def write_table(path: Path, papers: list[Paper], rows: int) -> Path:
    """Write papers over and over, none like the other."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("title", pa.string()), ("abstract", pa.string()), ("doi", pa.string())])
    with pq.ParquetWriter(path, schema) as file:
        for start in range(0, rows, 8192):
            some = [
                {
                    "title": f"{papers[n % len(papers)].title} {n}",
                    "abstract": f"{papers[n % len(papers)].abstract} {n}",
                    "doi": f"10.5555/{n}",
                }
                for n in range(start, min(start + 8192, rows))
            ]
            file.write_table(pa.Table.from_pylist(some, schema))
    return path


def run(model: Path, table: Path, engine: str, cores: int, rows_per_shard: int, effort: str) -> Run:
    """Tag a table in a process; return seconds, papers a second, peak memory, bytes written."""
    with tempfile.TemporaryDirectory() as scratch:
        arguments = [model, table, scratch, engine, cores, rows_per_shard, effort]
        environment = environment_of_tagger() | {"OMP_NUM_THREADS": "1"}
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", ENGINE, *map(str, arguments)],
                stdout=output,
                env=environment,
            )
            peak = 0.0
            seconds: dict[int, float] = {}
            while process.poll() is None:
                peak = max(peak, look_at(process.pid, seconds))
                time.sleep(0.5)
            assert process.returncode == 0
            output.seek(0)
            said = json.loads(output.read().splitlines()[-1])
        parts = sum(path.stat().st_size for path in Path(scratch).glob("tags/part-*"))
    begin, (first, before), (end, after) = (said["marks"][place] for place in (0, 1, -1))
    found = {
        "engine": engine,
        "cores": cores,
        "seconds": said["seconds"],
        "tagging_seconds": end - begin[0],
        # From the first papers that are done to the last, without starting up.
        "papers_per_second": (after - before) / (end - first),
        "cpu_seconds": sum(seconds.values()),
        "peak_megabytes": peak / 1e6,
        "part_bytes": parts,
    }
    print(json.dumps(found), flush=True)
    return found


def look_at(pid: int, seconds: dict[int, float]) -> float:
    """Note the CPU time of a process and those below it; return the bytes they have alone."""
    total = 0.0
    try:
        main = psutil.Process(pid)
        for process in [main, *main.children(recursive=True)]:
            try:
                times = process.cpu_times()
                seconds[process.pid] = times.user + times.system
                total += process.memory_full_info().uss
            except psutil.Error:
                continue
    except psutil.Error:
        pass
    return total


def main() -> None:
    options = read_options(
        __doc__,
        speed_rows=(10_000, 256),
        overhead_rows=(100_000, 256),
        memory_rows=(MILLION, 10_000),
    )
    papers = digest_papers()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_model(folder / "model", papers)

        def measure(model: str, rows: int, engine: str, cores: int, size: int, effort: str) -> Run:
            table = write_table(folder / f"{rows}.parquet", papers, rows)
            return {"rows": rows, **run(folder / model, table, engine, cores, size, effort)}

        # Small shards, so that both workers end at about the same time.
        size = max(options.speed_rows // 40, 64)
        found["speed"] = [
            measure("model", options.speed_rows, "ray", cores, size, "full") for cores in (1, 2)
        ]
        found["overhead"] = [
            measure("model", options.overhead_rows, engine, 2, RayEngine.shard_size, "low")
            for engine in ("local", "ray")
        ]
        save_tiny_model(folder / "stand-in", LabelStore(ROOT / "labels").taxonomy)
        found["memory"] = [
            measure("stand-in", rows, "ray", 2, RayEngine.shard_size, "full")
            for rows in (10_000, 100_000, MILLION)
            if rows <= options.memory_rows
        ]
    write_result(options, "scale", found, table_of(found))


def table_of(found: dict[str, Any]) -> str:
    """Return the tables, with the sums that follow from them."""
    lines = ["| | rows | cores | whole run | tagging | CPU time | papers/s | peak memory |"]
    lines += ["|---|---|---|---|---|---|---|---|"]

    def line(name: str, one: Run, rate: str = "") -> str:
        return (
            f"| {name} | {one['rows']:,} | {one['cores']} | {one['seconds']:,.0f} s | "
            f"{one['tagging_seconds']:,.0f} s | {one['cpu_seconds']:,.0f} s | "
            f"{rate} | {one['peak_megabytes']:,.0f} MB |"
        )

    one, two = found["speed"]
    # Between the first and the last shard: where there are few shards, it says nothing.
    for name, each in (("Ray, 1 worker", one), ("Ray, 2 workers", two)):
        lines.append(line(name, each, f"{each['papers_per_second']:,.1f}"))
    local, ray = found["overhead"]
    lines += [
        line("this program alone, `--effort low`", local),
        line("Ray, 2 workers, `--effort low`", ray),
    ]
    lines += [line("Ray, 2 workers, stand-in for a model", each) for each in found["memory"]]
    ratio = two["papers_per_second"] / one["papers_per_second"]
    share, work = (ray[key] / local[key] - 1 for key in ("seconds", "cpu_seconds"))
    told = [
        f"Two workers tag {ratio:.2f} times as fast as one. With Ray the whole run takes "
        f"{share:+.1%} time, {work:+.1%} CPU time.",
        *cost_of(two),
    ]
    return "\n".join([*lines, "", *told, "", "Each part one run."])


def cost_of(two: Run) -> list[str]:
    """Work out what a million and 250 million abstracts cost, from what was measured."""
    rate = two["papers_per_second"] / two["cores"]
    hours = MILLION / rate / 3600
    stored = two["part_bytes"] / two["rows"]
    needed = GPU_HOUR / CORE_HOUR * rate
    return [
        "",
        f"- A core tags {two['papers_per_second']:.1f} / {two['cores']} = {rate:.1f} abstracts a "
        f"second, a million in 1,000,000 / {rate:.1f} / 3,600 = {hours:.1f} core-hours; at "
        f"${CORE_HOUR:.2f} a core-hour that is ${hours * CORE_HOUR:.2f} a million.",
        f"- 250 million take 250 x {hours:.1f} = {250 * hours:,.0f} core-hours, "
        f"${250 * hours * CORE_HOUR:,.0f}; on 1,000 cores {250 * hours / 1000:.1f} hours.",
        f"- A GPU at ${GPU_HOUR:.2f} an hour is cheaper if it tags more than "
        f"{GPU_HOUR:.2f} / {CORE_HOUR:.2f} x {rate:.1f} = {needed:,.0f} abstracts a second. "
        "Whether it does was not measured: there was none.",
        f"- A tagged paper takes {stored:.0f} bytes of Parquet, 250 million "
        f"{stored * PAPERS / 1e9:.0f} GB.",
    ]


if __name__ == "__main__":
    main()
