"""A review project on a stand-in for Label Studio."""

from contextlib import contextmanager
from datetime import UTC, datetime

from fake_label_studio import FakeLabelStudio

from tagger.review import Connection, ReviewProject, open_project


@contextmanager
def stand_in_project(taxonomy):
    """Make the project of a taxonomy on a server of its own."""
    with FakeLabelStudio().running() as server:
        connection = Connection(server.url, "a-key")
        number = open_project(connection, taxonomy, None, create=True).id
        yield StandInProject(connection, number, server.state["tasks"])


class StandInProject(ReviewProject):
    """A project of which one sees what the server keeps of each task."""

    def __init__(self, connection, number, kept):
        super().__init__(connection, number)
        self.kept = kept

    def annotate(self, paper, time=None, queue=None, **tags):
        """Answer the last task of a paper."""
        *_, task = (
            task
            for task in self.kept.values()
            if task["data"]["paper"] == paper.id and queue in (None, task["data"]["queue"])
        )
        result = [
            {"from_name": facet, "value": {"taxonomy" if facet == "field" else "choices": values}}
            for facet, values in tags.items()
        ]
        answer = {"unique_id": f"u-{task['id']}", "completed_by": 1, "was_cancelled": False}
        answer["updated_at"] = (time or datetime.now(UTC)).isoformat()
        task["annotations"] = [{**answer, "result": result}]
