import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from helpers.samples import label_line, label_of
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.labels import (
    Label,
    LabelStore,
    Origin,
    current_labels,
    find_conflicts,
    find_contradictions,
    labelled_papers,
    merge_labels,
)
from tagger.papers import Paper, paper_id

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
        lambda title, tags, hours, source: review(title, "ann", hours, tags=tags, source=source),
        st.sampled_from(["one", "two", "three"]),
        tags,
        st.integers(0, 3),
        st.sampled_from(["seed", "review"]),
    ),
    max_size=12,
)


def review(title, annotator, hour=0, **changes):
    fields = {"tags": {"kind": ("method",)}, "source": "review", "outcome": "tagged"}
    fields |= {"text": "", "annotator": annotator, "time": START + timedelta(hours=hour)}
    return Label(title=title, **{**fields, **changes})


@given(labels)
def test_merging_gives_one_label_a_paper_and_loses_no_facet(said):
    merged = merge_labels(said)
    assert merge_labels(merged) == merged
    assert [label.id for label in merged] == list(dict.fromkeys(label.id for label in said))
    for label in merged:
        own = [other for other in said if other.id == label.id]
        assert set(label.tags) == {facet for other in own for facet in other.tags}
        for facet, given_tags in label.tags.items():
            spoke = [other for other in own if facet in other.tags]
            reviews = [other for other in spoke if other.source == "review"] or spoke
            latest = max(other.time for other in reviews)
            assert given_tags == [o for o in reviews if o.time == latest][-1].tags[facet]


def test_a_paper_stays_in_the_audit_sample_when_it_is_looked_at_again():
    audited, again = review("A Title", "b", queue="audit"), review("A Title", "c", queue="recheck")
    assert merge_labels([audited, again])[0].audited
    assert not merge_labels([again])[0].audited


@pytest.mark.parametrize("before", [{"source": "seed"}, {"queue": "confused"}])
def test_an_audit_without_an_answer_makes_no_earlier_label_an_audited_one(before):
    earlier = review("A Title", "a", **before)
    unable = review("A Title", "b", 1, queue="audit", outcome="cannot-tell", tags={})
    [merged] = merge_labels([earlier, unable])
    assert (merged.tags, merged.audited) == (earlier.tags, False)
    assert (merged.source, merged.queue) == (earlier.source, earlier.queue)


def test_labels_by_title_and_doi_are_joined_under_the_first_id():
    seed = label_of("A Title", tags={"kind": ["survey"], "field": []})
    given = review("A title.", "b", id="doi:10.1/a")
    another = label_of("Another", id="doi:10.1/b")
    merged = merge_labels([given, another, seed])
    assert [one.id for one in merged] == [paper_id("A Title"), "doi:10.1/b"]
    assert merged[0].tags == {"kind": ("method",), "field": ()}
    assert len(labelled_papers([seed, given, another])) == 2
    third = review("A Title", "c", tags={"kind": ("study",)})
    [conflict] = find_conflicts([seed, given, third])
    assert set(conflict.answers) == {"b", "c"}
    early = review("A title.", "b", -24, id="doi:10.1/a")
    assert merge_labels([seed, early])[0].id == early.id
    twins = [label_of("Introduction", id=f"doi:10.1/{n}") for n in range(2)]
    assert len(merge_labels(twins)) == 2


def test_papers_that_share_a_doi_keep_their_labels_and_ids_in_any_order():
    titles = ("Graphs and trees", "Deep sea fish of Peru", "A history of bread")
    chapters = [label_of(title, id="doi:10.1/x", source="seed") for title in titles]
    chapters.append(review("Sailing at night", "b", 24 * 365, id="doi:10.1/x"))
    merged = merge_labels(chapters)
    assert [one.title for one in merged] == [one.title for one in chapters]
    ids = {one.title: one.id for one in merged}
    assert len({*ids.values()}) == 4
    # The earliest keeps the id.
    assert ids["A history of bread"] == "doi:10.1/x"
    assert {one.title: one.id for one in merge_labels(chapters[::-1])} == ids
    assert {one.title: one.id for one in merge_labels(merged)} == ids


