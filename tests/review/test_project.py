"""Which project of Label Studio is taken, without a server; the rest is tested on a real one."""

from contextlib import nullcontext
from types import SimpleNamespace

from tagger.review.interface import build_interface
from tagger.review.project import open_project


class Page(list):
    """A list that says how long the whole is."""

    @property
    def response(self):
        return SimpleNamespace(count=len(self))


class Projects:
    """Keeps projects as a server does, where somebody else makes one at the same moment."""

    def __init__(self):
        self.kept = {}

    def list(self, page_size):
        return Page(self.kept.values())

    def get(self, number):
        return self.kept[number]

    def delete(self, number):
        del self.kept[number]

    def create(self, **settings):
        for number in (len(self.kept) + 1, len(self.kept) + 2):
            self.kept[number] = SimpleNamespace(
                id=number, model_version=None, created_at=None, **settings
            )
        return self.kept[number]


def test_of_two_projects_made_at_once_the_first_stays(taxonomy):
    projects = Projects()
    connection = SimpleNamespace(
        client=SimpleNamespace(projects=projects), errors=lambda *subject: nullcontext(), url=""
    )
    assert open_project(connection, taxonomy, None, create=True).id == 1
    assert list(projects.kept) == [1]
    assert projects.kept[1].label_config == build_interface(taxonomy)
    assert open_project(connection, taxonomy, None, create=True).id == 1
