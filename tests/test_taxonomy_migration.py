import json
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from helpers.samples import label_line, write_taxonomy
from helpers.tiny_model import save_tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger import taxonomy_history
from tagger.cli.output import load_model_for
from tagger.decision import ReviewRule, decide
from tagger.errors import TaggerError
from tagger.labels import Label, LabelStore, Origin, Prediction, find_conflicts
from tagger.model import load_model
from tagger.paper import Paper
from tagger.taxonomy import Facet, Tag, Taxonomy, load_taxonomy, parse_taxonomy
from tagger.taxonomy_changes import AddTag, MergeTags, RenameTag, RetireTag, SplitTag
from tagger.taxonomy_history import open_history
from tagger.taxonomy_migration import (
    count_tags,
    make_change_in,
    papers_to_rereview,
    plan_change,
)
from tagger.training_data import TrainingData

SPLIT_LAW = SplitTag(
    facet="field", tag="law", into=("civil", "penal"), definitions={"civil": "C.", "penal": "P."}
)


def change(folder, one, **options):
    return make_change_in(LabelStore(folder), one, "ann", **options)


def correct(folder, title, tags, time=None, **fields):
    """Add a correction in today's terms, as a pull does."""
    store = LabelStore(folder)
    said = {"outcome": "tagged", "annotator": "ann", "source": "review", **fields}
    time = time or datetime.now(UTC)
    label = Label(
        title=title, text="", tags=tags, time=time, taxonomy=store.taxonomy.version, **said
    )
    store.add_corrections(lambda _: [label])


def tags_of(folder):
    return {label.title: label.tags for label in LabelStore(folder).labels()}


def asked(folder):
    return {one.paper.title: one.facets for one in papers_to_rereview(LabelStore(folder))}


def test_labels_follow_and_their_files_stay(label_folder):
    before = (label_folder / "seed.jsonl").read_bytes()
    entry = change(label_folder, RenameTag(facet="kind", tag="survey", into="review"), reason="r")
    store = LabelStore(label_folder)
    assert (label_folder / "seed.jsonl").read_bytes() == before
    assert tags_of(label_folder)["Title 0"]["kind"] == ("review",)
    assert {label.taxonomy for label in store.all_labels()} == {store.taxonomy.version}
    assert (entry.who, entry.reason, entry.to_version) == ("ann", "r", store.taxonomy.version)
    assert entry.before.version == entry.from_version
    assert store.misfits() == []
    assert count_tags(store.labels(), store.taxonomy)["kind"] == {
        "review": 4,
        "method": 4,
        "study": 4,
    }


def test_what_a_model_had_said_follows_too(label_folder):
    prediction = Prediction(model="tagger/1", tags={"kind": ("survey",), "field": ("law",)})
    correct(label_folder, "Title 0", {"kind": ("survey",)}, prediction=prediction)
    change(label_folder, RenameTag(facet="kind", tag="survey", into="review"))
    change(label_folder, RetireTag(facet="field", tag="law"))
    label = LabelStore(label_folder).all_labels()[-1]
    assert label.prediction.tags == {"kind": ("review",), "field": ()}


def test_a_plan_tells_what_a_change_does_and_writes_nothing(label_folder):
    before = sorted(path.read_bytes() for path in label_folder.glob("*.*"))
    store = LabelStore(label_folder)
    plan = plan_change(store, RetireTag(facet="kind", tag="survey"))
    assert (plan.labels, plan.labels_changed, plan.papers_unjudged) == (12, 4, 4)
    assert (plan.papers_to_review, plan.papers_concerned, plan.becomes_tree) == (4, 0, None)
    plan = plan_change(store, AddTag(facet="field", tag="sea", definition="The sea."))
    assert (plan.labels_changed, plan.papers_concerned, plan.papers_to_review) == (0, 12, 0)
    assert plan_change(store, RetireTag(facet="field", tag="heart")).becomes_tree is False
    assert plan_change(store, SPLIT_LAW).papers_to_review == 3
    assert sorted(path.read_bytes() for path in label_folder.glob("*.*")) == before


def test_a_name_may_be_used_anew_and_each_label_means_what_it_meant(label_folder):
    correct(label_folder, "Old", {"field": ("law",)})
    change(label_folder, RenameTag(facet="field", tag="law", into="justice"))
    change(label_folder, AddTag(facet="field", tag="law", definition="Laws of nature."))
    correct(label_folder, "New", {"field": ("law",)})
    with (label_folder / "seed.jsonl").open("a", encoding="utf-8") as file:
        now = datetime.now(UTC).isoformat()
        file.write(label_line("By hand", tags={"field": ["law"]}, time=now) + "\n")
    tags = tags_of(label_folder)
    assert tags["Old"]["field"] == ("justice",)
    assert tags["New"]["field"] == tags["By hand"]["field"] == ("law",)
    assert tags["Title 3"]["field"] == ("justice",)


