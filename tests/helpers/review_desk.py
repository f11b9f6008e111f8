"""Reviews on this machine, and what they leave in a label folder."""

import socket
import threading
from contextlib import contextmanager

from tagger.cli.backend import make_server
from tagger.labels import LabelStore
from tagger.review import PushSettings, ReviewDesk, Selection, tasks_here
from tagger.review.strategies.uncertainty import Uncertainty


def open_desk(model, papers, folder, budget=10, audit_share=0.2):
    """Begin a session on the most uncertain of some papers."""
    store = LabelStore(folder)
    labels = store.all_labels()
    selection = Selection(model, tasks_here(labels), model.rule(), lambda *_: None)
    settings = PushSettings(budget, Uncertainty(), audit_share)
    return ReviewDesk(selection.choose(papers, labels, settings), store, "ann")


def reviews(folder):
    """Return the corrections of a label folder, also those that were taken back."""
    return [label for label in LabelStore(folder).all_labels() if label.source == "review"]


@contextmanager
def served(app):
    """Serve an application; yield its address."""
    server = make_server(app)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
