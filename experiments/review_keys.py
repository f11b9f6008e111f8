"""How many keys and seconds does it take to review a paper?

Keys are counted on papers that were sampled at random, where the first facet is suggested rightly:
one key to save the answer, and one for each tag of the other facets to add or to take away. The
suggestions are out-of-fold predictions of the model that ships. Seconds are from the key that saves
until the next paper is shown, on the page of ``tagger review here`` and in Label Studio, both in
Chromium without a window:

    python experiments/review_keys.py  # writes experiments/results/review_keys.*

Label Studio has to be installed in ``.label-studio/venv``, as ``tagger review serve`` does.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from browser import log_in, open_browser
from gold import digest_papers
from record import ROOT, environment_of_tagger, read_options, write_result
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tagger.evaluation import predict_labels
from tagger.labels import LabelStore
from tagger.papers import Paper
from tagger.registry import SHIPPED, load_model_by_name
from tagger.review import (
    Connection,
    EmbeddedServer,
    PushSettings,
    load_strategy,
    open_project,
    push_papers,
)

OWN_PAGE, LABEL_STUDIO = "tagger review here", "Label Studio"


def keys_a_paper() -> tuple[int, float, float]:
    """Count papers whose first facet is suggested rightly, and keys for each of these and of all.

    A wrong tag of the first facet takes one key: the right one replaces it.
    """
    model = load_model_by_name(SHIPPED)
    reference = model.reference
    wrong = {}
    for facet in model.taxonomy.facets:
        name = facet.name
        given = predict_labels(facet, reference.probabilities[name], model.thresholds[name])
        changed = (given != reference.y_true[name]).sum(axis=1)
        wrong[name] = changed.clip(max=1) if facet.exclusive else changed
    annotated = np.all([*reference.annotated.values()], axis=0)
    keys = 1 + np.sum([*wrong.values()], axis=0)
    first = wrong[model.taxonomy.facets[0].name] == 0
    sampled = reference.audited & annotated
    return int((sampled & first).sum()), keys[sampled & first].mean(), keys[sampled].mean()


def seconds_between(driver: Chrome, papers: int, shown: str, *keys: str) -> list[float]:
    """Save the answer of one paper after the other; return the seconds until the next is shown.

    ``shown`` is a JavaScript expression that names the paper on the screen; it is false without
    one.
    """
    wait = WebDriverWait(driver, 120, poll_frequency=0.01)

    def paper() -> str:
        return str(driver.execute_script(f"return {shown}") or "")

    before, seconds = wait.until(lambda _: paper()), []
    for _ in range(papers):
        # A person reads a paper; meanwhile the page gets ready for the next one.
        time.sleep(2)
        focused = driver.switch_to.active_element
        begin = time.perf_counter()
        focused.send_keys(*keys)  # which holds Ctrl while the next key is pressed
        while (now := wait.until(lambda _: paper())) == before:
            time.sleep(0.01)
        before = now
        seconds.append(time.perf_counter() - begin)
    return seconds


@contextmanager
def review_page(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """Run ``tagger review here``, which ``command`` starts; yield the address of its page."""
    command = [*command, "--no-browser"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stderr is not None
            yield next(line.split()[1] for line in running.stderr if line.startswith("Review: "))
        finally:
            running.terminate()


@contextmanager
def own_page(folder: Path, papers: list[Paper]) -> Iterator[str]:
    """Start ``tagger review here`` on papers; yield the address of its page."""
    (folder / "papers.jsonl").write_text(
        "".join(json.dumps({"title": p.title, "abstract": p.abstract}) + "\n" for p in papers),
        encoding="utf-8",
    )
    tagger, environment = [sys.executable, "-m", "tagger"], environment_of_tagger()
    init = [*tagger, "init", "labels", "--template", "shipped"]
    subprocess.run(init, cwd=folder, env=environment, check=True)
    options = ["--model", "shipped", "--audit-share", "0", "--budget", str(len(papers))]
    command = [*tagger, "review", "here", "papers.jsonl", *options]
    with review_page(command, folder, environment) as address:
        yield address


@contextmanager
def label_studio(folder: Path, papers: list[Paper], driver: Chrome) -> Iterator[str]:
    """Start a Label Studio, push papers and log in; yield the address of the project."""
    server = EmbeddedServer(folder, ROOT / ".label-studio" / "venv")
    running = server.start(port=8125, report=print)
    try:
        labels = LabelStore(ROOT / "labels")
        connection = Connection(running.url, running.token)
        project = open_project(connection, labels.taxonomy, None, create=True)
        settings = PushSettings(len(papers), load_strategy("uncertainty"), audit_share=0)
        push_papers(papers, load_model_by_name(SHIPPED), [], project, settings)
        log_in(driver, running)
        yield project.url
    finally:
        server.stop()


def measure(papers: list[Paper]) -> dict[str, list[float]]:
    """Return the seconds between papers on both pages."""
    driver, count = open_browser(), len(papers) - 1
    try:
        with tempfile.TemporaryDirectory() as scratch, own_page(Path(scratch), papers) as address:
            driver.get(address)
            own = seconds_between(
                driver, count, "document.querySelector('#title')?.innerText", Keys.ENTER
            )
        with (
            tempfile.TemporaryDirectory() as scratch,
            label_studio(Path(scratch), papers, driver) as address,
        ):
            driver.get(address)
            wait = WebDriverWait(driver, 120)
            button = "//button[normalize-space()='Label All Tasks']"
            wait.until(lambda browser: browser.find_elements("xpath", button))[0].click()
            # The next paper is there once its tags are filled in.
            shown = (
                "document.querySelectorAll('input:checked').length && "
                "document.querySelector('.lsf-current-task__task-id')?.innerText"
            )
            server = seconds_between(driver, count, shown, Keys.CONTROL, Keys.ENTER)
    finally:
        driver.quit()
    return {OWN_PAGE: own, LABEL_STUDIO: server}


def main() -> None:
    options = read_options(__doc__, papers=(21, 4))
    right, keys, keys_of_all = keys_a_paper()
    seconds = measure(digest_papers()[: options.papers])
    lines = ["| | seconds to the next paper, median | the longest |", "|---|---|---|"]
    for name, found in seconds.items():
        lines.append(f"| {name} | {statistics.median(found):.2f} | {max(found):.2f} |")
    lines.append("")
    lines.append(
        f"Of {options.papers - 1} papers of real digests, in Chromium, one after the other, the "
        "time that a driven browser takes included. A paper of which the contribution is "
        f"suggested rightly takes {keys:.2f} keys on average ({right} papers that were sampled "
        f"at random, out-of-fold predictions of the model that ships); any paper {keys_of_all:.2f}."
    )
    figures = {"right": right, "keys": keys, "keys of all": keys_of_all, "seconds": seconds}
    write_result(options, "review_keys", figures, "\n".join(lines))


if __name__ == "__main__":
    main()
