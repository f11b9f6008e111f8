"""Does the ML backend stand 200 requests at once, and does every command answer on much data?

The backend runs as ``tagger review backend`` runs it, in a process of its own, with a model of a
few kilobytes from an MLflow store; 200 clients ask it for two minutes, each again when it has its
answer. A workspace of 100,000 labels and 50 versions is made, and commands are timed on all of it
and on a tenth.

Run from the root of the project: python experiments/load.py
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gold import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from ports import free_port, wait_for

CLIENTS = 200
SECONDS = 120.0
LABELS = 100_000
VERSIONS = 50
WORDS = ["heart", "court", "survey", "trial", "network", "question", "drug", "judge"]
PASSWORD = "load"


@dataclass(frozen=True)
class Load:
    """What came of the requests; times in seconds."""

    requests: int
    errors: dict[str, int]
    per_second: float
    median: float
    p99: float

    @property
    def ratio(self) -> float:
        """The 99th percentile of the times in medians."""
        return self.p99 / self.median


def serve(port: int) -> None:
    """Serve the champion of the current folder, as ``tagger review backend`` does."""
    from tagger.cli.backend import ModelInUse, make_server
    from tagger.labels import LabelStore
    from tagger.review.backend import Credentials, make_backend

    in_use = ModelInUse(LabelStore("labels"), "champion", print)
    app = make_backend(in_use, Credentials(password=PASSWORD), lambda: None)
    make_server(app).run([socket.create_server(("127.0.0.1", port), backlog=2048)])


def measure_backend(folder: Path, clients: int, seconds: float) -> Load:
    """Let so many clients ask at once."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "--serve", str(port)], cwd=folder
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        return asyncio.run(ask(f"http://127.0.0.1:{port}/predict", clients, seconds))
    finally:
        process.terminate()
        process.wait()


async def ask(url: str, clients: int, seconds: float) -> Load:
    """Ask for the tags of a paper, as Label Studio does, from so many clients at once."""
    import httpx

    times: list[float] = []
    errors: Counter[str] = Counter()
    end = time.monotonic() + seconds

    # A connection each: many in one pool cost the side that asks more than the backend.
    context = httpx.create_ssl_context()

    async def client(number: int) -> None:
        data = {"title": f"On the {WORDS[number % 8]}", "abstract": "A trial on the heart. " * 20}
        async with httpx.AsyncClient(
            auth=("tagger", PASSWORD), timeout=60, trust_env=False, verify=context
        ) as http:
            while time.monotonic() < end:
                begin = time.perf_counter()
                try:
                    answer = await http.post(url, json={"tasks": [{"id": number, "data": data}]})
                    if answer.status_code != 200:
                        errors[f"status {answer.status_code}"] += 1
                    elif not answer.json()["results"][0]["result"]:
                        errors["no tags"] += 1
                except httpx.HTTPError as error:
                    errors[repr(error)] += 1
                times.append(time.perf_counter() - begin)

    begin = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(clients)))
    took = time.monotonic() - begin
    median, p99 = np.percentile(times, [50, 99])
    return Load(len(times), dict(errors), len(times) / took, float(median), float(p99))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]))
