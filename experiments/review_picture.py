"""Take the picture of the README: an example paper in Label Studio, filled in by the shipped model.

    python experiments/review_picture.py

starts a Label Studio of its own, pushes the invented papers of examples/, opens the least sure one
in Chromium without a window, and writes examples/review.png.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from browser import log_in, open_browser
from record import ROOT
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tagger.labels import LabelStore
from tagger.papers import merge_duplicates, read_papers
from tagger.registry import SHIPPED, load_model_by_name
from tagger.review import (
    Connection,
    EmbeddedServer,
    PushSettings,
    ReviewProject,
    load_strategy,
    open_project,
    push_papers,
)
from tagger.review.server import RunningServer


def push_examples(connection: Connection) -> ReviewProject:
    """Push the example papers and return their project."""
    model = load_model_by_name(SHIPPED)
    labels = LabelStore(ROOT / "labels")
    project = open_project(connection, labels.taxonomy, None, create=True)
    papers = merge_duplicates(read_papers(sorted((ROOT / "examples").glob("*.txt"))))
    settings = PushSettings(len(papers), load_strategy("uncertainty"), audit_share=0)
    push_papers(papers, model, labels.all_labels(), project, settings)
    return project


def take_picture(server: RunningServer, project: ReviewProject, path: Path) -> None:
    """Open the first paper as a reviewer sees it."""
    driver = open_browser()
    try:
        log_in(driver, server)
        tasks, _ = project.tasks()
        driver.get(f"{project.url}?task={tasks[0].id}")
        shown = "input:checked"
        WebDriverWait(driver, 60).until(lambda b: b.find_elements(By.CSS_SELECTOR, shown))
        driver.save_screenshot(str(path))
    finally:
        driver.quit()


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        server = EmbeddedServer(Path(scratch), ROOT / ".label-studio" / "venv")
        running = server.start(port=8124, report=print)
        try:
            project = push_examples(Connection(running.url, running.token))
            take_picture(running, project, ROOT / "examples" / "review.png")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