def test_labels_of_the_future_are_older_than_the_change(label_folder):
    line = label_line("From 2199", tags={"kind": ["survey"]}, time="2199-01-01T00:00:00Z")
    with (label_folder / "seed.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    change(label_folder, RenameTag(facet="kind", tag="survey", into="review"))
    change(label_folder, RenameTag(facet="kind", tag="review", into="overview"))
    assert tags_of(label_folder)["From 2199"] == {"kind": ("overview",)}


def test_a_version_that_comes_again_is_told_by_time(label_folder):
    add = AddTag(facet="field", tag="sea", definition="The sea.")
    change(label_folder, add)
    correct(label_folder, "Before", {"field": ("sea",)})
    change(label_folder, RetireTag(facet="field", tag="sea"))
    change(label_folder, add)
    correct(label_folder, "After", {"field": ("sea",)})
    first, _, third = LabelStore(label_folder).history.entries
    assert first.to_version == third.to_version
    tags = tags_of(label_folder)
    assert (tags["Before"]["field"], tags["After"]["field"]) == ((), ("sea",))


def test_a_taxonomy_edited_by_hand_in_between_does_not_break_the_history(label_folder):
    change(label_folder, RenameTag(facet="field", tag="law", into="justice"))
    path = label_folder / "taxonomy.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("Law.", "The law."), encoding="utf-8")
    correct(label_folder, "Between", {"field": ("justice",)})
    change(label_folder, RenameTag(facet="field", tag="justice", into="courts"))
    assert tags_of(label_folder)["Between"]["field"] == ("courts",)
    assert tags_of(label_folder)["Title 3"]["field"] == ("courts",)


def test_a_tag_taken_out_by_hand_is_named_with_what_to_do(label_folder):
    changed = yaml.safe_load((label_folder / "taxonomy.yaml").read_text(encoding="utf-8"))
    del changed["facets"][0]["tags"][0]
    write_taxonomy(label_folder, Taxonomy.model_validate(changed))
    store = LabelStore(label_folder)
    with pytest.raises(TaggerError, match="unknown tag 'survey'") as caught:
        store.all_labels()
    assert "tagger taxonomy rename" in caught.value.hint
    misfits = store.misfits()
    assert [misfit.line for misfit in misfits] == [1, 4, 7, 10]
    with pytest.raises(TaggerError, match="unknown tag 'survey'"):
        plan_change(store, RenameTag(facet="kind", tag="study", into="survey"))


def test_a_change_waits_for_nobody_else_to_change_the_file(label_folder):
    store = LabelStore(label_folder)
    change(label_folder, RenameTag(facet="field", tag="law", into="justice"))
    with pytest.raises(TaggerError, match="changed meanwhile"):
        make_change_in(store, RenameTag(facet="field", tag="heart", into="hearts"), "ann")
    assert len(open_history(label_folder).entries) == 1


class Killed(BaseException):
    pass


def kill_before_write(number):
    """Return a stand-in for ``replacing`` that is killed at its n-th call, from 0."""
    calls = []

    def replacing(path):
        calls.append(path)
        if len(calls) > number:
            raise Killed
        return original(path)

    original = taxonomy_history.replacing
    return replacing


@pytest.mark.parametrize(("write", "done"), [(0, False), (1, True)])
def test_a_change_that_is_killed_is_undone_or_finished(label_folder, monkeypatch, write, done):
    before = (label_folder / "taxonomy.yaml").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(taxonomy_history, "replacing", kill_before_write(write))
        with pytest.raises(Killed):
            change(label_folder, RenameTag(facet="kind", tag="survey", into="review"))
    assert (label_folder / "taxonomy.yaml").read_bytes() == before
    names = LabelStore(label_folder).taxonomy.facet("kind").tag_names
    assert names[0] == ("review" if done else "survey")
    assert load_taxonomy(label_folder / "taxonomy.yaml").facet("kind").tag_names == names
    assert tags_of(label_folder)["Title 0"]["kind"] == names[:1]
    assert not list(label_folder.glob("*.tmp"))


def test_a_damaged_history_is_named_by_line_and_field(label_folder):
    change(label_folder, RenameTag(facet="kind", tag="survey", into="review"))
    path = label_folder / "taxonomy_history.jsonl"
    good = path.read_text(encoding="utf-8")
    path.write_text(good + good.replace('"rename"', '"vanish"'), encoding="utf-8")
    with pytest.raises(TaggerError) as caught:
        LabelStore(label_folder)
    assert (caught.value.path, caught.value.line) == (str(path), 2)
    assert "change" in caught.value.field


def test_papers_of_a_split_tag_are_asked_about_until_somebody_answers(label_folder):
    correct(label_folder, "Title 4", {"field": ("health",)})
    change(label_folder, SPLIT_LAW)
    # Title 4 was corrected before the split: it is no paper of the tag.
    assert asked(label_folder) == {"Title 3": ["field"], "Title 5": ["field"]}
    [first, _] = papers_to_rereview(LabelStore(label_folder))
    assert first.reason == "Recheck: look at field, which has new tags: civil, penal."
    correct(label_folder, "Title 3", {"field": ("law", "penal")})
    correct(label_folder, "Title 5", {"kind": ("study",)})
    assert asked(label_folder) == {"Title 5": ["field"]}
    correct(label_folder, "Title 5", {}, outcome="not-a-paper")
    assert asked(label_folder) == {}


def test_what_was_answered_in_terms_of_before_the_split_is_asked_again(label_folder):
    change(label_folder, SPLIT_LAW)
    store = LabelStore(label_folder)
    early = Label(
        title="Late home",
        text="",
        tags={"field": ("law",)},
        annotator="ann",
        time=datetime.now(UTC),
        source="review",
        taxonomy=store.history.version_at(0),
    )
    store.add_corrections(lambda _: [early])
    assert "Late home" in asked(label_folder)


def test_nothing_is_asked_about_tags_that_are_gone_again(label_folder):
    change(label_folder, SPLIT_LAW)
    assert len(asked(label_folder)) == 3
    change(label_folder, RenameTag(facet="field", tag="civil", into="private"))
    assert len(asked(label_folder)) == 3
    change(label_folder, MergeTags(facet="field", tags=("private",), into="law"))
    assert len(asked(label_folder)) == 3
    change(label_folder, RetireTag(facet="field", tag="penal"))
    assert asked(label_folder) == {}


def test_papers_without_an_answer_are_asked_about(label_folder):
    change(label_folder, RetireTag(facet="kind", tag="survey"))
    assert asked(label_folder) == {f"Title {n}": ["kind"] for n in (0, 3, 6, 9)}
    assert "kind" not in tags_of(label_folder)["Title 0"]
    change(label_folder, AddTag(facet="field", tag="lungs", definition="L.", parent="health"))
    assert len(asked(label_folder)) == 4
    change(
        label_folder,
        AddTag(facet="field", tag="veins", definition="V.", parent="health", queue=True),
    )
    assert asked(label_folder)["Title 0"] == ["kind", "field"]
    assert set(asked(label_folder)) == {f"Title {n}" for n in (0, 1, 2, 3, 6, 9, 10, 11)}


def test_a_paper_whose_only_answer_was_retired_is_not_trained_on_and_not_lost(label_folder):
    correct(label_folder, "Alone", {"kind": ("survey",)})
    change(label_folder, RetireTag(facet="kind", tag="survey"))
    assert "Alone" not in tags_of(label_folder)
    assert "Alone" in asked(label_folder)
    assert [label.title for label in LabelStore(label_folder).all_labels()][-1] == "Alone"


def test_no_model_trained_after_a_retirement_can_give_the_tag(label_folder, tmp_path):
    old = save_tiny_model(tmp_path / "old", LabelStore(label_folder).taxonomy)
    change(label_folder, RetireTag(facet="kind", tag="survey"))
    change(label_folder, RetireTag(facet="field", tag="law"))
    store = LabelStore(label_folder)
    data = TrainingData.of(store.labels(), store.taxonomy)
    assert [data.truth[name].shape[1] for name in ("kind", "field")] == [2, 2]
    assert int(data.judged["kind"].sum()) == 8
    new = load_model(save_tiny_model(tmp_path / "new", store.taxonomy))
    papers = [Paper(f"On the heart, the court and survey {n}", "A trial.") for n in range(20)]
    chances = new.predict_proba(papers)
    for decision in decide(papers, chances, new.taxonomy, new.name, ReviewRule()):
        assert set(decision.confidence["kind"]) == {"method", "study"}
        assert set(decision.confidence["field"]) == {"health", "heart"}
        assert decision.taxonomy == store.taxonomy.version
    with pytest.raises(TaggerError, match="was trained for another taxonomy"):
        load_model_for(store, str(old))


def test_a_snapshot_of_the_labels_can_be_read_alone(label_folder, tmp_path):
    change(label_folder, RenameTag(facet="kind", tag="survey", into="review"))
    snapshot = LabelStore(label_folder).snapshot()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name, content in snapshot.files.items():
        (copy / name).write_bytes(content)
    assert LabelStore(copy).labels() == list(snapshot.labels)


def test_what_a_retired_tag_implied_is_not_lost(label_folder):
    correct(label_folder, "Beat", {"field": ("heart",)})
    assert tags_of(label_folder)["Beat"]["field"] == ("health", "heart")
    change(label_folder, RetireTag(facet="field", tag="heart"))
    assert tags_of(label_folder)["Beat"]["field"] == ("health",)


def test_what_merged_tags_implied_is_not_lost(label_folder):
    correct(label_folder, "Beat", {"field": ("heart",)})
    both = MergeTags(facet="field", tags=("heart", "law"), into="both", definition="Both.")
    change(label_folder, both)
    assert tags_of(label_folder)["Beat"]["field"] == ("health", "both")


def test_answers_that_imply_the_same_are_in_no_conflict(label_folder):
    prediction = Prediction(model="tagger/1", tags={"field": ("law",)})
    correct(label_folder, "Court", {"field": ("law",)}, annotator="a", prediction=prediction)
    change(label_folder, RetireTag(facet="field", tag="law", into="heart"))
    correct(label_folder, "Court", {"field": ("health", "heart")}, annotator="b")
    labels = LabelStore(label_folder).all_labels()
    assert find_conflicts(labels) == []
    assert labels[-2].prediction.tags == {"field": ("health", "heart")}
    correct(label_folder, "Court", {"field": ("heart",)}, annotator="b")
    assert find_conflicts(LabelStore(label_folder).all_labels()) == []


def test_a_paper_called_by_its_identifier_since_is_the_paper_of_the_title(label_folder):
    change(label_folder, SPLIT_LAW)
    assert "Title 3" in asked(label_folder)
    correct(label_folder, "Title 3", {"field": ("law", "civil")}, id="doi:10.1234/a")
    assert "Title 3" not in asked(label_folder)


def test_a_store_that_is_held_open_learns_of_changes(label_folder):
    held = LabelStore(label_folder)
    change(label_folder, RenameTag(facet="field", tag="law", into="justice"))
    change(label_folder, AddTag(facet="field", tag="law", definition="Laws of nature."))
    correct(label_folder, "Elsewhere", {"field": ("law",)})

    def choose(labels):
        assert labels[-1].tags == {"field": ("law",)}
        return [labels[-1].model_copy(update={"title": "Here", "taxonomy": held.taxonomy.version})]

    held.add_corrections(choose)
    assert tags_of(label_folder)["Here"]["field"] == ("law",)


def test_a_snapshot_is_of_the_taxonomy_in_its_files(label_folder):
    held = LabelStore(label_folder)
    change(label_folder, RenameTag(facet="kind", tag="survey", into="review"))
    snapshot = held.snapshot()
    assert snapshot.taxonomy == LabelStore(label_folder).taxonomy
    assert snapshot.labels[0].tags["kind"] == ("review",)


def test_a_snapshot_taken_while_the_taxonomy_changes_is_of_one_time(label_folder, monkeypatch):
    held, whole = LabelStore(label_folder), LabelStore.labels
    late = [RenameTag(facet="kind", tag="survey", into="review")]

    def labels(store, conflicts):
        found = whole(store, conflicts)
        while late:
            change(label_folder, late.pop())
        return found

    monkeypatch.setattr(LabelStore, "labels", labels)
    snapshot = held.snapshot()
    taxonomy = parse_taxonomy(snapshot.files["taxonomy.yaml"].decode(), label_folder)
    assert snapshot.taxonomy == taxonomy
    assert snapshot.labels[0].tags["kind"] == ("review",)


NAMES = ["a", "b", "c", "d", "e", "f", "g"]
START = datetime(2026, 1, 1, tzinfo=UTC)


@st.composite
def facets(draw, name, exclusive):
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True))
    tags = [
        Tag(
            name=tag,
            definition=f"About {tag}.",
            parent=draw(st.sampled_from([None, *names[:number]])),
        )
        for number, tag in enumerate(names)
    ]
    return Facet(name=name, definition="A question.", exclusive=exclusive, tags=tuple(tags))


