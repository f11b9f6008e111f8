"""Take the pictures of the README and the guides.

    python experiments/pictures.py

writes into examples/: what ``tagger tag`` prints on the example pages (terminal.svg); their report
(report.png); one of their papers on the page of ``tagger review here`` (review-here.png) and in a
Label Studio (review.png), filled in by the model that ships; and two versions beside each other in
MLflow (compare.png), trained before and after 100 papers of ../shared/gold were reviewed. The pages
are shown by Chromium without a window.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browser import open_browser
from gold import label_of, read_gold
from record import ROOT, environment_of_tagger
from review_keys import label_studio, own_page
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import element_to_be_clickable
from selenium.webdriver.support.ui import WebDriverWait

from tagger.labels import LabelStore
from tagger.papers import Paper, merge_duplicates, read_papers
from tagger.registry import Registry

EXAMPLES = ROOT / "examples"
WIDTH = 110
REVIEWED = 100
PORT = 5083
HEADING = "//*[@role='button' and normalize-space()='{}']"
FOLDED = ("Visualizations", "Parameters")


def tagger(*words: str, folder: Path = ROOT) -> str:
    """Run a command in a folder; return what it prints, in colours."""
    return subprocess.run(
        [sys.executable, "-m", "tagger", *words],
        cwd=folder,
        env={**environment_of_tagger(), "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout


def draw_terminal(command: str, printed: str) -> None:
    """Draw what a command prints."""
    console = Console(record=True, width=WIDTH + 2, file=io.StringIO())
    console.print(Text.from_ansi(f"$ {command}\n{printed}".rstrip()))
    # The font is named, not fetched: a picture in a README loads nothing.
    template = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title="tagger", unique_id="terminal", code_format=template)
    (EXAMPLES / "terminal.svg").write_text(svg, encoding="utf-8")


def take_picture(driver: Chrome, shown: str, name: str) -> None:
    """Take the picture of a page once the JavaScript expression ``shown`` is true."""
    WebDriverWait(driver, 120).until(lambda page: page.execute_script(f"return {shown}"))
    driver.save_screenshot(str(EXAMPLES / name))


def draw_report(driver: Chrome, folder: Path, pages: list[str]) -> None:
    """Draw the terminal on the example pages, and the report on them."""
    printed = tagger("tag", *pages, "--output", str(folder)).replace(str(folder), "tagged")
    draw_terminal(f"tagger tag {' '.join(pages)}", printed)
    tagger("report", str(folder), "--output", str(folder / "report.html"))
    driver.get((folder / "report.html").as_uri())
    take_picture(driver, "true", "report.png")


def draw_reviews(driver: Chrome, papers: list[Paper]) -> None:
    """Draw a paper on tagger's own page, and one in Label Studio."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "ml-papers"  # the page shows its name
        folder.mkdir()
        with own_page(folder, papers) as address:
            driver.get(address)
            ready = "document.querySelector('#title')?.innerText && "
            ready += "!document.body.innerText.includes('Measuring')"
            take_picture(driver, ready, "review-here.png")
    with (
        tempfile.TemporaryDirectory() as scratch,
        label_studio(Path(scratch), papers, driver) as address,
    ):
        driver.get(f"{address}?task=1")
        take_picture(driver, "document.querySelectorAll('input:checked').length", "review.png")


def write_versions(folder: Path) -> None:
    """Train a version on seed labels, and another one after papers were reviewed."""
    labels = folder / "labels"
    shutil.copytree(ROOT / "labels", labels, ignore=shutil.ignore_patterns("real.jsonl"))
    tagger("train", "--recipe", "frozen", folder=folder)
    store = LabelStore(labels)
    gold = read_gold(store.taxonomy)
    reviewed = [
        label_of(gold, row, store.taxonomy).model_copy(update={"queue": "audit"})
        for row in range(REVIEWED)
    ]
    store.add_corrections(lambda _: reviewed)
    tagger("train", folder=folder)


@contextmanager
def mlflow_pages(folder: Path) -> Iterator[str]:
    """Run ``tagger ui``; yield its address."""
    command = [sys.executable, "-m", "tagger", "ui", "--port", str(PORT)]
    environment = environment_of_tagger()
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, text=True) as running:
        try:
            assert running.stdout is not None
            yield running.stdout.readline().split()[-1]
        finally:
            running.terminate()


def draw_comparison(driver: Chrome, folder: Path) -> None:
    """Draw two versions in MLflow's compare view, without its assistant, plots and settings."""
    write_versions(folder)
    registry = Registry(f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}")
    runs = [registry.run(version).info for version in registry.versions()]
    chosen = json.dumps([run.run_id for run in runs])
    within = json.dumps([runs[0].experiment_id])
    size = driver.get_window_size()
    driver.set_window_size(size["width"], 1180)
    with mlflow_pages(folder) as address:
        driver.get(f"{address}/#/compare-runs?runs={chosen}&experiments={within}")
        wait = WebDriverWait(driver, 120)
        for element in ("//button[@aria-label='Close']", *map(HEADING.format, FOLDED)):
            wait.until(element_to_be_clickable((By.XPATH, element))).click()
        # A click may have scrolled the tables to the side.
        driver.execute_script("document.querySelectorAll('*').forEach(e => e.scrollLeft = 0)")
        take_picture(driver, "document.body.innerText.includes('1 vs 2/')", "compare.png")
    driver.set_window_size(size["width"], size["height"])


def main() -> None:
    pages = sorted(str(path.relative_to(ROOT)) for path in EXAMPLES.glob("*.txt"))
    papers = merge_duplicates(read_papers([ROOT / page for page in pages]))
    driver = open_browser()
    try:
        with tempfile.TemporaryDirectory() as folder:
            draw_comparison(driver, Path(folder))
        with tempfile.TemporaryDirectory() as folder:
            draw_report(driver, Path(folder), pages)
        draw_reviews(driver, papers)
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
