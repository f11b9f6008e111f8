"""Addresses of the web: what is there is read like a file, and a bad server costs only itself."""

import json

import pytest
from helpers.samples import contents, json_lines, page, run
from helpers.web_server import serving

from tagger.papers import collect_papers
from tagger.papers.readers import web

TIDES = "Tides of Text"
RIS = f"TY  - JOUR\nTI  - {TIDES}\nAB  - We follow forty streams.\nDA  - 2026/11/03/\nER  - \n"
FEED = (
    "<rss version='2.0'><channel><title>x</title>"
    f"<item><title>{TIDES}</title><description>We follow streams.</description>"
    "<pubDate>Tue, 03 Nov 2026 00:00:00 -0500</pubDate></item>"
    "<item><title>Half-Read Books</title><description>We ask.</description>"
    "<pubDate>Fri, 30 Oct 2026 00:00:00 -0500</pubDate></item>"
    "<item><title>Lamps</title><description>We light them.</description></item></channel></rss>"
)
PAGES = {
    "/papers.ris": RIS.encode(),
    "/feed": FEED.encode(),
    "/page.html": page("First paper", "Second paper").encode(),
    "/picture.txt": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "/empty": b"",
    "/log in": b"<html><body><form>Who are you?</form></body></html>",
}


@pytest.fixture(scope="module")
def site():
    with serving(PAGES) as address:
        yield address


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    monkeypatch.setattr(web, "SECONDS", 0.4)
    monkeypatch.setattr(web, "BYTES", 2**17)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.parametrize(
    ("path", "kind", "count"),
    [
        ("/papers.ris", "ris", 1),
        ("/feed", "feed", 3),
        ("/page.html", "digest", 2),
        ("/to?/to?/papers.ris", "ris", 1),
        ("/endless-to?/feed", "feed", 3),
    ],
)
def test_what_is_at_an_address_is_read_by_its_content(site, path, kind, count):
    web.SECONDS = 60
    read = collect_papers(f"{site}{path}")
    assert [(file.format, len(read.papers)) for file in read.files] == [(kind, count)]
    assert read.papers[0].sources[0].startswith("127.0.0.1_")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing", "404"),
        ("/round", "redirects without end"),
        ("/to?file:///etc/passwd", "not allowed"),
        ("/to?ftp://127.0.0.1/x", "not an address of the web"),
        ("/silent", "did not arrive within"),
        ("/slow", "did not arrive within"),
        ("/slow-header", "did not arrive within"),
        ("/endless", "larger than"),
        ("/huge", "larger than"),
        ("/cut", "11 of 100 bytes"),
        ("/empty", "the file is empty"),
        ("/picture.txt", "a picture"),
        ("/log in", "no papers"),
    ],
)
def test_an_address_that_fails_is_one_line_and_costs_no_other_input(
    site, tmp_path, monkeypatch, path, reason
):
    other, problems = tmp_path / "a.ris", []
    other.write_text(RIS)
    if "within" in reason:
        monkeypatch.setattr(web, "SECONDS", 0.4)
    read = collect_papers([f"{site}{path}", other], problems.append)
    assert [paper.title for paper in read.papers] == [TIDES]
    [problem] = map(str, problems)
    assert problem.startswith(f"{site}{path}:")
    assert reason in problem
    assert "\n" not in problem


def test_an_address_without_a_server_or_with_a_password_fails(site):
    problems = []
    with serving({}) as gone:
        pass
    secret = site.replace("://", "://me:secret@")
    collect_papers([gone, f"{secret}/papers.ris", "http://[x"], problems.append)
    assert len(problems) == 3
    assert "refused" in str(problems[0])
    assert "secret" not in str(problems[1])


@pytest.mark.parametrize(
    ("since", "titles", "said"),
    [
        ("2026-11-03", [TIDES, "Lamps"], "1 papers from before 2026-11-03"),
        ("2026-10-30", [TIDES, "Half-Read Books", "Lamps"], "1 without a date"),
        ("1d", ["Lamps"], "2 papers from before"),
    ],
)
def test_a_feed_is_tagged_from_a_day_on(site, tmp_path, saved_model, since, titles, said):
    web.SECONDS = 60
    arguments = ("-m", saved_model, "--since", since, "--json")
    done = run("tag", f"{site}/feed", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
    assert [row["title"] for row in json_lines(tmp_path / "tagged" / "tags.jsonl")] == titles


def test_a_library_of_references_comes_back_with_tags_without_old_records(
    site, tmp_path, saved_model
):
    web.SECONDS = 60
    two = f"TY  - JOUR\nTI  - Old Books\nDA  - 2020/01/02/\nER  - \n{RIS}"
    (tmp_path / "two.ris").write_text(two)
    files = ("two.ris", f"{site}/papers.ris")
    done = run("tag", *files, "-m", saved_model, "--since", "2026-01-01", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written_files = sorted((tmp_path / "tagged").glob("*.ris"))
    assert len(written_files) == 2
    for path in written_files:
        written = path.read_text(encoding="utf-8")
        assert "KW  - kind: " in written.split(TIDES)[1]
        assert "KW  - " not in written.split(TIDES)[0]


def test_nothing_new_writes_nothing_and_is_no_error(site, tmp_path, saved_model):
    web.SECONDS = 60
    done = run("tag", f"{site}/papers.ris", "-m", saved_model, "--since", "1d", cwd=tmp_path)
    assert (done.returncode, contents(tmp_path)) == (0, {}), done.stderr
    arguments = ("--into", "library", "-m", saved_model, "--since", "1d", "--json")
    done = run("tag", f"{site}/papers.ris", *arguments, cwd=tmp_path)
    assert json.loads(done.stdout)["addition"]["new"] == 0
    done = run("tag", f"{site}/papers.ris", "--since", "yesterday", cwd=tmp_path)
    assert (done.returncode, "7d" in done.stderr) == (2, True)
