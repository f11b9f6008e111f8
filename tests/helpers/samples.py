"""Small files for tests: digest pages, label lines, taxonomies; and the command line on them."""

import contextlib
import io
import json
import logging
import os
import re
import shlex
import subprocess
import sys
import traceback
from pathlib import Path
from unittest import mock

import pytest

from tagger.cli import main
from tagger.labels import Label
from tagger.taxonomy import Taxonomy

_FOR_A_SHELL = re.compile(r"[<>|&;$*`]")
QUICK = ("--epochs", 1, "--folds", 2, "--max-tokens", 32)
"""Options of the quickest training there is."""
TAGGER = Path(sys.executable).with_name("tagger")
ABSTRACT = (
    "We present something that is long enough to be taken for an abstract by the reader of "
    "digest pages. It has two sentences and names nothing real."
)


def page(*titles, header="new\n\nSubscribe\n\nMar 12\n\n"):
    """Write a digest page with the given titles, each with an abstract of its own."""
    entries = [f"{title}\n\nOn {title.lower()}: {ABSTRACT}" for title in titles]
    return header + "\n\n".join(entries)


def label_line(title, **changes):
    """Write one line of a label file."""
    label = {
        "title": title,
        "text": f"A text on {title}.",
        "tags": {"kind": ["method"], "field": []},
        "annotator": "ann",
        "time": "2026-01-01T00:00:00Z",
        "source": "seed",
    }
    return json.dumps({**label, **changes})


def label_of(title, **changes):
    """Return a label, as :func:`label_line` writes it."""
    return Label.model_validate_json(label_line(title, **changes))


def small_taxonomy():
    """One exclusive facet, and one facet with a nested tag."""
    kinds = {"survey": "Looks back.", "method": "Something new.", "study": "Asks a question."}
    kind = [{"name": name, "definition": text} for name, text in kinds.items()]
    field = [
        {"name": "health", "definition": "Health."},
        {"name": "heart", "definition": "The heart.", "parent": "health"},
        {"name": "law", "definition": "Law."},
    ]
    facets = [
        {"name": "kind", "definition": "What it is.", "exclusive": True, "tags": kind},
        {"name": "field", "definition": "What it is about.", "tags": field},
    ]
    return Taxonomy.model_validate({"name": "small", "facets": facets})


def write_taxonomy(folder, taxonomy):
    """Write a taxonomy as YAML, of which JSON is a part."""
    (folder / "taxonomy.yaml").write_text(taxonomy.model_dump_json(indent=1), encoding="utf-8")


def write_labels(folder, taxonomy, fields=(["heart"], ["law"], [])):
    """Write a label folder with twelve seed labels; each of the fields goes to three in turn."""
    folder.mkdir(parents=True)
    write_taxonomy(folder, taxonomy)
    kinds = ["survey", "method", "study"]
    lines = [
        label_line(
            f"Title {n}", tags={"kind": [kinds[n % 3]], "field": fields[n // 3 % len(fields)]}
        )
        for n in range(12)
    ]
    (folder / "seed.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def add_audit(folder, count, **changes):
    """Give a label folder an audit sample of so many methods, and return it."""
    lines = [
        label_line(f"New {n}", source="review", queue="audit", **changes) for n in range(count)
    ]
    (folder / "corrections.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


class Terminal(io.StringIO):
    """What a person types, to stand in for ``sys.stdin``."""

    def isatty(self):
        return True


def contents(folder):
    """Return the content of each file of a folder but locks."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".lock"}


def json_lines(path):
    """Return the objects of a file of JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def start(place, *arguments, **options):
    """Start the command line in a place, in a process of its own that remembers no vector."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    environment = shell_environment(TAGGER_CACHE="off")
    return subprocess.Popen(
        [TAGGER, *map(str, arguments)], cwd=place, env=environment, text=True, **pipes
    )


def run(*arguments, cwd=None, code=None, store=""):
    """Run the command line in this process, as libraries take seconds to load.

    It uses the MLflow store of the folder ``cwd`` if no other is given, and must end with an exit
    code if one is given.
    """
    with mock.patch.dict(os.environ):
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        if store:
            os.environ["MLFLOW_TRACKING_URI"] = store
        done = _in_this_process([str(TAGGER), *map(str, arguments)], cwd or Path.cwd())
    assert code in (None, done.returncode), done.stdout + done.stderr
    return done


def ran(*arguments, cwd=None, code=0):
    """Return the JSON that a command writes."""
    return json.loads(run(*arguments, "--json", cwd=cwd, code=code).stdout)


def refused(reason, *arguments, cwd=None):
    """Check that a command fails with one line of why, and return its other output."""
    done = run(*arguments, cwd=cwd, code=2)
    assert done.stderr.startswith("error: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    return done.stdout


def run_python(code):
    """Return what code prints in a process of its own."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _in_this_process(command, cwd):
    """Run the command line in a folder as a process of its own would."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    logger = logging.getLogger("tagger")
    handlers, propagate = logger.handlers[:], logger.propagate
    code = 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", command)
        try:
            main()
        except SystemExit as leave:
            code = leave.code or 0
        except Exception:
            traceback.print_exc()
            code = 1
        finally:
            logger.handlers, logger.propagate = handlers, propagate
    said = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        said.append(stream.read())
    assert isinstance(code, int)
    return subprocess.CompletedProcess(command, code, *said)


def shell_environment(**changes):
    """Variables of a shell that finds this environment's programs, and no server."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    servers = ("MLFLOW_TRACKING_URI", "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY")
    kept = {name: value for name, value in os.environ.items() if name not in servers}
    return {**kept, "PATH": path, **changes}


def run_line(line, cwd, environment):
    """Run a line of a shell as it stands; one that only calls tagger as :func:`run` does."""
    program, *arguments = shlex.split(line)
    if program == TAGGER.name and not _FOR_A_SHELL.search(line):
        with mock.patch.dict(os.environ, environment, clear=True):
            return run(*arguments, cwd=cwd)
    return subprocess.run(
        ["bash", "-c", line], cwd=cwd, env=environment, capture_output=True, text=True
    )


def untimed(content):
    """Return what was written without the moment at which it was."""
    return re.sub(rb"\d{4}-\d\d-\d\dT[0-9:.]+\+00:00", b"TIME", content)
