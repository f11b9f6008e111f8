"""Does anything that reads what others wrote crash, hang, or fill the memory?

    python experiments/fuzz.py --inputs 20000 --seed 1
    python experiments/fuzz.py --target "reader: ris" --inputs 100000 --seed 2 --seconds 240
    python experiments/fuzz.py --atheris "reader: ris" --seconds 60

Each target (see fuzz_targets.py) is given small invented samples that were spoiled by chance (see
mutations.py): bytes changed, parts repeated up to 64 KB, JSON with values of wrong types, archives
with members that lie. A :class:`~tagger.errors.TaggerError` is a good end; whatever else is raised,
or ends the process, is a crash. A hang is more than one second of processor time per megabyte of
input, at least one second. A memory excess is a peak of more than 20 times the input beyond 32 MB,
which is what libraries take for themselves.

With ``--atheris``, libFuzzer chooses the inputs by what code they reach; the same changes are its
mutations. Counts of several runs on one state of tagger/ are added up in
experiments/results/fuzz.json and .md, each run with its seed. Inputs that ended badly are kept in
experiments/cache/fuzz.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import mmap
import multiprocessing
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from mutations import spoil, spoil_archive, spoil_json
from record import read_options, read_state, write_result

if TYPE_CHECKING:
    from fuzz_targets import Target

HERE = Path(__file__).parent
KEPT = HERE / "cache" / "fuzz"
FACTOR = 20
FREE_BYTES = 32 * 2**20
SECONDS_PER_MB = 1.0
LEAST_SECONDS = 1.0
PATIENCE = 10
"""How many times the limit a hang in a library's own code may last until the process is ended."""
ADDRESS_SPACE = 4 * 2**30
SLICE = 500
"""Inputs between two reports of a worker."""


class Hang(BaseException):
    """Raised in the middle of whatever takes too long; no ``except Exception`` stops it."""


@dataclass
class Count:
    """What became of the inputs of a target."""

    inputs: int = 0
    crashes: int = 0
    hangs: int = 0
    memory: int = 0
    seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, other: dict[str, Any]) -> None:
        """Add the numbers of another count."""
        for name in ("inputs", "crashes", "hangs", "memory", "seconds"):
            setattr(self, name, getattr(self, name) + other[name])
        for reason, times in other["reasons"].items():
            self.reasons[reason] = self.reasons.get(reason, 0) + times


class Current:
    """The input at hand, in memory that outlives the worker."""

    _HEAD = struct.Struct("=QQd")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4 * 2**20)

    def note(self, number: int, content: bytes) -> None:
        """Say which input comes next."""
        kept = content[: len(self._memory) - self._HEAD.size]
        self._memory[: self._HEAD.size] = self._HEAD.pack(number, len(kept), time.time())
        self._memory[self._HEAD.size : self._HEAD.size + len(kept)] = kept

    @property
    def content(self) -> bytes:
        """The input."""
        _, length, _ = self._HEAD.unpack(self._memory[: self._HEAD.size])
        return self._memory[self._HEAD.size : self._HEAD.size + length]

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return time.time() - float(self._HEAD.unpack(self._memory[: self._HEAD.size])[2])


def generate(random_: random.Random, target: Target) -> bytes:
    """Return a spoiled input for a target."""
    from fuzz_targets import members_of

    sample = random_.choice(target.samples)
    if target.kind == "archive" and random_.random() < 0.9:
        return spoil_archive(random_, members_of(sample))
    if target.kind == "json" and random_.random() < 0.8:
        return json.dumps(spoil_json(random_, json.loads(sample))).encode()
    return spoil(random_, sample, target.samples)


def limit_of(content: bytes) -> float:
    """Return how many seconds of processor time an input may take."""
    return max(LEAST_SECONDS, SECONDS_PER_MB * len(content) / 1e6)


@contextmanager
def watched(content: bytes) -> Iterator[dict[str, bool]]:
    """Note whether the block hangs or takes too much memory."""

    def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise Hang

    signal.signal(signal.SIGPROF, stop)
    found = {"hang": False, "memory": False}
    # The peak begins anew (proc(5), clear_refs).
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    signal.setitimer(signal.ITIMER_PROF, limit_of(content))
    try:
        yield found
    except Hang:
        found["hang"] = True
    except MemoryError:
        found["memory"] = True
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if _memory("VmHWM") - before > FREE_BYTES + FACTOR * len(content):
        found["memory"] = True


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def work(
    name: str, numbers: range, seed: int, until: float, current: Current, results: Connection
) -> None:
    """Try inputs on a target; report after every few hundred."""
    from fuzz_targets import good_ends, make_targets

    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="tagger-fuzz-", dir="/dev/shm") as scratch:
        [target] = [each for each in make_targets(Path(scratch)) if each.name == name]
        for sample in target.samples:
            # With its libraries loaded, and all of it seen once.
            with good_ends():
                target.run(sample)
        resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + ADDRESS_SPACE,) * 2)
        count, begun = Count(), time.perf_counter()
        for number in numbers:
            content = generate(random.Random(f"{seed} {name} {number}"), target)
            current.note(number, content)
            with watched(content) as found:
                try:
                    with good_ends():
                        target.run(content)
                except (Hang, MemoryError):
                    raise
                except BaseException as error:
                    count.crashes += 1
                    _keep(name, content, _reason(error), count, str(error))
            count.inputs += 1
            for kind, counted in (("hang", "hangs"), ("memory", "memory")):
                if found[kind]:
                    setattr(count, counted, getattr(count, counted) + 1)
                    _keep(name, content, kind, count)
            if count.inputs == SLICE or time.time() > until or number == numbers[-1]:
                count.seconds = time.perf_counter() - begun
                results.send((number, vars(count)))
                count, begun = Count(), time.perf_counter()
            if time.time() > until:
                break
    results.send(None)


