"""A review project that only pretends to be on a server."""

from datetime import UTC, datetime

from tagger.review.interface import adapt_interface, build_interface
from tagger.review.project import ReviewTask
from tagger.review.tasks import read_meta, read_paper, tags_in_use


class ProjectInMemory:
    """Keeps tasks as :class:`tagger.review.project.ReviewProject` does, without a server."""

    url, key = "http://pretended/projects/1", "1/then"

    def __init__(self, taxonomy):
        self.interface = build_interface(taxonomy)
        self.content = {}

    def fit_interface(self, taxonomy):
        in_use = tags_in_use(self.annotated_tasks())
        self.interface, changes = adapt_interface(self.interface, taxonomy, lambda: in_use)
        return changes

    def tasks(self):
        def read(number, data, meta, annotations, **_):
            done = bool(annotations)
            return ReviewTask(number, read_paper(data), data, read_meta(meta), done, skipped=False)

        return [read(number, **task) for number, task in self.content.items()], []

    def task_count(self):
        return len(self.content)

    def annotation_counts(self):
        return {number: len(task["annotations"]) for number, task in self.content.items()}

    def import_tasks(self, tasks):
        for task in tasks:
            number = len(self.content) + 1
            self.content[number] = {**task, "id": number, "annotations": []}

    def delete_tasks(self, tasks):
        for number in tasks:
            del self.content[number]

    def replace_predictions(self, predictions):
        for number, prediction in predictions.items():
            self.content[number]["predictions"] = [prediction]

    def update_task(self, number, data, meta):
        self.content[number] |= {"data": data, "meta": meta}

    def show_predictions_of(self, model):
        pass

    def add_tabs(self):
        pass

    def annotators(self):
        return {1: "ann@example.org"}

    def annotated_tasks(self):
        return [task for task in self.content.values() if task["annotations"]]

    def annotate(self, paper, time=None, queue=None, **tags):
        """Answer the last task of a paper."""
        *_, task = (
            task
            for task in self.content.values()
            if task["data"]["paper"] == paper.id and queue in (None, task["data"]["queue"])
        )
        result = [
            {"from_name": facet, "value": {"taxonomy" if facet == "field" else "choices": values}}
            for facet, values in tags.items()
        ]
        answer = {"unique_id": f"u-{task['id']}", "completed_by": 1, "was_cancelled": False}
        answer["updated_at"] = (time or datetime.now(UTC)).isoformat()
        task["annotations"] = [{**answer, "result": result}]
