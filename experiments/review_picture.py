"""Take the picture of the README: an example paper in Label Studio, filled in by the shipped model.

    python experiments/review_picture.py

starts a Label Studio of its own, pushes the invented papers of examples/, opens the least sure one
in Chromium without a window, and writes examples/review.png.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from record import ROOT
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
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


def open_browser() -> webdriver.Chrome:
    """Start Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1250,980"):
        options.add_argument(argument)
    return webdriver.Chrome(options, Service(shutil.which("chromedriver") or "chromedriver"))


def log_in(driver: webdriver.Chrome, server: RunningServer) -> None:
    """Log in to Label Studio."""
    driver.get(f"{server.url}/user/login/")
    driver.find_element(By.NAME, "email").send_keys(server.email)
    driver.find_element(By.NAME, "password").send_keys(server.password)
    driver.find_element(By.NAME, "password").submit()
    WebDriverWait(driver, 60).until(lambda browser: "login" not in browser.current_url)


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
