"""Is anything lost when a command is killed? Kills every command, again and again, and looks.

Each command is first run undisturbed in a small workspace with invented papers. Then, again and
again in a fresh copy: it is started, killed with SIGKILL, what it left is looked at (does every
file parse, is every label there once, does the champion load), and it is run once more, after
which everything has to be as after the undisturbed run:

    python experiments/kills.py --kills 500

Half of the kills come at moments drawn by chance, half right before a step that writes: opening a
file to write, fsync, a rename or deletion, a statement that changes the database, its commit, a
request to Label Studio.
Processes are forked from one that has the libraries loaded already, for starting Python takes
longer than most commands. In place of the bundled encoder there is one of a few thousand weights
that knows a few words, in place of Label Studio fake_label_studio.py.

Prints a table, writes experiments/results/kills.md and .json; the exit code is 1 if anything was
lost, doubled, torn or different. With ``--jobs`` several workspaces are at work at the same time.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

from invented_workspace import KIND, save_encoder, write_workspace
from record import read_options, write_result
from workspace_state import examine, tasks_of

QUICK_CASES = ("review pull", "tag by definitions", "taxonomy rename", "init")
QUICK = ("--epochs", "1", "--folds", "2", "--max-tokens", "32")
PUSH = ("review", "push", "monday.txt", "tuesday.txt", "--budget", "40")
TAG = ("tag", "monday.txt", "tuesday.txt", "library.bib", "--output", "tagged")
COLLECT = ("tag", "tuesday.txt", "library.bib", "--into", "papers.sqlite", "--model", "labels")
DEFINITIONS = ("--definition", "trial=Patients are assigned.", "--definition", "cohort=Followed.")
LONGEST = 120.0
"""Seconds after which a run that was not killed counts as hanging."""


LIBRARIES = (
    "bibtexparser",
    "label_studio_sdk.actions.client",
    "label_studio_sdk.client",
    "label_studio_sdk.projects.client_ext",
    "label_studio_sdk.tasks.client_ext",
    "label_studio_sdk.tokens.client_ext",
    "label_studio_sdk.users.client",
    "label_studio_sdk.views.client",
    "nltk",
    "psutil",
    "sentence_transformers",
    "sqlalchemy",
    "tagger.cli",
    "tagger.model.zero_shot",
    "tagger.review.push",
    "tagger.tagging.run",
)
LIBRARIES_OF_VERSIONS = (
    "cleanlab.classification",
    "cleanlab.filter",
    "datasets",
    "matplotlib.pyplot",
    "mlflow",
    "mlflow.data.pandas_dataset",
    "mlflow.pyfunc",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "onnx",
    "onnxruntime",
    "pyarrow.parquet",
    "scipy.stats",
    "sklearn.linear_model",
    "tagger.registry.training_run",
    "tagger.training.run",
    "torch.onnx",
)


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Parameters
    ----------
    name:
        What it is called in the table.
    arguments:
        Of ``tagger``.
    base:
        The workspace that it runs in: ``new``, with labels and pages only; ``reviewed``, with
        answers that came home and others that wait; ``used``, with three versions and tagged papers
        as well.
    share:
        How many of the kills it gets, beside the others.
    step:
        Whether each call goes one step further: such a command is not given again once its work
        is done.
    """

    name: str
    arguments: tuple[str, ...]
    base: str = "used"
    share: float = 1.0
    step: bool = False


CASES = (
    Case("history, which makes the store", ("history",), "new", 0.8),
    Case("train, the first", ("train", *QUICK, "--if-changed"), "new", 0.4),
    Case("train", ("train", *QUICK, "--seed", "3", "--if-changed"), share=0.4),
    Case("promote", ("promote", "--force", "it reads better")),
    Case("rollback", ("rollback", "--reason", "too many surveys"), step=True),
    Case("tag", (*TAG, "--write", "parquet", "--write", "dataset"), share=1.5),
    Case("tag by definitions", (*TAG, "--model", "labels"), "reviewed"),
    Case("tag into a library", (*COLLECT, "--date", "2026-01-05"), "reviewed"),
    Case("review push, the first", (*PUSH, "--project", "another one")),
    Case("review push", PUSH, share=1.5),
    Case("review pull", ("review", "pull"), "reviewed", 1.5),
    Case("labels audit", ("labels", "audit", "--recheck", "--min-confidence", "0.5")),
    Case("taxonomy rename", ("taxonomy", "rename", "field/law", "legal", "--yes"), "reviewed"),
    Case(
        "taxonomy split",
        ("taxonomy", "split", "kind/study", "--into", "trial", "cohort", *DEFINITIONS, "--yes"),
        "reviewed",
    ),
    Case(
        "taxonomy retire",
        ("taxonomy", "retire", "kind/study", "--into", "method", "--yes"),
        "reviewed",
    ),
    Case("init", ("init", "mine", "--template", "medicine", "--digest", "monday.txt"), "new"),
    Case("discover", ("discover", "monday.txt", "--facet", "kind")),
)