def test_shipped_seed_labels_are_balanced():
    store = LabelStore("labels")
    seed = store.labels()
    assert len(seed) == 313
    counts = Counter(tag for label in seed for tags in label.tags.values() for tag in tags)
    contribution, domain = store.taxonomy.facets
    assert min(counts[tag] for tag in contribution.tag_names) >= 15
    assert min(counts[tag] for tag in domain.tag_names) >= 15
    for label in seed:
        assert set(label.tags) == {"contribution", "domain"}
        assert 30 <= len(label.text.split()) <= 220


def test_no_seed_label_is_a_paper_of_the_gold_set(shared):
    names = ("dev.jsonl", "dev2.jsonl", "pool.jsonl")
    gold = [line for name in names for line in (shared / "gold" / name).open(encoding="utf-8")]
    known = {paper_id(json.loads(line)["title"]) for line in gold}
    assert not known & {label.id for label in LabelStore("labels").labels()}
    # Of these the tags are there, and no text of others.
    real = [label for label in LabelStore("labels").all_labels() if label.arrived]
    assert known == {label.id for label in real}
    assert {label.text for label in real} == {None}


def test_corrections_overrule_seed_labels(label_folder):
    store = LabelStore(label_folder)
    seed = store.labels()[0]
    assert seed.tags["kind"] == ("survey",)
    correction = {"tags": {"kind": ("study",)}, "source": "review", "time": START}
    store.add_corrections(lambda labels: [labels[0].model_copy(update=correction)])
    label = LabelStore(label_folder).labels()[0]
    assert label.tags == {"kind": ("study",), "field": seed.tags["field"]}
    assert len(LabelStore(label_folder).all_labels()) == 13


def test_a_correction_with_an_unknown_tag_is_not_written(label_folder):
    store = LabelStore(label_folder)
    wrong = store.labels()[0].model_copy(update={"tags": {"kind": ("poem",)}})
    with pytest.raises(TaggerError, match="unknown tag 'poem'"):
        store.add_corrections(lambda _: [wrong])
    assert not (label_folder / "corrections.jsonl").exists()


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (label_line("A", tags={"kind": ["poem"]}), "tags.kind", "unknown tag 'poem'"),
        (label_line("A", tags={"colour": ["red"]}), "tags", "unknown facet"),
        (label_line("A", tags={}), "tags", "at least 1"),
        (label_line("A", outcome="cannot-tell"), "tags", "this outcome"),
        (label_line("A", annotator=""), "annotator", "at least 1"),
        (label_line("A", time="yesterday"), "time", "datetime"),
        (label_line("A", time="2026-01-01T00:00:00"), "time", "timezone"),
        (label_line("A", source="guess"), "source", "'seed' or 'review'"),
        (label_line("A", extra=1), "extra", "unknown field"),
        ('{"title": "A"}', "tags", "missing"),
        ('{"title": ', None, "not valid JSON"),
        ("[]", None, "expected fields"),
        ("1" * 5000, None, "not valid JSON"),
        (label_line(None), "title", "valid string"),
        (label_line("\ud800"), None, "surrogate"),
        (label_line("A", tags={"kind": "method"}), "tags.kind", "expected a list"),
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


def test_snapshot_keeps_the_files(label_folder):
    store = LabelStore(label_folder)
    before = store.snapshot()
    assert list(before.labels) == store.labels()
    assert before.files["seed.jsonl"] == (label_folder / "seed.jsonl").read_bytes()
    (label_folder / "seed.jsonl").write_text(label_line("A") + "\n", encoding="utf-8")
    after = store.snapshot("majority")
    assert (len(before.labels), len(after.labels)) == (12, 1)
    assert after.conflicts == "majority"
    assert after.hashes()["seed.jsonl"] != before.hashes()["seed.jsonl"]
    assert after.hashes()["taxonomy.yaml"] == before.hashes()["taxonomy.yaml"]
    assert set(before.hashes()) == {"taxonomy.yaml", "seed.jsonl"}


