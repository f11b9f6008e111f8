"""What others wrote is shown in a terminal, and not obeyed."""

import io
import json
import re
from pathlib import Path

import pytest
from helpers.samples import label_line
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from tagger._util.text_safety import json_printable, printable
from tagger.cli import app
from tagger.cli.console import Console, print_table
from tagger.cli.output import complain, print_json
from tagger.errors import TaggerError

CLI = Path(__file__).parents[2] / "tagger" / "cli"
HOSTILE = "\x1b]52;c;cm0=\x07\x1b]8;;http://x\x1b\\L\x1b[2J\x9b31m\u202ekcab\ud800\U000e0041\r\x7f"
OBEYED = {chr(code) for code in [*range(9), *range(11, 32), *range(127, 160)]}
OBEYED |= set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ud800")


def test_what_a_terminal_obeys_is_written_out():
    assert printable("a\tb\nc é 漢 👩‍🔬") == "a\tb\nc é 漢 👩‍🔬"
    assert printable("\x1b[31m\u202e\ud800\U000e0041") == r"\x1b[31m\u202e\ud800\U000e0041"
    assert not OBEYED & set(printable(HOSTILE))


@given(st.text(st.characters() | st.sampled_from(HOSTILE)))
def test_json_says_the_same_without_anything_to_obey(text):
    written = json_printable(json.dumps({"title": text}, ensure_ascii=False))
    assert not OBEYED & set(written)
    written.encode()
    # As halves of a pair, which Python keeps apart where they were apart.
    again = json.loads(written)["title"]
    assert again.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


def test_tables_show_text_as_text():
    file = io.StringIO()
    console = Console(file=file, highlight=False, width=200, force_terminal=True)
    table = Table(title=HOSTILE)
    table.add_column("[bold]facet[/bold]")
    table.add_row(Text(HOSTILE, "bold"))
    table.add_row(f"[link=http://x]{HOSTILE}")
    console.print(table)
    console.print(HOSTILE, ":smile: [red]")
    shown = file.getvalue()
    # Its own codes for bold and for what is not are all that is left.
    for code in ("\x1b[1m", "\x1b[0m", "\x1b[3m", "\x1b[1;3m"):
        shown = shown.replace(code, "")
    assert not OBEYED & set(shown)
    assert "[link=http://x]" in shown
    assert ":smile: [red]" in shown


def test_a_narrow_terminal_cuts_no_name(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    columns = [f"facet-of-{number}-long-names" for number in range(4)]
    print_table(columns, [columns], columns, "A title")
    read = "".join(capsys.readouterr().out.split())
    assert "…" not in read
    assert all(set(name) <= set(read) for name in columns)
    assert len(re.findall(r"[\w-]", read)) == len(
        re.findall(r"[\w-]", "".join(columns) * 2 + "Atitle")
    )


def test_an_error_is_one_line_to_be_read(capsys):
    complain(TaggerError(f"no '{HOSTILE}'\nerror: forged", path="a\x1b[2Jb"))
    print_json({"title": HOSTILE})
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert not OBEYED & set(printed.err + printed.out)


def test_nothing_is_printed_past_them():
    past = re.compile(r"(?<![\w.])print\(|\b(typer|click)\.s?echo|sys\.stdout\.write")
    files = {path.name for path in CLI.glob("*.py") if past.search(path.read_text("utf-8"))}
    assert files == {"output.py"}
    consoles = [path.name for path in CLI.glob("*.py") if "rich.console" in path.read_text("utf-8")]
    assert consoles == ["console.py"]


@pytest.fixture
def labels(label_folder):
    """A label folder with a title and an annotator that a terminal would obey."""
    title = HOSTILE.replace("\ud800", "")
    lines = [
        label_line(title, text="", tags={"kind": [kind]}, annotator=who, source="review")
        for kind, who in (("method", "ann"), ("study", "\x1b]0;ben\x07"))
    ]
    (label_folder / "corrections.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return label_folder


def test_commands_show_titles_and_names_as_text(labels, saved_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = {"title": HOSTILE, "abstract": "We look. And see.", "doi": "10.1234/\x1b[2J"}
    Path("p.json").write_text(json.dumps(row), encoding="utf-8")
    Path("bad\x1b[2J.json").write_text('{"title": "\x1b]0;x\x07"', encoding="utf-8")
    with_model, with_labels = ("--model", str(saved_model)), ("--labels", str(labels))
    for command in (
        ["tag", "p.json", "bad\x1b[2J.json", *with_model],
        ["tag", "p.json", *with_model, "--json"],
        ["explain", "kcab", "p.json", *with_model],
        ["explain", "\x1b[2J nothing", "p.json", *with_model],
        ["taxonomy", "check", *with_labels],
        ["taxonomy", "show", *with_labels],
        ["report", "tagged", *with_labels],
    ):
        done = CliRunner().invoke(app, command)
        assert isinstance(done.exception, SystemExit | TaggerError | None), command
        if not isinstance(done.exception, TaggerError):
            assert done.output, command
            assert not OBEYED & set(done.output), command
