"""How long does a newcomer wait for the first tags, and for the first reviewed paper?

Clones this state into an empty folder, without an environment and with empty caches of pip and
tagger. Runs ``make demo`` twice there; then installs what review needs into a new environment and
answers the first paper of ``tagger review here``.

    python experiments/fresh_machine.py  # writes experiments/results/fresh_machine.*
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from record import IMPORTS, ROOT, read_options, write_result
from review_keys import review_page


def seconds_of(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Run a command and return its time; raise CalledProcessError if it fails."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - begin


def seconds_to_review(folder: Path, environment: dict[str, str]) -> float:
    """Install tagger for review, and return the time until the first answer is saved."""
    begin = time.perf_counter()
    place = folder / "environment"
    python = str(place / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    install = [python, "-m", "pip", "install", "--quiet", ".[review]"]
    subprocess.run(install, cwd=folder, env=environment, check=True)
    command = [python, "-m", "tagger", "review", "here", "examples/monday.txt"]
    with review_page(command, folder, environment) as address:
        base, _, token = address.partition("/?token=")
        with httpx.Client(base_url=base, headers={"x-token": token}, trust_env=False) as client:
            number = client.get("/paper").raise_for_status().json()["number"]
            answer = {"number": number, "tags": {}, "verdict": "cannot tell", "seconds": 1}
            client.post("/answer", json=answer, timeout=60).raise_for_status()
        return time.perf_counter() - begin


def main() -> None:
    options = read_options(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        folder, caches = Path(scratch) / "tagger", Path(scratch) / "caches"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
        }
        environment |= {
            "PYTHONPATH": str(IMPORTS),
            "PIP_CACHE_DIR": str(caches / "pip"),
            "TAGGER_CACHE": str(caches / "tagger"),
        }
        found = {
            "make demo": seconds_of(["make", "demo"], folder, environment),
            "make demo, again": seconds_of(["make", "demo"], folder, environment),
            "pip install '.[review]', until a paper is reviewed": seconds_to_review(
                folder, environment
            ),
        }
    lines = [f"| {name} | {value:.0f} |" for name, value in found.items()]
    foot = "From an empty folder and empty caches, installation included."
    page = "\n".join(["| command | seconds |", "|---|---|", *lines, "", foot])
    write_result(options, "fresh_machine", found, page)


if __name__ == "__main__":
    main()
