"""Taxonomy files that were made to fill the memory, to take ages, or to look like others."""

from pathlib import Path

import pytest

from tagger.errors import TaggerError
from tagger.json_lines import read_lines
from tagger.labels import Label
from tagger.taxonomy import MOST_LEVELS, parse_taxonomy

PATH = Path("taxonomy.yaml")


def taxonomy(definition="It is.", tags=""):
    return (
        f'name: small\nfacets:\n  - name: kind\n    definition: "{definition}"\n    tags:\n'
        "      - {name: first, definition: One.}\n" + tags
    )


def chain(length):
    lines = ["      - {name: t0, definition: A.}"]
    lines += [f"      - {{name: t{n}, definition: A., parent: t{n - 1}}}" for n in range(1, length)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &a [1]\nb: [*a, *a, *a]", "anchors and aliases"),
        ("[" * 100_000, "nested too deeply"),
        ("- " * 10_000, "nested too deeply"),
        ("a: !!python/object/apply:os.system [x]", "YAML types"),
        ("a: !!int '1:1'", "YAML types"),
        ("a: x" * 200_000, "more than the 500,000"),
        (taxonomy(definition="\\x1b[31m"), r"U\+001B is no part of a text"),
        (taxonomy(definition="\\u202ekcab"), r"U\+202E is no part of a text"),
        (taxonomy(tags=chain(MOST_LEVELS + 2)), f"more than {MOST_LEVELS} tags stand above"),
        (taxonomy().replace("name: first", "name: fіrst"), "lower-case"),  # Cyrillic
        (taxonomy().replace("name: first", "name: ../first"), "lower-case"),
    ],
)
def test_a_trap_is_refused(text, reason):
    with pytest.raises(TaggerError, match=reason):
        parse_taxonomy(text, PATH)


def test_numbers_are_texts():
    # As a number in base 60, this one would take minutes to work out.
    text = taxonomy().replace("name: small", "name: " + "1:" * 100_000 + "1")
    with pytest.raises(TaggerError, match="lower-case"):
        parse_taxonomy(text, PATH)
    found = parse_taxonomy(taxonomy(tags="      - {name: 2024, definition: 7}\n"), PATH)
    assert found.facets[0].tags[1].name == "2024"


def test_tags_may_stand_above_one_another_up_to_a_number():
    found = parse_taxonomy(taxonomy(tags=chain(MOST_LEVELS + 1)), PATH)
    assert len(found.facets[0].ancestors(f"t{MOST_LEVELS}")) == MOST_LEVELS


def test_half_a_surrogate_pair_is_refused_with_its_line(tmp_path):
    path = tmp_path / "seed.jsonl"
    line = '{{"title": "{}", "text": "", "tags": {{"kind": ["a"]}}, "annotator": "ann", '
    line += '"time": "2026-01-01T00:00:00Z", "source": "seed"}}\n'
    path.write_text(line.format("\\ud83d\\ude00") + line.format("\\ud83d"), encoding="utf-8")
    lines = read_lines(path, Label)
    assert next(lines)[1].title == "\U0001f600"
    with pytest.raises(TaggerError, match="half a surrogate pair") as caught:
        next(lines)
    assert caught.value.line == 2
