import pytest
from helpers.samples import label_of

from tagger.labels import find_suspect_labels, merge_labels
from tagger.taxonomy import Facet, Tag, Taxonomy

KINDS = ["survey", "method", "study"]


def labels_and_chances():
    labels, kind, field = [], {}, {}
    for n in range(60):
        tags = {"kind": [KINDS[n % 3]], "field": ["law"] if n % 2 else []}
        labels.append(label_of(f"t-{n}", id=f"t-{n}", tags=tags))
        kind[f"t-{n}"] = [0.9 if k == n % 3 else 0.05 for k in range(3)]
        field[f"t-{n}"] = [0.05, 0.02, 0.95 if n % 2 else 0.05]
    return labels, {"kind": kind, "field": field}


def test_contradicted_labels_are_sorted_by_confidence(taxonomy):
    labels, probabilities = labels_and_chances()
    labels[0] = labels[0].model_copy(update={"tags": {"kind": ("study",), "field": ("law",)}})
    found = find_suspect_labels(labels, probabilities, taxonomy)
    assert [(one.facet, one.id, one.given, one.suggested, one.confidence) for one in found] == [
        ("field", "t-0", ("law",), (), 0.95),
        ("kind", "t-0", ("study",), ("survey",), 0.9),
    ]
    assert [s.facet for s in find_suspect_labels(labels, probabilities, taxonomy, 0.92)] == [
        "field"
    ]


def test_tags_are_given_from_the_threshold_of_the_model(taxonomy):
    labels, probabilities = labels_and_chances()
    probabilities["field"]["t-0"] = [0.05, 0.45, 0.95]
    found = find_suspect_labels(labels, probabilities, taxonomy, thresholds={"field": 0.4})
    assert [one.suggested for one in found] == [("heart", "law")]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"queue": "confused"}, {"queue": "recheck"}),
        ({"queue": "audit"}, {"queue": "recheck"}),
        ({"queue": "recheck"}, {"queue": "confused"}),
        ({"final": True}, {"annotator": "bob"}),
    ],
)
def test_rechecked_and_final_labels_are_not_reported(taxonomy, first, then):
    labels, probabilities = labels_and_chances()
    wrong = {"id": "t-0", "source": "review", "tags": {"kind": ["study"], "field": []}}
    answers = [label_of("t-0", **wrong, **changes) for changes in (first, then)]
    open_ = [one.model_copy(update={"final": False, "queue": None}) for one in answers]
    assert find_suspect_labels(merge_labels(labels + open_), probabilities, taxonomy)
    assert find_suspect_labels(merge_labels(labels + answers), probabilities, taxonomy) == []


def test_correct_labels_and_missing_annotations_are_not_reported(taxonomy):
    labels, probabilities = labels_and_chances()
    assert find_suspect_labels(labels, probabilities, taxonomy) == []
    labels[0] = labels[0].model_copy(update={"tags": {"kind": ("survey",)}})
    del probabilities["kind"]["t-1"]
    assert find_suspect_labels(labels, probabilities, taxonomy) == []
    assert find_suspect_labels(labels, {}, taxonomy) == []


@pytest.mark.parametrize("tags", [(), ("law",), ("health", "heart", "law")])
def test_facet_with_constant_labels_is_skipped(taxonomy, tags):
    labels, probabilities = labels_and_chances()
    same = [label.model_copy(update={"tags": {"field": tags}}) for label in labels]
    assert find_suspect_labels(same, probabilities, taxonomy) == []
    assert find_suspect_labels(same[:1], probabilities, taxonomy) == []


def test_a_facet_of_one_tag_can_be_audited():
    facet = Facet(name="old", definition="Old?", tags=(Tag(name="old", definition="Old."),))
    labels, _ = labels_and_chances()
    probabilities = {label.id: [0.95 if n % 2 else 0.05] for n, label in enumerate(labels)}
    labels = [
        label.model_copy(update={"tags": {"old": ("old",) if n % 2 or n == 0 else ()}})
        for n, label in enumerate(labels)
    ]
    [suspect] = find_suspect_labels(
        labels, {"old": probabilities}, Taxonomy(name="x", facets=(facet,))
    )
    assert (suspect.id, suspect.given, suspect.suggested) == ("t-0", ("old",), ())