def _reason(error: BaseException) -> str:
    """Return the exception and where in this project, or else at all, it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/tagger/" in frame.filename or "fuzz_" in frame.filename]
    last = (own or frames)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def _keep(name: str, content: bytes, reason: str, count: Count, message: str = "") -> None:
    count.reasons[reason] = count.reasons.get(reason, 0) + 1
    KEPT.mkdir(parents=True, exist_ok=True)
    plain = "".join(letter if letter.isalnum() else "-" for letter in name)
    stem = hashlib.sha256(f"{name} {reason}".encode()).hexdigest()[:8]
    path = KEPT / f"{plain}-{stem}.bin"
    if not path.exists() or path.stat().st_size > len(content):
        path.write_bytes(content)
        said = f"{name}\n{reason}\n{message}\n".encode("utf-8", "backslashreplace")
        path.with_suffix(".txt").write_bytes(said)


def fuzz(target: str, inputs: int, seed: int, until: float) -> Count:
    """Try inputs on a target in a process of its own, and in a new one when it has ended badly."""
    count, start = Count(), 0
    context = multiprocessing.get_context("fork")
    current = Current()
    while start < inputs and time.time() < until:
        here, there = context.Pipe(duplex=False)
        numbers = range(start, inputs)
        current.note(start, b"")
        worker = context.Process(target=work, args=(target, numbers, seed, until, current, there))
        worker.start()
        there.close()
        ended = _collect(worker, here, current, count)
        if ended is None:
            break
        start = current_number(current) + 1
        count.inputs += 1
        kind = "hangs" if ended == "hang" else "crashes"
        setattr(count, kind, getattr(count, kind) + 1)
        _keep(target, current.content, ended, count)
    return count


def current_number(current: Current) -> int:
    """Return the number of the input at hand."""
    return int(Current._HEAD.unpack(current._memory[: Current._HEAD.size])[0])


def _collect(
    worker: multiprocessing.process.BaseProcess, here: Connection, current: Current, count: Count
) -> str | None:
    """Add up what a worker reports; return how it ended, None if well."""
    ended = None
    while True:
        try:
            if here.poll(0.5):
                message = here.recv()
                if message is None:
                    break
                count.add(message[1])
                continue
        except EOFError:
            worker.join()
            ended = f"the process ended with {worker.exitcode}"
            break
        content = current.content
        if content and current.age > PATIENCE * limit_of(content) + 5:
            worker.kill()
            ended = "hang"
            break
    worker.join()
    return ended


# ------------------------------------------------------------------------------------ libFuzzer


def fuzz_with_atheris(name: str, seconds: int, seed: int) -> Count:
    """Let libFuzzer choose the inputs; it ends the process, so it has one of its own."""
    with tempfile.TemporaryDirectory(prefix="tagger-atheris-") as scratch:
        command = [sys.executable, __file__, "--in-atheris", name, "--seconds", str(seconds)]
        command += ["--seed", str(seed), "--scratch", scratch]
        begun = time.perf_counter()
        log, ended = Path(scratch) / "log", True
        with log.open("wb") as output:
            try:
                subprocess.run(command, stdout=output, stderr=output, timeout=2 * seconds + 120)
            except subprocess.TimeoutExpired:
                ended = False
        count = Count(seconds=time.perf_counter() - begun)
        said = log.read_text(encoding="utf-8", errors="replace")
        # Told at the end, and now and then before.
        for line in re.findall(r"^(?:#|stat::number_of_executed_units: )(\d+)", said, re.M):
            count.inputs = int(line)
        if not ended:
            count.hangs += 1
            count.reasons["libFuzzer did not end"] = 1
        for path in Path(scratch).iterdir():
            if path.name.startswith(("crash-", "timeout-", "oom-", "leak-")):
                kind = {"crash": "crashes", "timeout": "hangs"}.get(
                    path.name.split("-")[0], "memory"
                )
                setattr(count, kind, getattr(count, kind) + 1)
                tail = [line for line in said.splitlines() if "Error" in line][-1:]
                _keep(name, path.read_bytes(), f"{path.name}: {tail}"[:160], count)
        if not count.inputs and not count.reasons:
            sys.exit(f"libFuzzer did not start:\n{said[-2000:]}")
        return count


def run_atheris(name: str, seconds: int, seed: int, scratch: Path) -> None:
    """Run libFuzzer in this process on one target; does not return."""
    import atheris

    with atheris.instrument_imports(include=["tagger"], enable_loader_override=False):
        from fuzz_targets import good_ends, make_targets
    [target] = [each for each in make_targets(_made(scratch / "files")) if each.name == name]
    corpus = _made(scratch / "corpus")
    for number, sample in enumerate(target.samples):
        (corpus / str(number)).write_bytes(sample)
        with good_ends():
            target.run(sample)

    def test_one_input(content: bytes) -> None:
        with good_ends():
            target.run(content)

    def mutate(content: bytes, most: int, number: int) -> bytes:
        random_ = random.Random(number)
        if random_.random() < 0.5 and target.kind != "archive":
            return bytes(atheris.Mutate(content, most))
        if target.kind == "json":
            try:
                return json.dumps(spoil_json(random_, json.loads(content))).encode()[:most]
            except (ValueError, RecursionError):
                pass
        return spoil(random_, content, target.samples)[:most]

    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        "-max_len=65536",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        f"-artifact_prefix={scratch}/",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], test_one_input, custom_mutator=mutate)
    atheris.Fuzz()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


# -------------------------------------------------------------------------------------- results


def record(counts: dict[str, Count], run: dict[str, Any], options: argparse.Namespace) -> None:
    """Add counts to those of earlier runs on this state, and write the table anew."""
    runs, state = [], options.state
    if read_state(options.output, "fuzz").get("tagger") == state["tagger"] is not None:
        runs = json.loads((options.output / "fuzz.json").read_text("utf-8"))["figures"]
    runs.append({**run, "targets": {name: vars(count) for name, count in counts.items()}})
    write_result(options, "fuzz", runs, table(runs))


def table(runs: list[dict[str, Any]]) -> str:
    """Return the sums of all runs as a table."""
    sums: dict[str, Count] = {}
    reached: dict[str, int] = {}
    for run in runs:
        for name, count in run["targets"].items():
            sums.setdefault(name, Count()).add(count)
            if run["chosen by"] == "libFuzzer":
                reached[name] = reached.get(name, 0) + count["inputs"]
    total = Count()
    for count in sums.values():
        total.add(vars(count))
    lines = [
        "| target | inputs | of them chosen by libFuzzer | crashes | hangs | memory excesses "
        "| inputs/s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, count in [*sums.items(), ("**all**", total)]:
        chosen = sum(reached.values()) if count is total else reached.get(name, 0)
        lines.append(
            f"| {name} | {count.inputs:,} | {chosen:,} | {count.crashes} | {count.hangs} "
            f"| {count.memory} | {count.inputs / max(count.seconds, 1e-9):,.0f} |"
        )
    seeds = sorted({run["seed"] for run in runs})
    lines += [
        "",
        f"Added up over {len(runs)} runs with the seeds {', '.join(map(str, seeds))}.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", help="a part of a name; repeatable")
    parser.add_argument("--atheris", metavar="TARGET", help="a part of a name")
    parser.add_argument("--in-atheris", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    given = read_options(parser.description, parser, inputs=(200_000, 1_000), seconds=(900, 60))
    if given.in_atheris:
        run_atheris(given.in_atheris, given.seconds, given.seed, given.scratch)
        return
    from fuzz_targets import make_targets

    with tempfile.TemporaryDirectory(prefix="tagger-fuzz-", dir="/dev/shm") as scratch:
        shares = {target.name: target.share for target in make_targets(Path(scratch))}
    wanted = [given.atheris] if given.atheris else given.target or [""]
    shares = {name: share for name, share in shares.items() if any(part in name for part in wanted)}
    begun, counts = time.time(), {}
    for place, (name, share) in enumerate(shares.items()):
        if given.atheris:
            counts[name] = fuzz_with_atheris(name, given.seconds // len(shares), given.seed)
        else:
            left = begun + given.seconds - time.time()
            # Time that a target leaves is for those after it.
            weight = share / sum(list(shares.values())[place:])
            until = time.time() + left * max(weight, 1 / (len(shares) - place))
            inputs = max(given.inputs * share // sum(shares.values()), 1)
            counts[name] = fuzz(name, inputs, given.seed, until)
        count = counts[name]
        print(
            f"{name:28} {count.inputs:8,} inputs {count.crashes:4} crashes {count.hangs:4} hangs "
            f"{count.memory:4} memory {count.inputs / max(count.seconds, 1e-9):8,.0f}/s",
            flush=True,
        )
        for reason, times in sorted(count.reasons.items(), key=lambda each: -each[1])[:8]:
            print(f"    {times:5} {reason}", flush=True)
    bad = sum(count.crashes + count.hangs + count.memory for count in counts.values())
    run = {
        "seed": given.seed,
        "chosen by": "libFuzzer" if given.atheris else "chance",
        "started": time.strftime("%Y-%m-%d %H:%M", time.gmtime(begun)),
    }
    record({name: count for name, count in counts.items() if count.inputs}, run, given)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
