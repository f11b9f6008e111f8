import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import label_line

from tagger.errors import TaggerError
from tagger.labels import Label, LabelStore, merge_labels
from tagger.paper import paper_id

START = datetime(2026, 1, 1, tzinfo=UTC)
tags = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from([("survey",), ("method",)]),
        "field": st.sets(st.sampled_from(["law", "health"])).map(lambda s: tuple(sorted(s))),
    },
).filter(bool)
labels = st.lists(
    st.builds(
        lambda title, tags, hours, source: Label(
            id=paper_id(title),
            title=title,
            text="",
            tags=tags,
            annotator="ann",
            time=START + timedelta(hours=hours),
            source=source,
        ),
        st.sampled_from(["one", "two", "three"]),
        tags,
        st.integers(0, 3),
        st.sampled_from(["seed", "review"]),
    ),
    max_size=12,
)


@given(labels)
def test_merging_gives_one_label_a_paper_and_loses_no_facet(said):
    merged = merge_labels(said)
    assert [label.id for label in merged] == list(dict.fromkeys(label.id for label in said))
    for label in merged:
        own = [other for other in said if other.id == label.id]
        assert set(label.tags) == {facet for other in own for facet in other.tags}
        for facet, given_tags in label.tags.items():
            spoke = [other for other in own if facet in other.tags]
            reviews = [other for other in spoke if other.source == "review"] or spoke
            latest = max(other.time for other in reviews)
            assert given_tags == [o for o in reviews if o.time == latest][-1].tags[facet]


@given(labels)
def test_merging_twice_changes_nothing(said):
    merged = merge_labels(said)
    assert merge_labels(merged) == merged


def test_the_shipped_seed_is_balanced_as_promised():
    store = LabelStore("labels")
    seed = store.labels()
    assert 100 <= len(seed) <= 150
    counts = Counter(tag for label in seed for tags in label.tags.values() for tag in tags)
    contribution, domain = store.taxonomy.facets
    assert min(counts[tag] for tag in contribution.tag_names) >= 12
    assert min(counts[tag] for tag in domain.tag_names) >= 6
    for label in seed:
        assert set(label.tags) == {"contribution", "domain"}
        assert 30 <= len(label.text.split()) <= 150


def test_no_seed_label_is_a_paper_of_the_gold_set(shared):
    gold = (shared / "gold" / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    known = {paper_id(json.loads(line)["title"]) for line in gold}
    assert not known & {label.id for label in LabelStore("labels").labels()}


def test_a_correction_outweighs_the_seed_and_is_on_disk(label_folder):
    store = LabelStore(label_folder)
    seed = store.labels()[0]
    assert seed.tags["kind"] == ("survey",)
    store.add_correction(
        seed.model_copy(update={"tags": {"kind": ("study",)}, "source": "review", "time": START})
    )
    label = LabelStore(label_folder).labels()[0]
    assert label.tags == {"kind": ("study",), "field": seed.tags["field"]}
    assert len(LabelStore(label_folder).all_labels()) == 13


def test_a_correction_with_an_unknown_tag_is_not_written(label_folder):
    store = LabelStore(label_folder)
    wrong = store.labels()[0].model_copy(update={"tags": {"kind": ("poem",)}})
    with pytest.raises(TaggerError, match="unknown tag 'poem'"):
        store.add_correction(wrong)
    assert not (label_folder / "corrections.jsonl").exists()


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (label_line("A", tags={"kind": ["poem"]}), "tags.kind", "unknown tag 'poem'"),
        (label_line("A", tags={"colour": ["red"]}), "tags", "unknown facet"),
        (label_line("A", tags={}), "tags", "at least 1"),
        (label_line("A", annotator=""), "annotator", "at least 1"),
        (label_line("A", time="yesterday"), "time", "datetime"),
        (label_line("A", time="2026-01-01T00:00:00"), "time", "timezone"),
        (label_line("A", source="guess"), "source", "'seed' or 'review'"),
        (label_line("A", extra=1), "extra", "unknown field"),
        ('{"title": "A"}', "text", "missing"),
        ('{"title": ', None, "not JSON"),
        ("[]", None, "fields with values are needed"),
        ("1" * 5000, None, "not JSON"),
        (label_line(None), "title", "valid string"),
        (label_line("\ud800"), "title", "unicode"),
        (label_line("A", tags={"kind": "method"}), "tags.kind", "a list is needed"),
        ("[" * 100_000, None, "nested too deeply"),
    ],
)
def test_errors_name_file_line_and_field(label_folder, line, field, reason):
    seed = label_folder / "seed.jsonl"
    good = seed.read_text(encoding="utf-8")
    seed.write_text(good + line + "\n", encoding="utf-8")
    with pytest.raises(TaggerError, match=reason) as caught:
        LabelStore(label_folder).labels()
    assert (caught.value.path, caught.value.line) == (str(seed), 13)
    assert caught.value.field == field


def test_missing_folder_and_wrong_encoding_are_named(tmp_path, label_folder):
    with pytest.raises(TaggerError, match="no such label folder"):
        LabelStore(tmp_path / "none")
    (label_folder / "seed.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(TaggerError, match="not UTF-8"):
        LabelStore(label_folder).labels()


def test_hashes_change_with_the_files(label_folder):
    store = LabelStore(label_folder)
    before = store.hashes()
    (label_folder / "seed.jsonl").write_text(label_line("A") + "\n", encoding="utf-8")
    assert store.hashes()["seed.jsonl"] != before["seed.jsonl"]
    assert set(before) == {"taxonomy.yaml", "seed.jsonl"}
