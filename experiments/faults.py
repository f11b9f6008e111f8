"""What do faults of Label Studio and MLflow cost?

Real servers stand behind a proxy that lets a share of the requests go wrong: late, broken off
before, while or after the server hears of them, refused, answered by a gateway, cut short, with
lists that are empty, doubled or shuffled. Behind it a day's work is done over and over, each time
with faults drawn anew; a command that ends with exit code 2 is given again. What is there in the
end is compared with a day without faults. The days are those of tests/helpers/faulty_days.py.

    python experiments/faults.py  # writes experiments/results/faults.*
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from record import ROOT, read_options, write_result

sys.path.insert(0, str(ROOT / "tests"))

from helpers import fault_proxy
from helpers.fault_proxy import Exchange, FaultProxy, by_chance, no_faults
from helpers.faulty_days import Day, ReviewDay, VersionsDay
from helpers.mlflow_server import MlflowServer
from helpers.ports import free_port
from helpers.samples import small_taxonomy, write_labels
from helpers.tiny_model import save_tiny_model

from tagger.review import Connection, EmbeddedServer

REVIEW_SHARE, VERSIONS_SHARE = 0.2, 0.05
MOST = 15
"""Faults a day: each day has an end."""


@dataclass
class Tally:
    """What came of the days of one kind."""

    days: int = 0
    requests: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    asked_again: int = 0
    told: Counter[str] = field(default_factory=Counter)
    losses: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def row(self) -> str:
        """One line of the table."""
        faults = self.injected.total()
        figures = (self.days, self.requests, faults, self.asked_again, self.told.total())
        return " | ".join(f"{figure:,}" for figure in (*figures, self.losses))


def asked_again(exchanges: list[Exchange]) -> int:
    """Count the requests that went wrong and were soon followed by another of the same kind."""
    count = 0
    for place, exchange in enumerate(exchanges):
        following = exchanges[place + 1 : place + 5]
        same = any(
            (each.method, each.path) == (exchange.method, exchange.path) for each in following
        )
        count += exchange.fault is not None and same
    return count


def live(tally: Tally, day: Day, proxy: FaultProxy, seed: int, share: float) -> None:
    """Work through a day with faults, and add up what came of it."""
    proxy.use(by_chance(seed, share, MOST))
    try:
        day.run()
        tally.requests += len(proxy.exchanges)
        tally.injected += proxy.injected
        tally.asked_again += asked_again(proxy.exchanges)
        tally.told += day.told
        proxy.use(no_faults)
        day.check()
    except Exception:
        tally.losses += 1
        tally.failures.append(f"seed {seed}: {traceback.format_exc()}")
    tally.days += 1


def review_days(days: int, scratch: Path) -> Tally:
    """Push, review, pull."""
    tally = Tally()
    environment = ROOT / ".label-studio" / "venv"
    server = EmbeddedServer(scratch / "label-studio", environment)
    running = server.start(free_port(), print)
    try:
        direct = Connection(running.url, running.token)
        with FaultProxy(running.url).running() as proxy:
            for seed in range(days):
                taxonomy = small_taxonomy().model_copy(update={"name": f"day-{seed}"})
                folder = scratch / f"review-{seed}"
                day = ReviewDay(folder, taxonomy, direct, proxy, running.token)
                live(tally, day, proxy, seed, REVIEW_SHARE)
                print(f"review {seed}: {tally.row}", flush=True)
                with contextlib.suppress(Exception):
                    day.clean_up()
    finally:
        server.stop()
    return tally


def versions_days(days: int, scratch: Path) -> Tally:
    """Train, compare, promote."""
    tally = Tally()
    taxonomy = small_taxonomy()
    labels = write_labels(scratch / "labels", taxonomy)
    model = save_tiny_model(scratch / "model", taxonomy)
    folder = scratch / "mlflow"
    folder.mkdir()
    server = MlflowServer(folder)
    try:
        with FaultProxy(server.url).running() as proxy, contextlib.chdir(scratch):
            for seed in range(days):
                day = VersionsDay(labels, model, proxy, server.url)
                live(tally, day, proxy, seed, VERSIONS_SHARE)
                print(f"versions {seed}: {tally.row}", flush=True)
    finally:
        server.kill()
    return tally


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Wait for less long: what is measured is what becomes of requests, not when."""
    os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"] = "0"
    os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_JITTER"] = "0"
    os.environ["TAGGER_CACHE"] = "off"
    fault_proxy.DELAY = 0.05
    sleep = time.sleep
    with patch.object(time, "sleep", lambda seconds: sleep(min(seconds, 0.05))):
        yield


def main() -> None:
    options = read_options(__doc__, review_days=(100, 2), version_days=(30, 2))
    with tempfile.TemporaryDirectory() as scratch, impatient():
        tallies = {
            "push, pull, status (Label Studio)": review_days(options.review_days, Path(scratch)),
            "train, compare, promote, history (MLflow)": versions_days(
                options.version_days, Path(scratch)
            ),
        }
    lines = [
        "| a day's work | days | requests | faults | asked again | told, given again | losses |",
        "|---|---|---|---|---|---|---|",
        *(f"| {name} | {tally.row} |" for name, tally in tallies.items()),
    ]
    kinds = sum((tally.injected for tally in tallies.values()), Counter())
    lines += ["", "Faults: " + ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items())) + "."]
    lines += [
        "",
        "Asked again: requests that the client repeated by itself. Told: commands that ended with "
        "exit code 2 and one line; given again, they completed. A loss is a day that ended other "
        "than without faults: a task or label too few or too many, a half version.",
    ]
    content: dict[str, object] = {
        name: {
            "days": tally.days,
            "requests": tally.requests,
            "faults": tally.injected.total(),
            "asked_again": tally.asked_again,
            "told": tally.told.total(),
            "losses": tally.losses,
        }
        for name, tally in tallies.items()
    }
    content["kinds"] = kinds
    write_result(options, "faults", content, "\n".join(lines))
    for tally in tallies.values():
        print("\n".join(tally.failures))


if __name__ == "__main__":
    main()
