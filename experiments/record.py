"""What all experiments share: the options, the folders, and results that say what they are of."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import platform
import runpy
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from tagger.papers import Paper, merge_duplicates, read_papers

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
RESULTS = Path(__file__).parent / "results"
IMPORTS = Path(__file__).parent / "imports"
"""The folder of a module that notes what a process imports."""
READERS = "papers/readers"
"""The folder of ``tagger/`` whose work is recorded by what it gives, see :func:`papers_read`."""
SCRATCH = Path(tempfile.gettempdir()) / "tagger-experiments"
"""Where results and caches of ``--quick`` go."""
INSTRUCTIONS = {"avx512_vnni": "AVX-512 with VNNI", "avx512f": "AVX-512", "avx2": "AVX2"}
"""What Linux calls the instructions that the speed of an encoder depends on, best first."""

# Not what getrusage says: that counts what the parent had when it started the process.
REPORT_PEAK = r"""
import atexit, re, sys
pattern, file = r"VmHWM:\s+(\d+) kB", "/proc/self/status"
atexit.register(lambda: print(re.search(pattern, open(file).read())[1], file=sys.stderr))
"""


def read_options(
    description: str | None,
    parser: ArgumentParser | None = None,
    in_process: bool = False,
    **sizes: tuple[float, float],
) -> Namespace:
    """Read the command line of an experiment, and make the folder of its results.

    Parameters
    ----------
    description:
        What ``--help`` prints.
    parser:
        A parser with options that only this experiment has.
    in_process:
        Whether the experiment runs no command of tagger: its result then depends not on the files
        of the readers, but on the papers that they give.
    sizes:
        Numbers that say how much is measured: the usual one, and the one of ``--quick``. Each
        becomes an option.

    Returns
    -------
    The options, with ``output`` and ``cache`` (folders), ``sizes`` (the values of these numbers),
    and ``state``, see :func:`state_of`.
    """
    parser = parser or ArgumentParser()
    parser.description, parser.formatter_class = description, RawDescriptionHelpFormatter
    quick = "the least work that shows that it runs; the result goes into a scratch folder"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--output", type=Path, help="folder of the result")
    for name, (usual, least) in sizes.items():
        told = f"{usual:,}, with --quick {least:,}"
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(usual), help=told)
    options = parser.parse_args()
    for name, pair in sizes.items():
        if getattr(options, name) is None:
            setattr(options, name, pair[options.quick])
    options.sizes = [getattr(options, name) for name in sizes]
    options.output = options.output or (SCRATCH / "results" if options.quick else RESULTS)
    options.cache = (SCRATCH if options.quick else Path(__file__).parent) / "cache"
    options.output.mkdir(parents=True, exist_ok=True)
    options.state, options.in_process = state_of(Path(sys.argv[0])), in_process
    note_imports()
    if options.quick:
        # A process for each encoder would take longer to start than the training.
        os.environ.setdefault("TAGGER_JOBS", "1")
    return options


def part(options: Namespace, name: str, measure: Callable[[], object]) -> Any:
    """Measure a part of an experiment once for each state and sizes, also if it was interrupted.

    The figures are returned as JSON has them, with names as keys.
    """
    state = options.state
    key = "-".join(map(str, (state["tagger"], state["script"], *options.sizes)))
    path = options.cache / "parts" / key / f"{name}.json"
    if not (state["tagger"] and path.exists()):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(measure()), encoding="utf-8")
        unfinished.replace(path)
    figures = json.loads(path.read_text(encoding="utf-8"))
    print(name, json.dumps(figures), flush=True)
    return figures


def write_result(options: Namespace, name: str, figures: object, table: str) -> None:
    """Write ``NAME.json``, with the state that was measured, and the table ``NAME.md``."""
    state = {**options.state, "files": loaded_files(options.in_process)}
    state["folders"] = tagger_folders(state["files"])
    if options.in_process:
        state |= {"in_process": True, "papers": papers_read()}
    content = json.dumps({"state": state, "figures": figures}, indent=1)
    (options.output / f"{name}.json").write_text(content + "\n", encoding="utf-8")
    (options.output / f"{name}.md").write_text(table.rstrip() + "\n", encoding="utf-8")
    print(table, flush=True)


def read_state(folder: Path, name: str) -> dict[str, Any]:
    """Return the recorded state of a result; empty if there is none, as before it was recorded."""
    path = folder / f"{name}.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    state = content.get("state", {}) if isinstance(content, dict) else {}
    return state if isinstance(state, dict) else {}


def state_of(script: Path) -> dict[str, Any]:
    """Return what a result depends on: tagger/, the script, the machine; and the time."""
    return {
        "tagger": tagger_tree(),
        "folders": tagger_folders(),
        "script": hashlib.sha256(script.read_bytes()).hexdigest()[:16],
        "commit": _git("rev-parse", "--short", "HEAD"),
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def note_imports() -> None:
    """Let this process and all that it starts note the modules of tagger that they import."""
    descriptor, os.environ["TAGGER_IMPORTS"] = tempfile.mkstemp(prefix="tagger-imports-")
    os.close(descriptor)
    path, owner = Path(os.environ["TAGGER_IMPORTS"]), os.getpid()
    atexit.register(lambda: path.unlink() if os.getpid() == owner else None)  # not a fork of it
    paths = filter(None, (os.environ.get("PYTHONPATH"), str(IMPORTS)))
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    runpy.run_path(str(IMPORTS / "sitecustomize.py"))


def environment_of_tagger() -> dict[str, str]:
    """Return the environment of a process that runs this checkout, without caches and servers."""
    return {
        **{name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"},
        "TAGGER_CACHE": "off",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{IMPORTS}",
    }


def run_python(code: str, *words: str) -> tuple[str, float]:
    """Run code in a process; return what it prints, and its peak memory in megabytes.

    ``words`` are its arguments. Raises a CalledProcessError if it fails.
    """
    command = [sys.executable, "-c", REPORT_PEAK + code, *words]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment_of_tagger()
    )
    return done.stdout, int(done.stderr.split()[-1]) * 1024 / 1e6


def tagger_tree() -> str | None:
    """Return the hash of ``tagger/`` in git; None without git or with changes not committed."""
    if _git("status", "--porcelain", "--", "tagger") != "":
        return None
    return _git("rev-parse", "HEAD:tagger")


@cache
def _tagger_files() -> list[str]:
    """List the files of ``tagger/`` in git with their hashes; empty without git."""
    return (_git("ls-tree", "-r", "HEAD:tagger") or "").splitlines()


def tagger_folders(files: Collection[str] | None = None) -> dict[str, str]:
    """Return a hash of the files in each folder of ``tagger/`` in git, of ``files`` if given."""
    folders: dict[str, list[str]] = {}
    for line in _tagger_files():
        name = line.partition("\t")[2]
        if files is None or name in files:
            folders.setdefault(str(Path(name).parent), []).append(line)
    return {
        name: hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
        for name, lines in folders.items()
    }


def loaded_files(but_readers: bool = False) -> list[str]:
    """Return the files of ``tagger/`` that this process, and those it started, have used.

    Lists the imported modules, the data files in their packages, such as templates, and the model
    that ships. With ``but_readers``, leaves out the modules of the readers.
    """
    root = ROOT / "tagger"
    noted = Path(os.environ["TAGGER_IMPORTS"]).read_text(encoding="utf-8").split()
    names = {name for name in (*sys.modules, *noted) if name.partition(".")[0] == "tagger"}
    modules = {ROOT / name.replace(".", "/") for name in names}
    modules = {path / "__init__" if path.is_dir() else path for path in modules}
    used = [path.with_suffix(".py") for path in modules]
    for path in root.rglob("*"):
        package = next(each for each in path.parents if (each / "__init__.py").exists())
        if path.suffix not in (".py", ".pyc") and package / "__init__" in modules:
            used.append(path)
    found = sorted(path.relative_to(root) for path in used if path.is_file())
    return [str(path) for path in found if not (but_readers and str(path.parent) == READERS)]


def changed_since(state: dict[str, Any]) -> list[str]:
    """Return the folders of ``tagger/`` that a result used and that have changed since.

    The files that it used count; of the readers, if it ran no command, only what they give on the
    data sets.
    """
    present = tagger_folders(state.get("files"))
    folders = state.get("folders", {}) if state.get("tagger") else {}
    if not folders:
        return sorted(present)
    changed = {name for name, value in folders.items() if present.get(name) != value}
    if state.get("in_process") and state.get("papers") != papers_read():
        changed.add(READERS)
    return sorted(changed)


def published_papers() -> list[Paper]:
    """Read the distinct papers of the real digests and of the labelled sets."""
    files = [
        *sorted((SHARED / "digests").glob("*.txt")),
        *sorted((SHARED / "gold").glob("*.jsonl")),
    ]
    return merge_duplicates(read_papers(files))


@cache
def papers_read() -> str | None:
    """Return a hash of the papers that the readers give on the data sets; None without these."""
    if not SHARED.exists():
        return None
    rows = [[paper.id, paper.title, paper.abstract] for paper in published_papers()]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def machine() -> str:
    """Describe the machine in a few words."""
    information = Path("/proc/cpuinfo")
    flags = information.read_text(encoding="utf-8").split() if information.exists() else []
    found = next((f" ({name})" for flag, name in INSTRUCTIONS.items() if flag in flags), "")
    return (
        f"{os.cpu_count()} cores, {platform.machine()}{found}, Python {platform.python_version()}"
    )
