"""Run every experiment that the documentation shows, one after the other.

    make results          # hours; what has a result of this state is skipped
    make results QUICK=1  # minutes; only to see that all run, into a scratch folder

They come in the order of what matters to a reader. A result counts as being of this state if what
it used of ``tagger/`` and the script are those that it was measured with, so a run that was
interrupted can be given again. Names of experiments, if given, are the only ones that run. In the
end the page of results is written anew.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from record import RESULTS, ROOT, SCRATCH, changed_since, read_state, tagger_tree

HERE = Path(__file__).parent
EXPERIMENTS = (
    "baselines",
    "emnlp_tags",
    "encoders",
    "alternatives",
    "trust",
    "review_gain",
    "review_efficiency",
    "review_keys",
    "gate",
    "speed",
    "training_speed",
    "memory",
    "fresh_machine",
    "install_size",
    "library",
    "scale",
    "zero_shot",
    "discovery",
    "kills",
    "faults",
    "fuzz",
)
"""Each script is ``NAME.py`` and writes the result ``NAME``, and perhaps more."""
NOT_QUICK = {
    "scale": "it starts clusters of Ray, one after the other, which takes minutes",
    "review_keys": "it needs a Label Studio, which takes minutes to start",
    "faults": "it needs a Label Studio and an MLflow server, which take minutes to start",
}
"""What ``--quick`` leaves out, and why."""


def is_present(name: str) -> bool:
    """Say whether there is a result of the present state of tagger/ and of the script."""
    script = hashlib.sha256((HERE / f"{name}.py").read_bytes()).hexdigest()[:16]
    state = read_state(RESULTS, name)
    return state.get("script") == script and not changed_since(state)


def run(name: str, options: Namespace) -> bool:
    """Run an experiment; print how long it took and return whether it succeeded."""
    words = [sys.executable, str(HERE / f"{name}.py"), *(["--quick"] if options.quick else [])]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    print(f"== {name}", flush=True)
    begin = time.monotonic()
    code = subprocess.run(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}).returncode
    minutes = (time.monotonic() - begin) / 60
    print(
        f"== {name}: {minutes:.1f} minutes, {f'exit code {code}' if code else 'done'}", flush=True
    )
    return code == 0


def main() -> int:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="the only ones to run", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help=f"results go into {SCRATCH}")
    options = parser.parse_args()
    if unknown := sorted({*options.names} - {*EXPERIMENTS}):
        parser.error(
            f"no such experiment: {', '.join(unknown)}; there are {', '.join(EXPERIMENTS)}"
        )
    if not (options.quick or tagger_tree()):
        parser.error("tagger/ has changes that are not committed: results could not name a state")
    failed = []
    for name in [name for name in EXPERIMENTS if name in (options.names or EXPERIMENTS)]:
        if options.quick and name in NOT_QUICK and name not in options.names:
            print(f"== {name}: left out, because {NOT_QUICK[name]}")
        elif not options.quick and is_present(name):
            print(f"== {name}: has a result of this state")
        elif not run(name, options):
            failed.append(name)
    if not options.quick:
        subprocess.run([sys.executable, str(ROOT / "scripts" / "results.py")], check=True)
    print(f"failed: {', '.join(failed)}" if failed else "all experiments succeeded")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
