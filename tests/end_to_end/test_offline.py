"""Nothing phones home: the whole tour in a network namespace that has no way out."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.ports import free_port
from helpers.samples import page, shell_environment, small_taxonomy, write_taxonomy
from helpers.tiny_encoder import save_tiny_encoder

from tagger.review import EmbeddedServer

pytestmark = [pytest.mark.acceptance, pytest.mark.training]

TOUR = Path(__file__).parents[1] / "helpers" / "offline_tour.py"
QUICK = "--epochs 1 --folds 2 --max-tokens 32 --encoder encoder"
COMMANDS = f"""\
tagger init my-review --template medicine
tagger train {QUICK}
tagger train {QUICK} --seed 1
tagger tag page.txt
tagger promote --force tour
tagger report tagged
tagger review serve --port {{port}}
tagger review push page.txt
tagger review pull
tagger review stop
"""


def namespace():
    """Return what starts a program in a network namespace; skip where the kernel forbids that."""
    for command in (["unshare", "--net"], ["unshare", "--net", "--map-root-user"]):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            subprocess.run([*command, "true"], capture_output=True, check=True)
            return command
    pytest.skip("this machine lets nobody make a network namespace (unshare --net)")


def tour(commands, folder, **changes):
    """Give commands where there is no way out; return what became of each."""
    # Some libraries keep quiet where tests run: here they are not to know.
    quiet = ("CI", "PYTEST_CURRENT_TEST", "DO_NOT_TRACK")
    environment = {
        name: value
        for name, value in shell_environment(**changes).items()
        if name not in quiet and "TELEMETRY" not in name
    }
    done = subprocess.run(
        [*namespace(), sys.executable, str(TOUR)],
        cwd=folder,
        env=environment,
        input=commands,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_tries_to_leave_is_seen(tmp_path):
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
    [step] = tour(f'{sys.executable} -c "{code}"', tmp_path)
    assert step["code"] == 1
    assert step["tried"]["IPv4"] >= 1


def test_the_tour_needs_no_network_and_asks_for_none(
    label_studio_environment, label_folder, tmp_path
):
    assert label_folder == tmp_path / "labels"
    write_taxonomy(label_folder, small_taxonomy())
    (tmp_path / "page.txt").write_text(page("First paper", "Second paper"), encoding="utf-8")
    shutil.copytree(save_tiny_encoder(tmp_path / "made"), tmp_path / "encoder")
    own = tmp_path / "label-studio"
    own.mkdir()
    (own / "venv").symlink_to(label_studio_environment)
    try:
        commands = COMMANDS.format(port=free_port())
        steps = tour(commands, tmp_path, TAGGER_LABEL_STUDIO=str(own))
    finally:
        EmbeddedServer(own).stop()
    for step in steps:
        assert step["code"] == 0, step
        assert not any(step["tried"].values()), step
