"""What several tests need: a small taxonomy, labels, papers and a model that costs nothing."""

import copy
import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.samples import QUICK, label_line, page, run, small_taxonomy, write_labels
from helpers.tiny_encoder import save_tiny_encoder
from helpers.tiny_model import make_reference, random_heads, save_tiny_model
from hypothesis import settings

from tagger.model import LexicalFeatures, TaggerModel
from tagger.model.vector_cache import CACHE_VARIABLE
from tagger.papers import Paper
from tagger.review.server import FOLDER_VARIABLE
from tagger.training.encoders import JOBS_VARIABLE

# A slow machine is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def own_settings(tmp_path_factory):
    """Keep what is the user's, and the shipped model, out of tests; a training has one process."""
    with pytest.MonkeyPatch.context() as patch:
        for server in ("MLFLOW_TRACKING_URI", "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
            patch.delenv(server, raising=False)
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        patch.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("label-studio-of-nobody")))
        patch.setenv(JOBS_VARIABLE, "1")
        patch.setattr("tagger.registry.resolve._SHIPPED_FOLDER", Path("no model ships with tests"))
        yield


MARKERS_OF_FIXTURES = {
    "workspace": ("training", "mlflow"),
    "challenged": ("mlflow",),
    "registry": ("mlflow",),
    "mlflow_server": ("mlflow",),
    "server": ("label_studio",),
    "label_studio_environment": ("label_studio",),
    "browser": ("browser",),
    "browsers": ("browser",),
}
"""What a test needs is known from its fixtures; other tests say it with a marker."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark tests by what their fixtures need, and put the files that take longest first.

    One process runs all tests of a file, so that a server or a training is made once.
    """
    cost = Counter()
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        for fixture, markers in MARKERS_OF_FIXTURES.items():
            for marker in markers if fixture in fixtures else ():
                item.add_marker(marker)
        cost[item.path] = max([cost[item.path], *map(_cost, item.iter_markers())])
    items.sort(key=lambda item: -cost[item.path])


def _cost(marker):
    """Return the rank of a resource by the time that it takes, from 1; 0 if it is none."""
    ranks = ("mlflow", "training", "real_encoder", "browser", "ray", "label_studio", "spark")
    return ranks.index(marker.name) + 1 if marker.name in ranks else 0


@pytest.fixture(scope="session")
def shared():
    """The folder of real digests and gold labels beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the real digests are not there: {SHARED} is absent")
    return SHARED


@pytest.fixture(scope="session")
def taxonomy():
    """One exclusive facet, and one facet with a nested tag."""
    return small_taxonomy()


class WordEncoder:
    """Counts words by hash: fast, deterministic, and good enough to tell topics apart."""

    def __init__(self):
        self.calls = 0

    def encode(self, texts, progress=None):
        self.calls += 1
        vectors = np.zeros((len(texts), 32), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, hashlib.sha256(word.encode()).digest()[0] % 32] += 1
        if progress:
            progress(len(texts), len(texts))
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


@pytest.fixture
def model(model_once):
    """A model that no other test has used."""
    own = copy.copy(model_once)
    own.encoder = WordEncoder()
    return own


@pytest.fixture(scope="session")
def model_once(taxonomy):
    """A model with fixed random heads, shared by tests that only read from it."""
    heads = {head.facet.name: head for head in random_heads(taxonomy, np.random.default_rng(0), 32)}
    lexical = LexicalFeatures(("court", "title:survey"), np.ones(2))
    labelled = WordEncoder().encode([f"We look at the heart in case {n}." for n in range(12)])
    reference = make_reference(labelled, taxonomy)
    return TaggerModel(taxonomy, WordEncoder(), lexical, heads, reference, "tagger/1", "0" * 64)


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory, taxonomy):
    """The folder of a saved model of a few kilobytes, not to be changed."""
    return save_tiny_model(tmp_path_factory.mktemp("saved") / "model", taxonomy)


@pytest.fixture
def papers():
    """A hundred and fifty papers, more than two batches."""
    words = ["heart", "court", "survey", "trial", "network", "question", "drug", "judge"]
    return [
        Paper(
            f"Paper number {n} on the {words[n % 8]}",
            f"We look at {words[n % 8]} and {words[n * 3 % 8]} in case {n}.",
            ("page.txt",),
        )
        for n in range(150)
    ]


@pytest.fixture
def label_folder(tmp_path, taxonomy):
    """A label folder with the small taxonomy and twelve seed labels."""
    return write_labels(tmp_path / "labels", taxonomy)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory, taxonomy):
    """A workspace with a champion that was trained in one pass over few labels.

    Its encoder, ``tiny/encoder``, is one of a few kilobytes. Of two labels without a text, one has
    its text in ``texts``.
    """
    root = tmp_path_factory.mktemp("workspace")
    write_labels(root / "labels", taxonomy, [["law"], []])
    lines = [
        label_line(title, text=None, source="review", queue="audit") for title in ("Known", "Lost")
    ]
    (root / "labels" / "real.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (root / "texts").mkdir()
    (root / "texts" / "old.txt").write_text(page("Known", "Other"), encoding="utf-8")
    encoder = save_tiny_encoder(root / "tiny").relative_to(root)
    done = run(
        "train", *QUICK, "--encoder", encoder, "--texts", "texts", "--json", cwd=root, code=0
    )
    report = json.loads(done.stdout)
    assert (report["model"], report["trained"], report["labels"]) == ("tagger/1", True, 13)
    assert "without a text that do not count: 1;" in done.stderr
    kind = report["figures"][0]
    assert (kind["facet"], kind["sample"], kind["papers"]) == ("kind", "seed", 12)
    assert 0 <= kind["figures"]["macro_f1"]["value"] <= 1
    (root / "page.txt").write_text(page("First paper", "Second paper"), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def browser(browsers):
    """A browser without a window, one for the tests of a file."""
    return browsers()


@pytest.fixture(scope="module")
def browsers():
    """Start Debian's Chromium without a window, one for each person, at each call."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1400,1000")
    started = []

    def start():
        service = Service(shutil.which("chromedriver") or "chromedriver")
        started.append(webdriver.Chrome(options, service))
        return started[-1]

    yield start
    for driver in started:
        driver.quit()