@st.composite
def answers(draw, taxonomy):
    tags = {}
    for facet in taxonomy.facets:
        if facet.exclusive:
            tags[facet.name] = (draw(st.sampled_from(facet.tag_names)),)
        else:
            given_tags = draw(st.sets(st.sampled_from(facet.tag_names)))
            tags[facet.name] = tuple(sorted(given_tags))
    only = draw(st.sampled_from([None, *tags]))
    return {only: tags[only]} if only else tags


@st.composite
def changes(draw, taxonomy):
    facet = draw(st.sampled_from(taxonomy.facets))
    name = st.sampled_from(NAMES)
    there = st.sampled_from(facet.tag_names)
    kind = draw(st.sampled_from([AddTag, RenameTag, MergeTags, SplitTag, RetireTag]))
    if kind is AddTag:
        fields = {
            "tag": draw(name),
            "parent": draw(st.none() | there),
            "queue": draw(st.booleans()),
        }
    elif kind is MergeTags:
        fields = {"tags": draw(st.lists(there, min_size=1, max_size=3)), "into": draw(name)}
    elif kind is SplitTag:
        into = draw(st.lists(name, min_size=2, max_size=2))
        fields = {"tag": draw(there), "into": into}
        fields["definitions"] = {new: f"About {new}." for new in into}
    elif kind is RenameTag:
        fields = {"tag": draw(there), "into": draw(name)}
    else:
        fields = {"tag": draw(there), "into": draw(st.none() | there)}
    if kind in (AddTag, MergeTags):
        fields["definition"] = f"About {draw(name)}."
    return kind(facet=facet.name, **fields)


