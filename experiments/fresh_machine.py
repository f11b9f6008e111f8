"""How long does a newcomer wait for the first tags?

Clones this state into an empty folder and runs ``make demo`` twice there, without an environment
and with empty caches of pip and tagger; with ``--train`` also ``make demo-train``.

    python experiments/fresh_machine.py  # writes experiments/results/fresh_machine.*
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from gold import RESULTS, ROOT, machine

BEFORE = {"make demo": 22 * 60}
"""Seconds before a model shipped with tagger, on two cores with AVX2; half of them for training."""


def seconds_of(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Run a command and return its time; raise CalledProcessError if it fails."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", action="store_true", help="also run make demo-train")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, caches = Path(scratch) / "tagger", Path(scratch) / "caches"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
        }
        environment |= {
            "PIP_CACHE_DIR": str(caches / "pip"),
            "TAGGER_CACHE": str(caches / "tagger"),
        }
        found = {
            "make demo": seconds_of(["make", "demo"], folder, environment),
            "make demo, again": seconds_of(["make", "demo"], folder, environment),
        }
        if options.train:
            found["make demo-train"] = seconds_of(["make", "demo-train"], folder, environment)
    lines = ["| command | seconds | before |", "|---|---|---|"]
    lines += [
        f"| {name} | {value:.0f} | {BEFORE.get(name, '-')} |" for name, value in found.items()
    ]
    foot = f"From an empty folder and empty caches, installation included. On {machine()}."
    page = "\n".join([*lines, "", foot, ""])
    (RESULTS / "fresh_machine.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    (RESULTS / "fresh_machine.md").write_text(page, "utf-8")
    print(page)


if __name__ == "__main__":
    main()
