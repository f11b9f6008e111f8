import pytest

from tagger.labels import Label


@pytest.mark.parametrize(("queue", "audited"), [("random", True), ("confused", False)])
def test_the_queue_of_a_line_of_an_earlier_version_is_read(queue, audited):
    origin = {"annotation": "u-1", "updated": "2026-03-01T10:00:00Z", "project": "1", "task": 3}
    line = {"title": "A Trial", "text": "", "tags": {"kind": ["study"]}, "annotator": "ann"}
    line |= {"time": "2026-03-01T10:00:00Z", "source": "review"}
    label = Label.model_validate({**line, "origin": {**origin, "queue": queue}})
    assert label.audited == audited
    assert Label.model_validate(label.model_dump()) == label
