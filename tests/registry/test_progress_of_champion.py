"""What ``tagger review status`` says of the champion."""

import pytest
from helpers.samples import label_of

from tagger.cli.review_status import measure, parse_goals, progress_lines
from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.review import review_status


def audit(store, titles):
    """Add audit labels, of which the model had said the same."""
    prediction = {"model": "tagger/1", "tags": {"kind": ["method"]}, "shown": False}
    changes = {"source": "review", "queue": "audit", "prediction": prediction}
    labels = [label_of(title, text="A heart.", **changes) for title in titles]
    store.add_corrections(lambda _: labels)


def test_the_champion_is_measured_on_the_audit_sample(registry, log, label_folder):
    store = LabelStore(label_folder)
    goals = parse_goals(["kind=0.5"], 0.9, store.taxonomy)
    with pytest.raises(TaggerError, match="there is none"):
        measure(store, "latest", goals, 20)
    audit(store, ["Audited 1", "Audited 2"])
    found = review_status([], store.all_labels(), store.taxonomy)
    [*_, said] = progress_lines(found, *measure(store, "latest", {}, 20), 20)
    assert "2 audit papers right when sent" in said
    log(right=0.5)
    registry.set_alias("champion", log(right=1.0, seed=1))
    # The champion was trained on two of these; it has yet to predict the third.
    audit(store, ["Audited 3"])
    name, progress = measure(store, "latest", goals, 20)
    kind, field = progress
    assert (name, kind.facet, field.facet) == ("tagger/2", "kind", "field")
    assert kind.papers == field.papers == 3
    assert kind.accuracy.value >= 2 / 3
    assert kind.last_round is not None
    assert (kind.goal.goal, field.goal) == (goals["kind"], None)
    said = "\n".join(progress_lines(found, name, progress, 20))
    assert "tagger/2" in said
    assert "3 audit papers" in said
    assert "enough for 0.5" in said


@pytest.mark.parametrize("text", ["kind", "kind=", "kind=1.5", "other=0.5", "kind=nan"])
def test_a_goal_that_makes_no_sense_is_refused(text, taxonomy):
    with pytest.raises(TaggerError, match="FACET=ACCURACY"):
        parse_goals([text], 0.95, taxonomy)
