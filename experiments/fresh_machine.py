"""How long does a newcomer wait for the first tags?

Clones this state into an empty folder and runs ``make demo`` twice there, without an environment
and with empty caches of pip and tagger.

    python experiments/fresh_machine.py  # writes experiments/results/fresh_machine.*
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from record import ROOT, read_options, write_result


def seconds_of(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Run a command and return its time; raise CalledProcessError if it fails."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    options = read_options(__doc__)
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
    lines = [f"| {name} | {value:.0f} |" for name, value in found.items()]
    foot = "From an empty folder and empty caches, installation included."
    page = "\n".join(["| command | seconds |", "|---|---|", *lines, "", foot])
    write_result(options, "fresh_machine", found, page)


if __name__ == "__main__":
    main()
