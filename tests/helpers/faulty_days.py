"""A day's work with Label Studio and one with MLflow, for servers that do not always answer.

Each step is a command. One that ends with exit code 2 is given again, as its error says; any
other way to fail ends the day.
"""

import os
from collections import Counter
from unittest.mock import patch

from typer.testing import CliRunner

from helpers.samples import label_line, page, write_taxonomy
from helpers.tiny_model import save_tiny_model
from helpers.tiny_training import log_tiny
from tagger.cli import app
from tagger.errors import TaggerError
from tagger.labels import LabelStore, current_labels
from tagger.registry import Registry
from tagger.review import open_project

TRIES = 24
"""Of each command, more than the faults of a day."""
TITLES = [f"Paper {n} on heart and court" for n in range(12)]


def command(*arguments, **environment):
    """Run the command line in this process; return the exit code and what was printed."""
    with patch.dict(os.environ, environment):
        done = CliRunner().invoke(app, [*map(str, arguments)])
    if isinstance(done.exception, TaggerError):
        return 2, f"error: {done.exception}"
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


class Day:
    """What all days have: steps that are repeated until they do not end with exit code 2."""

    def __init__(self, **variables):
        self.variables = variables
        self.told = Counter()
        self.errors = []

    def insist(self, name, attempt):
        for _ in range(TRIES):
            code, output = attempt()
            if code != 2:
                return output
            assert output.count("error: ") == 1
            assert "Traceback" not in output
            self.told[name] += 1
            self.errors.append(output.strip())
        raise AssertionError(f"{name} does not come to an end: {output}")

    def give(self, name, *arguments):
        """Give a command until it succeeds."""
        return self.insist(name, lambda: command(*name.split(), *arguments, **self.variables))


class ReviewDay(Day):
    """Push, review, pull, change an answer, pull, push again; then look at what is there."""

    def __init__(self, folder, taxonomy, direct, proxy, key):
        super().__init__(LABEL_STUDIO_URL=proxy.url, LABEL_STUDIO_API_KEY=key)
        self.direct, self.folder = direct, folder
        self.labels = folder / "labels"
        self.labels.mkdir(parents=True)
        write_taxonomy(self.labels, taxonomy)
        (self.labels / "seed.jsonl").write_text(label_line("Another") + "\n", encoding="utf-8")
        (folder / "page.txt").write_text(page(*TITLES), encoding="utf-8")
        self.model = save_tiny_model(folder / "model", taxonomy)

    def options(self, step):
        """What one of the commands needs."""
        pushed = [self.folder / "page.txt", "--model", self.model, "--budget", 12]
        return ["--labels", self.labels, *(pushed if step == "push" else [])]

    def review(self, step):
        return self.give(f"review {step}", *self.options(step))

    def answer(self, title, kind):
        """Answer as a reviewer in a browser, whom no proxy disturbs; again to change it."""
        client = self.direct.client
        project = self.project()
        [task] = [task.id for task in project.tasks()[0] if task.paper.title == title]
        value = {"from_name": "kind", "to_name": "Paper", "type": "choices"}
        result = [{**value, "value": {"choices": [kind]}}]
        before = client.annotations.list(task)
        if before:
            client.annotations.update(before[0].id, result=result)
        else:
            client.annotations.create(task, result=result)

    def project(self):
        return open_project(self.direct, LabelStore(self.labels).taxonomy, None)

    def run(self):
        self.review("push")
        self.answer(TITLES[0], "study")
        self.answer(TITLES[1], "survey")
        self.review("status")
        self.review("pull")
        self.answer(TITLES[0], "method")
        self.review("pull")
        self.review("push")

    def check(self):
        """Compare with a day on which nothing went wrong."""
        self.review("push")
        self.review("pull")
        tasks, problems = self.project().tasks()
        assert not problems
        assert sorted(task.paper.title for task in tasks) == sorted(TITLES)
        assert {task.paper.title for task in tasks if task.done} == set(TITLES[:2])
        predicted = self.direct.client.tasks.list(project=self.project().id)
        shown = {task.id: 0 if task.queue == "audit" else 1 for task in tasks}
        assert {task.id: len(task.predictions) for task in predicted} == shown
        assert 1 in shown.values()
        lines = [label for label in LabelStore(self.labels).all_labels() if label.origin]
        given = [(label.title, *label.tags["kind"]) for label in lines]
        said = [(TITLES[0], "study"), (TITLES[1], "survey"), (TITLES[0], "method")]
        assert sorted(given) == sorted(said)
        assert {label.annotator for label in lines} == {self.direct.user.email}
        standing = [label for label in current_labels(lines) if label.title == TITLES[0]]
        assert [label.tags["kind"] for label in standing] == [("method",)]

    def clean_up(self):
        self.direct.client.projects.delete(self.project().id)


class VersionsDay(Day):
    """Train twice, compare, promote, look back; then look at what is there."""

    def __init__(self, labels, model, proxy, direct):
        super().__init__(MLFLOW_TRACKING_URI=proxy.url)
        self.labels, self.model = labels, model
        self.through, self.direct = proxy.url, Registry(direct)
        self.before = len(self.direct.versions())

    def train(self, right, seed):
        """Log a training that took no time, until it arrives."""

        def attempt():
            try:
                registry = Registry(self.through)
                return 0, log_tiny(registry, self.labels, self.model, right, seed).name
            except TaggerError as error:
                return 2, f"error: {error}"

        return self.insist("train", attempt)

    def run(self):
        self.first = self.train(0.5, 0)
        self.second = self.train(1.0, 1)
        self.compared = self.give("compare", self.first, self.second, "--json")
        self.give("promote", self.second, "--force", "a test", "--json")
        self.listed = self.give("history", "--json")

    def check(self):
        """Compare with a day on which nothing went wrong."""
        registry = self.direct
        champion = registry.champion()
        assert champion is not None
        assert champion.name == self.second
        assert registry.challenger() is None
        versions = registry.versions()
        new = versions[self.before :]
        # What was told of as failed may have left a version, whole but without an alias.
        assert 2 <= len(new) <= 2 + self.told["train"]
        assert len({version.run_id for version in versions}) == len(versions)
        assert {version.name for version in new if version.aliases} == {self.second}
        for version in new:
            assert registry.load(version).name == version.name
        assert '"verdict": "better"' in self.compared
        assert self.second in self.listed
