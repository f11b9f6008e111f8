"""Tags go into a Zotero library; nothing else changes there, whatever the server answers."""

import copy
import json

import pytest
from helpers.zotero_server import KEY, zotero_server
from typer.testing import CliRunner

from tagger.cli import app
from tagger.errors import TaggerError
from tagger.papers import TaggedPaper

OLD = {"tag": "kind: study", "type": 1}
MINE = [{"tag": "to read"}, {"tag": "kind of blue", "type": 1}, {"tag": "other: survey"}]


def row(title, name="", kind="survey"):
    names = [name] if name else []
    return TaggedPaper(
        name or f"t-{title}", title, identifiers=names, sources=(), model="m/1", taxonomy="x",
        tags={"kind": (kind,), "field": ()}, confidence={"kind": {kind: 0.9}, "field": {}},
        review=None,
    ).as_row()  # fmt: skip


@pytest.fixture
def waits(monkeypatch):
    """The waiting times before requests."""
    times = []
    monkeypatch.setattr("httpx_retries.retry.time.sleep", lambda s: times.append(s) if s else None)
    return times


@pytest.fixture
def push(tmp_path, monkeypatch, waits):
    """Start a server with items; return it, and the command for results with some papers."""
    started = []

    def start(items, rows):
        (tmp_path / "tags.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        started.append(zotero_server(items))
        server = started[-1].__enter__()
        monkeypatch.setenv("ZOTERO_API_KEY", KEY)
        monkeypatch.setenv("ZOTERO_API_URL", server.url)

        def command(*options):
            done = CliRunner().invoke(app, ["zotero", "push", str(tmp_path), *options])
            said = f"{done.output}{done.stderr}{done.exception}"
            assert KEY not in said
            if isinstance(done.exception, TaggerError):
                assert "\n" not in str(done.exception)
                return 2, said
            assert isinstance(done.exception, SystemExit | None), said
            return done.exit_code, done.stdout if "--json" in options else said

        return server, command

    yield start
    for server in started:
        server.__exit__(None, None, None)


def test_only_our_tags_change_and_only_when_asked(push):
    items = [
        {"title": "One", "DOI": "10.5555/ONE", "tags": [*MINE, OLD]},
        {"title": "Two: by its title", "tags": [{"tag": "kind: survey"}]},
        {"title": "Not ours", "DOI": "10.5555/three", "tags": [OLD]},
        {"itemType": "note", "note": "x", "tags": [OLD]},
        {"itemType": "case", "caseName": "A v. B"},
    ]
    server, command = push(items, [row("One", "doi:10.5555/one"), row("Two - by its title")])
    before = copy.deepcopy(server.items)
    code, said = command()
    assert (code, server.items) == (0, before)
    assert "One: +kind: survey, -kind: study" in said
    assert "2 items are among 2 papers, 1 have their tags, 1 would change" in said
    code, said = command("--apply", "--json")
    expected = {"library": "users/1", "applied": True, "papers": 2, "found": 2, "unchanged": 1}
    found = json.loads(said)
    [change] = found.pop("changes")
    assert (code, found, change["written"]) == (0, {**expected, "problems": {}}, True)
    [now, *others] = server.items.values()
    [then, *others_before] = before.values()
    assert others == others_before
    assert {**now, "tags": 0, "version": 0} == {**then, "tags": 0, "version": 0}
    assert now["tags"] == [*MINE, {"tag": "kind: survey", "type": 1}]
    written = server.asked.count(("POST", "/users/1/items"))
    assert "0 of 0 changed" in command("--apply")[1]
    assert server.asked.count(("POST", "/users/1/items")) == written == 1


def test_with_a_prefix_tags_without_it_are_not_ours(push):
    server, command = push([{"title": "One", "tags": [OLD, {"tag": "#kind: study"}]}], [row("One")])
    assert command("--apply", "--prefix", "#")[0] == 0
    assert server.items["KEY00000"]["tags"] == [OLD, {"tag": "#kind: survey", "type": 1}]


@pytest.mark.parametrize(
    ("item", "paper", "found"),
    [
        ({"title": "A", "url": "https://arxiv.org/abs/2101.00001v2"}, ("A", "arxiv:2101.00001"), 1),
        ({"title": "A", "extra": "arXiv: 2101.00001 [cs]"}, ("A", "arxiv:2101.00001"), 1),
        ({"title": "A", "extra": "PMID: 7"}, ("A", "pmid:7"), 1),
        ({"title": "A", "DOI": "10.5555/a"}, ("a", ""), 1),
        ({"title": "A", "DOI": "10.5555/a"}, ("A", "doi:10.5555/b"), 0),
        ({"title": "A chapter on law", "DOI": "10.5555/a"}, ("Preface", "doi:10.5555/a"), 0),
    ],
)
def test_items_are_found_by_identifier_or_title(push, item, paper, found):
    _, command = push([item], [row(*paper)])
    assert json.loads(command("--json")[1])["found"] == found


def test_an_item_has_the_tags_of_the_paper_with_its_identifier(push):
    names = ("", "doi:10.5555/a", "doi:10.5555/b")
    papers = [row("Introduction", name, f"kind-{number}") for number, name in enumerate(names)]
    server, command = push([{"title": "Introduction", "DOI": "10.5555/b"}], papers)
    assert command("--apply")[0] == 0
    assert server.items["KEY00000"]["tags"] == [{"tag": "kind: kind-2", "type": 1}]


def test_all_pages_are_read_and_items_written_in_batches(push):
    titles = [f"Paper number {number}" for number in range(230)]
    server, command = push([{"title": title} for title in titles], map(row, titles))
    assert command("--apply")[0] == 0
    assert all(len(item["tags"]) == 1 for item in server.items.values())
    assert [server.asked.count((how, f"/users/1/items{top}")) for how, top in (
        ("GET", "/top"), ("POST", ""),
    )] == [3, 5]  # fmt: skip


def test_what_somebody_changes_meanwhile_is_not_overwritten(push):
    server, command = push([{"title": title} for title in "ABC"], map(row, "ABC"))
    other = server.items["KEY00001"]
    server.before_write = lambda: other.update(version=6, tags=[{"tag": "theirs"}])
    code, said = command("--apply")
    assert code == 1
    assert "item KEY00001: was not written: Item has been modified" in said
    assert "2 of 3 changed" in said
    assert other["tags"] == [{"tag": "theirs"}]
    assert all(len(server.items[key]["tags"]) == 1 for key in ("KEY00000", "KEY00002"))
    server.before_write = lambda: None
    assert command("--apply")[0] == 0
    assert other["tags"] == [{"tag": "theirs"}, {"tag": "kind: survey", "type": 1}]


@pytest.mark.parametrize(
    ("name", "access", "may_write"),
    [
        ("users/1", {"user": {"library": True}}, False),
        ("users/3", {"user": {"library": True, "write": True}}, False),
        ("users/1", {"groups": {"all": {"write": True}}}, False),
        ("groups/2", {"groups": {"all": {"library": True, "write": True}}}, True),
        ("groups/2", {"groups": {"all": {"library": True}, "2": {"write": True}}}, True),
        ("groups/2", {"user": {"write": True}, "groups": {"3": {"write": True}}}, False),
        ("groups/2", {}, False),
    ],
)
def test_a_key_without_the_right_is_told_before_anything_is_sent(push, name, access, may_write):
    server, command = push([{"title": "A"}], [row("A")])
    server.access = access
    code, said = command("--apply", "--library", name)
    assert code == (0 if may_write else 2)
    if not may_write:
        assert f"may not write to {name}" in said
        assert server.asked == [("GET", "/keys/current")]
        if name != "users/3":
            code, said = command("--library", name)
            assert (code, f"may not write to {name}" in said) == (0, True)


BUSY = (429, {"Retry-After": "7"})
WRITE = [(), ()]


@pytest.mark.parametrize(
    ("answers", "code", "waited", "said"),
    [
        ([BUSY, (), BUSY, *WRITE], 0, [7, 7], "1 of 1 changed"),
        ([(), BUSY, (503, {"Retry-After": "3"})], 0, [7, 3], "1 of 1 changed"),
        ([*WRITE, BUSY], 0, [7], "1 of 1 changed"),
        ([(500, {})], 0, None, "1 of 1 changed"),
        ([*WRITE, (500, {})], 0, None, "1 of 1 changed"),
        ([None], 0, None, "1 of 1 changed"),
        ([BUSY] * 9, 2, [7] * 3, "fewer requests"),
        ([*WRITE, *[(500, {})] * 9], 2, None, "error 500"),
        ([None] * 9, 2, None, "does not answer"),
        ([*WRITE, *[None] * 9], 2, None, "does not answer"),
        ([*WRITE, (409, {})], 2, [], "is locked"),
        ([(403, {})], 2, [], "key is wrong"),
        ([(200, {})], 2, [], "not that of Zotero"),
        ([(), (200, {})], 2, [], "not that of Zotero"),
    ],
)  # fmt: skip
def test_what_the_server_answers_is_heeded_or_told(push, waits, answers, code, waited, said):
    server, command = push([{"title": "A", "tags": MINE}], [row("A")])
    server.next = [*answers]
    found = command("--apply")
    assert (found[0], said in found[1]) == (code, True), found
    assert waited is None or waits == waited
    changed = len(server.items["KEY00000"]["tags"]) == len(MINE) + 1
    assert changed == (code == 0)


def test_backoff_is_waited_for(push, waits):
    server, command = push([{"title": "A"}], [row("A")])
    server.headers = {"Backoff": "9"}
    assert command("--apply")[0] == 0
    assert [round(wait) for wait in waits] == [9, 9]


def test_what_was_written_before_a_failure_is_not_sent_again(push):
    titles = [f"Paper number {number}" for number in range(60)]
    server, command = push([{"title": title} for title in titles], map(row, titles))
    server.next = [*[()] * 3, *[(500, {})] * 4]
    code, said = command("--apply", "--show", "0")
    assert (code, "50 of 60 changed" in said, "error 500" in said) == (2, True, True)
    assert "50 have their tags, 10 of 10 changed" in command("--apply")[1]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KEY", ""),
        ("KEY", "wrong"),
        ("KEY", "\u00e9"),
        ("URL", "http://api.example.org"),
        ("URL", "http://127.0.0.1:1"),
        ("URL", "https://[::1"),
    ],
)
def test_a_wrong_key_or_address_is_one_line(push, monkeypatch, variable, value):
    _, command = push([], [row("A")])
    monkeypatch.setenv(f"ZOTERO_API_{variable}", value)
    assert command()[0] == 2
    assert command("--library", "mine")[0] == 2