def origin(name, hour=0):
    updated = START + timedelta(hours=hour)
    return Origin(annotation=name, updated=updated, project="1/then", task=1)


def kinds(labels, rule):
    return {label.title: label.tags.get("kind") for label in merge_labels(labels, rule)}


def test_conflict_rules_decide():
    labels = [review("A", "c"), review("A", "b", 1), review("A", "a", 2, tags={"kind": ["survey"]})]
    assert kinds(labels, "latest") == {"A": ("survey",)}
    assert kinds(labels, "majority") == {"A": ("method",)}
    assert kinds(labels, "adjudicate") == {}
    [conflict] = find_conflicts(labels, "adjudicate")
    assert conflict.facet == "kind"
    assert conflict.answers == {"a": ("survey",), "b": ("method",), "c": ("method",)}
    assert (conflict.counts, conflict.settled) == (None, False)
    # The latest answer counts, and does not settle anything.
    [conflict] = find_conflicts(labels, "latest")
    assert (conflict.counts, conflict.settled) == (("survey",), False)
    [conflict] = find_conflicts(labels, "majority")
    assert (conflict.counts, conflict.settled) == (("method",), True)
    # The last answer of each counts.
    agreed = [*labels, review("A", "a", 3)]
    assert find_conflicts(agreed) == []
    assert kinds(agreed, "adjudicate") == {"A": ("method",)}
    final = review("A", "d", -5, tags={"kind": ("study",)}, final=True)
    assert kinds([*labels, final], "adjudicate") == {"A": ("study",)}
    for rule in ("latest", "majority", "adjudicate"):
        [conflict] = find_conflicts([*labels, final], rule)
        assert (conflict.counts, conflict.settled) == (("study",), True)


@pytest.mark.parametrize(
    ("answers", "merged"),
    [
        ([("law", "health"), ("law",), ()], {"A": ("law",)}),
        ([("law",), (), ()], {"A": ()}),
        ([("law",), ()], {}),
        ([("law",), ("health",), ("heart",)], {}),
    ],
)
def test_majority_is_counted_per_tag(answers, merged):
    labels = [review("A", str(n), n, tags={"field": tags}) for n, tags in enumerate(answers)]
    found = merge_labels(labels, "majority")
    assert {label.title: label.tags["field"] for label in found} == merged


def test_undecided_conflict_overrules_a_seed_label():
    seed = review("A", "s", tags={"kind": ("study",), "field": ()}, source="seed")
    labels = [seed, review("A", "a", tags={"kind": ("survey",)}), review("A", "b")]
    [label] = merge_labels(labels, "adjudicate")
    assert label.tags == {"field": ()}


def test_seed_labels_that_differ_are_reported_and_no_paper_vanishes():
    def seed(annotator, hour, kind, **changes):
        return review("A", annotator, hour, tags={"kind": (kind,)}, source="seed", **changes)

    labels = [seed("a", 1, "survey"), seed("a", 2, "method"), seed("b", 3, "study")]
    [found] = find_contradictions(labels)
    assert (found.title, found.facet) == ("A", "kind")
    assert found.answers == (("survey",), ("method",), ("study",))
    for rule in ("latest", "majority", "adjudicate"):
        assert [label.tags["kind"] for label in merge_labels(labels, rule)] == [("study",)]
    final = seed("c", 0, "survey", final=True)
    assert find_contradictions([*labels, final]) == []
    assert find_contradictions([labels[0], labels[0], review("A", "d")]) == []


def test_entries_that_are_not_papers_are_left_out():
    seed = review("A", "s", source="seed")
    not_one = review("A", "a", tags={}, outcome="not-a-paper")
    assert merge_labels([seed, not_one]) == []
    said_otherwise = review("A", "b", 1)
    assert kinds([seed, not_one, said_otherwise], "latest") == {"A": ("method",)}
    assert merge_labels([seed, not_one, said_otherwise], "adjudicate") == []
    [conflict] = find_conflicts([not_one, said_otherwise], "adjudicate")
    assert (conflict.facet, conflict.settled) == (None, False)
    cannot_tell = review("A", "a", tags={}, outcome="cannot-tell")
    assert kinds([seed, cannot_tell], "latest") == {"A": ("method",)}