@settings(max_examples=30)
@given(st.data())
def test_whatever_is_changed_every_label_reads_and_fits(data):
    """The oracle rewrites each label at each change; some changes are killed midway."""
    taxonomy = Taxonomy(
        name="made", facets=(data.draw(facets("one", True)), data.draw(facets("many", False)))
    )
    folder = Path(tempfile.mkdtemp())
    try:
        write_taxonomy(folder, taxonomy)
        given_answers = [data.draw(answers(taxonomy)) for _ in range(4)]
        expected = [taxonomy.with_ancestors(tags) for tags in given_answers]
        times = [START + timedelta(days=n) for n in range(4)]
        lines = [
            label_line(f"Seed {n}", tags=tags, time=time.isoformat())
            for n, (tags, time) in enumerate(zip(given_answers, times, strict=True))
        ]
        (folder / "seed.jsonl").write_text("\n".join(lines), encoding="utf-8")
        for step in range(data.draw(st.integers(1, 6))):
            store = LabelStore(folder)
            one = data.draw(changes(store.taxonomy))
            facet = store.taxonomy.facet(one.facet)
            papers = len(store.labels())
            history = len(store.history.entries)
            with pytest.MonkeyPatch.context() as patch:
                if data.draw(st.booleans(), "killed"):
                    patch.setattr(taxonomy_history, "replacing", kill_before_write(1))
                try:
                    make_change_in(store, one, "ann")
                except TaggerError:
                    assert LabelStore(folder).taxonomy == store.taxonomy
                    continue
                except Killed:
                    pass
            store = LabelStore(folder)
            expected = [
                store.taxonomy.with_ancestors(one.rewrite(tags, facet)) for tags in expected
            ]
            assert len(store.history.entries) == history + 1
            assert store.taxonomy == one.apply(store.history.entries[-1].before)
            assert [label.tags for label in store.all_labels()] == expected
            assert store.misfits() == []
            loses = isinstance(one, RetireTag) and facet.exclusive and one.into is None
            assert loses or len(store.labels()) == papers
            papers_to_rereview(store)
            if data.draw(st.booleans(), "labelled"):
                answer = data.draw(answers(store.taxonomy))
                expected.append(store.taxonomy.with_ancestors(answer))
                correct(folder, f"Review {step}", answer)
    finally:
        shutil.rmtree(folder)


def test_annotations_keep_their_identity_through_a_change(label_folder):
    now = datetime.now(UTC)
    origin = Origin(annotation="u-1", updated=now, project="1/now", task=1)
    correct(label_folder, "Title 0", {"kind": ("survey",)}, origin=origin)
    change(label_folder, RenameTag(facet="kind", tag="survey", into="review"))
    correct(label_folder, "Title 0", {"kind": ("study",)}, origin=origin)
    assert tags_of(label_folder)["Title 0"]["kind"] == ("study",)
    lines = (label_folder / "corrections.jsonl").read_text(encoding="utf-8").splitlines()
    versions = [json.loads(line)["taxonomy"] for line in lines]
    assert len(set(versions)) == 2