@dataclass
class Outcome:
    """What became of the kills of one command."""

    command: str
    kills: int = 0
    at_writes: int = 0
    equal: int = 0
    labels_lost: int = 0
    labels_doubled: int = 0
    torn_files: int = 0
    champions_that_do_not_load: int = 0
    seconds: float = 0.0
    remarks: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing was lost."""
        harm = (
            self.labels_lost,
            self.labels_doubled,
            self.torn_files,
            self.champions_that_do_not_load,
        )
        return not any(harm) and self.equal == self.kills


# Processes.


def forked(work: Callable[[], int]) -> int:
    """Do something in a child process, in a group of its own, and return the child's number."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        with suppress(OSError):
            os.setpgid(child, child)
        return child
    code = 70
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def ended(child: int, seconds: float) -> int | None:
    """Wait for a child; return its exit code (negative: a signal), or None if it goes on."""
    deadline = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(left, 0.002))


def killed(child: int) -> None:
    """Kill a child and all that it has started."""
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)


def before_each_write(root: Path, act: Callable[[], None]) -> None:
    """Have a function called before each step that writes below a folder, or to Label Studio."""
    import httpx
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    beginning = str(root)
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    busy = threading.local()

    def point() -> None:
        if not getattr(busy, "now", False):
            busy.now = True
            act()
            busy.now = False

    def hook(name: str, given: tuple[Any, ...]) -> None:
        if name == "open":
            concerned = isinstance(given[2], int) and given[2] & writing
        else:
            concerned = name in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
        if not concerned or not isinstance(given[0], str | bytes | os.PathLike):
            return
        # Not made real, for that would ask the file system, and so come back here.
        if str(Path.cwd() / os.fsdecode(given[0])).startswith(beginning):
            point()

    def preceded(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            point()
            return function(*given, **named)

        return call

    sys.addaudithook(hook)
    os.fsync = preceded(os.fsync)
    httpx.Client.send = preceded(httpx.Client.send)  # type: ignore[method-assign]
    event.listen(Engine, "commit", lambda connection: point())

    def before_statement(_connection: Any, _cursor: Any, statement: str, *_given: Any) -> None:
        if not statement.lstrip().startswith(("SELECT", "PRAGMA")):
            point()

    event.listen(Engine, "before_cursor_execute", before_statement)

    class Library(sqlite3.Connection):
        def execute(self, statement: str, *given: Any) -> sqlite3.Cursor:
            before_statement(None, None, statement)
            return super().execute(statement, *given)

    sqlite3.connect = partial(sqlite3.connect, factory=Library)  # type: ignore[assignment]


# The workspace, and what is seen in it.


class _Stopped(datetime):
    """A clock that does not go on: files of a run hold its moment, and are compared."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2026, 1, 1, tzinfo=UTC).astimezone(tz)


class Bench:
    """A workspace that is put back to where it was, and the commands that run in it."""

    def __init__(self, root: Path, encoder: Path, server: str) -> None:
        self.root = root
        self.workspace = root / "workspace"
        self.scratch = root / "scratch"
        self.encoder = encoder
        self.server = server

    def keep(self, base: str) -> None:
        """Keep the workspace as it is now under a name."""
        shutil.copytree(self.workspace, self.root / base)
        (self.root / f"{base}.json").write_text(json.dumps(self.tasks()), encoding="utf-8")

    def put_back(self, base: str) -> None:
        """Make the workspace what it was when it was kept."""
        shutil.rmtree(self.workspace, ignore_errors=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        artifacts = str(self.root / base / "mlruns" / "artifacts")

        def copy(source: str, target: str) -> None:
            # Artifacts are never changed: what was, would be found out in the next round.
            (os.link if source.startswith(artifacts) else shutil.copy2)(source, target)

        shutil.copytree(self.root / base, self.workspace, copy_function=copy)
        self.set_tasks(json.loads((self.root / f"{base}.json").read_text(encoding="utf-8")))

    def tasks(self) -> dict[str, Any]:
        """Return what Label Studio holds."""
        with urllib.request.urlopen(f"{self.server}/state") as answer:
            content: dict[str, Any] = json.load(answer)
        return content

    def set_tasks(self, state: dict[str, Any]) -> None:
        """Replace what Label Studio holds."""
        request = urllib.request.Request(
            f"{self.server}/state", json.dumps(state).encode(), method="PUT"
        )
        urllib.request.urlopen(request).close()

    def start(self, arguments: tuple[str, ...], kill_at: int | None = None) -> int:
        """Start a command and return its process; ``kill_at`` has it killed before that write.

        The number of writes is left in a file when it ends.
        """
        return forked(partial(self._run, arguments, kill_at))

    def finish(self, arguments: tuple[str, ...]) -> int:
        """Run a command to its end, and return the exit code."""
        child = self.start(arguments)
        code = ended(child, LONGEST)
        if code is None:
            killed(child)
            raise RuntimeError(f"{arguments} hangs")
        return code

    def writes(self) -> int:
        """Return how many steps of the last command wrote something."""
        return int((self.root / "writes").read_text())

    def said(self) -> str:
        """Return the last lines that the last command printed."""
        return (self.root / "said").read_text(errors="replace").strip()[-600:]

    def look(self, known: dict[str, Any] | None = None, whole: bool = True) -> dict[str, Any]:
        """Look at the workspace in a process of its own, see :func:`examine`."""
        found = self.root / "found.json"
        found.unlink(missing_ok=True)

        def work() -> int:
            os.chdir(self.workspace)
            seen = examine(self.workspace, known, whole)
            found.write_text(json.dumps(seen), encoding="utf-8")
            return 0

        code = ended(forked(work), LONGEST)
        if code != 0:
            raise RuntimeError(f"the workspace cannot be looked at ({code})")
        return {**json.loads(found.read_text(encoding="utf-8")), "tasks": tasks_of(self.tasks())}

    def _run(self, arguments: tuple[str, ...], kill_at: int | None) -> int:
        import tagger.cli
        import tagger.training.pretrained

        os.chdir(self.workspace)
        out = os.open(self.root / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, stream in enumerate((nothing, out, out)):
            os.dup2(stream, number)
        os.environ.update(
            TAGGER_CACHE=str(self.workspace / "cache"),
            TMPDIR=str(self.scratch),
            LABEL_STUDIO_URL=self.server,
            LABEL_STUDIO_API_KEY="a-key",
        )
        tempfile.tempdir = str(self.scratch)
        tagger.training.pretrained.bundled_encoder_folder = lambda: self.encoder
        patch("tagger.tagging.run.datetime", _Stopped).start()
        count = 0

        def act() -> None:
            nonlocal count
            if count == kill_at:
                os.killpg(0, signal.SIGKILL)
            count += 1

        before_each_write(self.workspace, act)
        sys.argv = ["tagger", *arguments]
        code = 0
        try:
            tagger.cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        (self.root / "writes").write_text(str(count))
        return code


# Kills.


def prepare(bench: Bench, bases: set[str]) -> None:
    """Make the workspaces that commands run in."""
    write_workspace(bench.workspace)
    bench.scratch.mkdir()
    bench.keep("new")
    if "reviewed" in bases:
        push_and_answer(bench, "--model", "labels")
        answer_again(bench)
        monday = ("monday.txt", "--date", "2025-12-29", "--model", "labels")
        must(bench, ("tag", *monday, "--into", "papers.sqlite"))
        bench.keep("reviewed")
    if "used" in bases:
        bench.put_back("new")
        must(bench, ("train", *QUICK))
        must(bench, ("train", *QUICK, "--seed", "1"))
        must(bench, ("promote", "--force", "it is newer"))
        must(bench, ("tag", "monday.txt", "--output", "tagged", "--write", "dataset"))
        push_and_answer(bench)
        must(bench, ("train", *QUICK, "--seed", "2"))
        answer_again(bench)
        bench.keep("used")


def push_and_answer(bench: Bench, *options: str) -> None:
    """Send papers to Label Studio, answer some, and bring the answers home."""
    must(bench, ("review", "push", "monday.txt", "--budget", "30", *options))
    answer(bench, range(12), "2026-02-01T10:00:00Z", KIND[0])
    must(bench, ("review", "pull"))


def answer_again(bench: Bench) -> None:
    """Give new answers, change some, and delete one."""
    answer(bench, range(8, 20), "2026-02-02T10:00:00Z", KIND[1])
    state = bench.tasks()
    next(iter(state["tasks"].values()))["annotations"].clear()
    bench.set_tasks(state)


def must(bench: Bench, arguments: tuple[str, ...]) -> None:
    if bench.finish(arguments) != 0:
        raise RuntimeError(f"{arguments}: {bench.said()}")


def answer(bench: Bench, places: range, updated: str, kind: str) -> None:
    """Answer some of the tasks, as a reviewer does."""
    state = bench.tasks()
    tasks = [*state["tasks"].values()]
    for place in places:
        choice = {"from_name": "kind", "to_name": "Paper", "type": "choices"}
        tasks[place]["annotations"] = [
            {
                "id": place,
                "unique_id": f"annotation-{place}",
                "was_cancelled": False,
                "completed_by": 1,
                "updated_at": updated,
                "lead_time": 3.0,
                "result": [{**choice, "value": {"choices": [kind]}}],
            }
        ]
    bench.set_tasks(state)


def kill_again_and_again(bench: Bench, case: Case, kills: int, chance: random.Random) -> Outcome:
    """Kill a command a number of times and see what becomes of it."""
    begin = time.monotonic()
    outcome = Outcome(case.name)
    bench.put_back(case.base)
    before = bench.look()
    start = time.monotonic()
    code = bench.finish(case.arguments)
    length = time.monotonic() - start
    writes = bench.writes()
    wanted = bench.look()
    if code not in (0, 1) or wanted["torn"] or wanted["champion"]:
        raise RuntimeError(f"{case.name}, undisturbed: {code} {bench.said()} {wanted['torn']}")
    at_writes = min(writes, (kills + 1) // 2)
    # Evenly over all steps, so that few kills, too, reach the last ones.
    places = [int((n + chance.random()) * writes / at_writes) for n in range(at_writes)]
    plan: list[int | None] = [*places, *[None] * (kills - at_writes)]
    while plan:
        place = plan.pop()
        bench.put_back(case.base)
        child = bench.start(case.arguments, place)
        if place is None:
            moment = f"after {(wait := chance.uniform(0, length)):.3f} s"
            if ended(child, wait) is not None:
                # It was quicker than the undisturbed run: another moment.
                plan.append(None)
                continue
            killed(child)
        else:
            moment = f"before write {place} of {writes}"
            if ended(child, LONGEST) != -signal.SIGKILL:
                plan.append(None)
                continue
        outcome.kills += 1
        outcome.at_writes += place is not None
        time.sleep(0.02)  # A request that is under way is answered all the same.
        left = bench.look(before, whole=case.step)
        note(outcome, left, moment)
        if not (case.step and same(left, wanted)):
            bench.finish(case.arguments)
        after = bench.look(before)
        note(outcome, after, f"{moment}, run again")
        if same(after, wanted) and not after["torn"] and not after["champion"]:
            outcome.equal += 1
        else:
            outcome.remarks.append(
                f"{moment}: {difference(after, wanted)}; it said: {bench.said()[-200:]}"
            )
    outcome.seconds = round(time.monotonic() - begin, 1)
    return outcome


def note(outcome: Outcome, seen: dict[str, Any], moment: str) -> None:
    """Count what is wrong in a workspace."""
    outcome.torn_files += len(seen["torn"])
    outcome.labels_lost += len(seen["lost"])
    outcome.labels_doubled += len(seen["doubled"])
    outcome.champions_that_do_not_load += seen["champion"] is not None
    for name in ("torn", "lost", "doubled", "champion"):
        if seen[name]:
            outcome.remarks.append(f"{moment}: {name}: {str(seen[name])[:300]}")


COMPARED = ("files", "versions", "tasks")


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether two workspaces amount to the same."""
    return all(one[name] == other[name] for name in COMPARED)


def difference(after: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Say in what a workspace is not what it should be."""
    said = []
    for name in COMPARED:
        for key in sorted({*after[name], *wanted[name]}):
            if after[name].get(key) != wanted[name].get(key):
                now, then = (str(side[name].get(key))[:150] for side in (after, wanted))
                said.append(f"{name} {key}: {now} in place of {then}")
    return "; ".join(said)[:900]


def table(outcomes: list[Outcome]) -> str:
    """Draw the outcomes as a table."""
    lines = [
        "| command | kills | before a write | equal when run again | labels lost | doubled "
        "| torn files | champions that do not load |",
        "|---|---|---|---|---|---|---|---|",
    ]
    total = replace(together(outcomes), command="all")
    for outcome in [*outcomes, total]:
        cells = (
            outcome.command,
            outcome.kills,
            outcome.at_writes,
            outcome.equal,
            outcome.labels_lost,
            outcome.labels_doubled,
            outcome.torn_files,
            outcome.champions_that_do_not_load,
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill every command and see what is lost.")
    parser.add_argument("--only", action="append", help="a command of the table; repeatable")
    parser.add_argument("--jobs", type=int, default=1, help="how many at the same time")
    parser.add_argument("--seed", type=int, default=0)
    options = read_options(parser.description, parser, kills=(500, 16))
    only = options.only or (QUICK_CASES if options.quick else ())
    cases = [case for case in CASES if not only or case.name in only]
    begin = time.monotonic()
    load_libraries(any(case.base == "used" for case in cases))
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        root = Path(scratch).resolve()
        ended(forked(lambda: bool(save_encoder(root)) - 1), LONGEST)
        children = [
            forked(partial(work_off, root, job, cases, options)) for job in range(options.jobs)
        ]
        try:
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        except BaseException:
            for child in children:
                with suppress(OSError):
                    os.killpg(child, signal.SIGKILL)
            raise
        if any(codes):
            return 70
        found = [
            [Outcome(**content) for content in json.loads((root / f"{job}.json").read_text())]
            for job in range(options.jobs)
        ]
    outcomes = [together(parts) for parts in zip(*found, strict=True)]
    minutes = (time.monotonic() - begin) / 60
    drawn = f"{table(outcomes)}\nOne run of {minutes:.0f} minutes."
    write_result(options, "kills", [asdict(outcome) for outcome in outcomes], drawn)
    return 0 if all(outcome.well for outcome in outcomes) else 1


def work_off(root: Path, job: int, cases: list[Case], options: argparse.Namespace) -> int:
    """Do one job's share of the kills, and leave what came of them in a file."""
    server, url = start_server()
    try:
        folder = root / f"job-{job}"
        folder.mkdir()
        bench = Bench(folder, root / "encoder", url)
        prepare(bench, {case.base for case in cases})
        shares = sum(case.share for case in cases) * options.jobs
        outcomes = []
        for case in cases:
            kills = max(ceil(options.kills * case.share / shares), 2)
            chance = random.Random(f"{options.seed} {job} {case.name}")
            done = kill_again_and_again(bench, case, kills, chance)
            outcomes.append(asdict(done))
            print(f"{done.command}: {done.equal} of {done.kills} equal, {done.seconds} s")
            for remark in done.remarks[:20]:
                print(f"  {remark}")
            sys.stdout.flush()
        (root / f"{job}.json").write_text(json.dumps(outcomes), encoding="utf-8")
    finally:
        server.kill()
        server.wait()
    return 0


def together(parts: Sequence[Outcome]) -> Outcome:
    """Add up outcomes, of several jobs or of several commands."""
    total = Outcome(parts[0].command)
    for part in parts:
        for name, value in asdict(part).items():
            if name != "command":
                setattr(total, name, getattr(total, name) + value)
    return total


def start_server() -> tuple[subprocess.Popen[bytes], str]:
    """Start the stand-in for Label Studio; return its process and address."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(__file__).with_name("fake_label_studio.py")
    server = subprocess.Popen([sys.executable, str(script), str(port)])
    url = f"http://127.0.0.1:{port}"
    for _ in range(200):
        with suppress(OSError):
            urllib.request.urlopen(f"{url}/state").close()
            return server, url
        time.sleep(0.05)
    raise RuntimeError("the stand-in for Label Studio does not answer")


def load_libraries(versions: bool) -> None:
    """Load what commands load, with or without versions, so that each of them starts at once."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    # A thread that is there when a process is forked is not there in the fork.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    for name in (*LIBRARIES, *(LIBRARIES_OF_VERSIONS if versions else ())):
        __import__(name)
    gc.collect()
    # What is never looked at again is not copied into each child.
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