def test_last_line_of_an_annotation_counts():
    first = review("A", "a", tags={"kind": ("survey",)}, origin=origin("u"))
    changed = review("A", "a", 1, origin=origin("u", 1))
    assert current_labels([first, changed]) == [changed]
    gone = review("A", "a", 2, tags={}, outcome="withdrawn", origin=origin("u", 1))
    assert current_labels([first, changed, gone]) == []
    again = review("A", "a", 3, origin=origin("u", 3))
    assert current_labels([first, gone, again]) == [again]


def test_lines_edited_by_hand_stay_byte_for_byte(label_folder):
    path = label_folder / "corrections.jsonl"
    by_hand = "\n  " + label_line("By hand", source="review", note="mine")
    path.write_text(by_hand, encoding="utf-8")
    store = LabelStore(label_folder)
    store.add_corrections(lambda _: [review("New", "a")])
    assert path.read_text(encoding="utf-8").startswith(by_hand + "\n{")
    titles = [label.title for label in store.all_labels()]
    assert titles[-2:] == ["By hand", "New"]


def test_a_label_without_a_text_counts_where_its_text_is_found(label_folder):
    lines = [
        label_line("By Title", text=None, source="review"),
        label_line("Another Name", id="doi:10.1/a", text=None, source="review"),
        label_line("Lost", text=None, source="review"),
        label_line("Only a Title", text="", source="review"),
    ]
    (label_folder / "real.jsonl").write_text("\n".join(lines), encoding="utf-8")
    texts = [
        Paper("BY TITLE.", "Short."),
        Paper("By title", "The longest abstract."),
        Paper("Another Name: A Subtitle", "With an identifier.", identifiers=("doi:10.1/a",)),
        Paper("Lost", ""),
        Paper("Only a title", "This one has no abstract where it was labelled."),
    ]
    found = LabelStore(label_folder, texts).snapshot()
    by_title = {label.title: label.text for label in found.labels}
    assert by_title["By Title"] == "The longest abstract."
    assert by_title["Another Name"] == "With an identifier."
    assert by_title["Only a Title"] == ""
    assert "Lost" not in by_title
    assert found.without_text == 1
    # What is logged with a training holds the texts; the files themselves do not change.
    assert found.files["seed.jsonl"] == (label_folder / "seed.jsonl").read_bytes()
    (label_folder / "copy").mkdir()
    for name, content in found.files.items():
        (label_folder / "copy" / name).write_bytes(content)
    assert tuple(LabelStore(label_folder / "copy").labels()) == found.labels
    without = LabelStore(label_folder).snapshot()
    assert without.without_text == 3
    assert len(without.labels) == len(found.labels) - 2
    assert {"By Title", "Lost"} < {label.title for label in LabelStore(label_folder).all_labels()}


def test_a_correction_without_abstract_does_not_make_a_paper_title_only():
    stored = review("A Title", "ann", text=None)
    title_only = review("A Title", "bob", 1, text="")
    assert merge_labels([stored, title_only])[0].text is None
    assert merge_labels([title_only])[0].text == ""
    known = review("A Title", "ann", text="An abstract.")
    assert merge_labels([stored, known, title_only])[0].text == "An abstract."


@pytest.mark.parametrize(("queue", "audited"), [("random", True), ("confused", False)])
def test_the_queue_of_a_line_of_an_earlier_version_is_read(queue, audited):
    origin = {"annotation": "u-1", "updated": "2026-03-01T10:00:00Z", "project": "1", "task": 3}
    line = {"title": "A Trial", "text": "", "tags": {"kind": ["study"]}, "annotator": "ann"}
    line |= {"time": "2026-03-01T10:00:00Z", "source": "review"}
    label = Label.model_validate({**line, "origin": {**origin, "queue": queue}})
    assert label.audited == audited
    assert Label.model_validate(label.model_dump()) == label
