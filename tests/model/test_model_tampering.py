"""A saved model that was tampered with is refused with the reason, and never executed.

Where a test spoils a file, it makes the hashes of the manifest fit again, as whoever tampers
would.
"""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from functools import partial
from importlib import resources

import numpy as np
import onnx
import pytest
from helpers.tiny_encoder import save_tiny_encoder
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

from tagger.errors import TaggerError
from tagger.model import MODEL_FILES, load_model
from tagger.papers import Paper
from tagger.training import bundled_encoder_folder, load_trainable

PAPERS = [Paper("A survey of the court", "The judge and the heart.")]


@pytest.fixture
def folder(saved_model, tmp_path):
    """A copy of a saved model, to be spoiled."""
    return shutil.copytree(saved_model, tmp_path / "model")


def fit_manifest(folder):
    """Make the hashes of the manifest those of the files."""

    def fit(manifest):
        for name in manifest["files"]:
            if (folder / name).is_file():
                manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()

    manifest_of(folder, fit)


def change_json(name, folder, change):
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


manifest_of = partial(change_json, "model.json")
tokenizer_of = partial(change_json, "tokenizer.json")


def heads_of(folder, change):
    arrays = load_file(folder / "heads.safetensors")
    change(arrays)
    save_file(arrays, folder / "heads.safetensors")


def header_of(folder, entry):
    header = json.dumps({"lexical.idf": entry}).encode()
    (folder / "heads.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)


def graph_of(folder, change):
    graph = onnx.load(folder / "encoder.onnx")
    change(graph)
    (folder / "encoder.onnx").write_bytes(graph.SerializeToString())


def pickle_as(folder, name):
    (folder / name).write_bytes(pickle.dumps({"a": print}))


def test_an_encoder_for_a_gpu_is_checked_where_it_is_used(folder, monkeypatch):
    monkeypatch.setattr("tagger.model.encoder._CUDA", "CPUExecutionProvider")
    with pytest.raises(TaggerError, match="which a GPU needs"):
        load_model(folder, device="cuda")
    graph = (folder / "encoder.onnx").read_bytes()
    (folder / "encoder.float32.onnx").write_bytes(graph)
    manifest_of(
        folder, lambda m: m["files"].update({"encoder.float32.onnx": m["files"]["encoder.onnx"]})
    )
    assert load_model(folder, device="cuda").predict(PAPERS).vectors.shape == (1, 16)
    (folder / "encoder.float32.onnx").write_bytes(graph + b"x")
    with pytest.raises(TaggerError, match="does not match the hash"):
        load_model(folder, device="cuda")
    assert load_model(folder).predict(PAPERS).vectors.shape == (1, 16)


def first_tag(manifest):
    return manifest["taxonomy"]["facets"][1]["tags"][0]


def nan(arrays):
    arrays["kind.encoder.weights"][0, 0] = np.nan


def pickled(arrays):
    arrays["evil"] = np.frombuffer(pickle.dumps(print), dtype=np.uint8)


def external(graph):
    weights = graph.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../secret"), ("length", "576")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value


def custom(graph):
    graph.opset_import.append(helper.make_opsetid("com.evil", 1))
    graph.graph.node.append(helper.make_node("Run", ["vector"], ["x"], domain="com.evil"))


def not_a_number(graph):
    weights = graph.graph.initializer[0]
    weights.raw_data = np.full(weights.dims, np.nan, dtype=np.float32).tobytes()


def too_wide(graph):
    weights = graph.graph.initializer[0]
    weights.dims[1] *= 2
    weights.raw_data *= 2
    graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value *= 2


@pytest.mark.parametrize(
    ("part", "change", "reason"),
    [
        (manifest_of, lambda m: m.update(max_tokens=10**9), "max_tokens"),
        (manifest_of, lambda m: m.update(code="import os"), "code"),
        (manifest_of, lambda m: m.update(format=3), "format"),
        (manifest_of, lambda m: m["calibrations"]["whole"]["kind"].update(shift=np.nan), "shift"),
        (manifest_of, lambda m: m["calibrations"]["title"].pop("kind"), "calibrations"),
        (manifest_of, lambda m: m["calibrations"].update(cover={}), "calibrations"),
        (manifest_of, lambda m: m["calibrations"].pop("whole"), "calibrations"),
        (manifest_of, lambda m: m["files"].update({"../../evil": "0"}), "files"),
        (manifest_of, lambda m: m["files"].pop("encoder.onnx"), "files"),
        (manifest_of, lambda m: first_tag(m).update(parent="heart"), "its own ancestor"),
        (manifest_of, lambda m: first_tag(m).update(name="../../x"), "name"),
        (manifest_of, lambda m: first_tag(m).update(definition="\x1b[31m"), r"U\+001B"),
        (manifest_of, lambda m: m["taxonomy"]["facets"][0]["tags"].pop(), "does not fit the rest"),
        (manifest_of, lambda m: m.update(vocabulary=["one"]), "does not fit the rest"),
        (heads_of, nan, "'kind.encoder.weights' holds NaN"),
        (heads_of, pickled, "unexpected array 'evil'"),
        (heads_of, lambda a: a.pop("kind.lexical.bias"), "lacks the array 'kind.lexical.bias'"),
        (heads_of, lambda a: a.update({"kind.encoder.bias": np.zeros(9)}), "does not fit the rest"),
        (heads_of, lambda a: a.update({"lexical.idf": np.zeros(2, np.int8)}), "type I8"),
        # It promises too much.
        (header_of, {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}, "be read"),
        (graph_of, external, "cannot be loaded"),
        (graph_of, custom, "cannot be loaded"),
        (graph_of, not_a_number, "NaN"),
        (graph_of, too_wide, r"vectors have shape \(32,\)"),
        (graph_of, lambda graph: graph.graph.input.pop(), "cannot be"),
        (tokenizer_of, lambda t: t["model"]["vocab"].pop("[UNK]"), "model's encoder cannot be"),
        *((pickle_as, name, "cannot be") for name in MODEL_FILES),
    ],
)
def test_a_part_that_was_changed_is_refused(folder, part, change, reason):
    (folder.parent / "secret").write_bytes(b"\1" * 4096)
    part(folder, change)
    fit_manifest(folder)
    with pytest.raises(TaggerError, match=reason):
        load_model(folder).predict(PAPERS)


WATCHED = """
import os, sys, warnings
warnings.simplefilter("ignore")
import numpy, onnxruntime, tokenizers, safetensors.numpy
from tagger.errors import TaggerError
from tagger.model import load_model
from tagger.papers import Paper
folder, seen = os.path.realpath(sys.argv[1]), []
FORBIDDEN = ("pickle.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn",
             "os.fork", "marshal.", "ctypes.", "socket.", "shutil.", "os.remove", "os.rename",
             "os.mkdir", "os.chmod", "os.symlink", "os.link", "compile")

def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            seen.append(f"open for writing: {path}")
    elif event == "exec":
        if folder in os.path.realpath(arguments[0].co_filename):
            seen.append(f"exec: {arguments[0].co_filename}")
    elif event == "import":
        if any(folder in os.path.realpath(place) for place in (arguments[2] or ()) if place):
            seen.append(f"import: {arguments[0]}")
    elif event.startswith(FORBIDDEN):
        seen.append(f"{event}: {arguments}"[:200])

os.chdir(folder)
sys.addaudithook(watch)
try:
    load_model(folder).predict([Paper("A survey of the court", "The judge.")])
    ended = "used"
except TaggerError as error:
    ended = f"refused: {error.problem}"
print(ended)
print(seen)
"""


class Evil:
    """A pickle that would leave a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("part", [None, "heads.safetensors", "tokenizer.json", "extra.pkl", "ops"])
def test_loading_executes_nothing_of_a_folder(folder, tmp_path, part):
    mark = tmp_path / "executed"
    if part == "ops":
        graph_of(folder, custom)
    elif part:
        (folder / part).write_bytes(pickle.dumps(Evil(mark)))
    fit_manifest(folder)
    # What a library may look for where it runs.
    for name in ("sitecustomize.py", "numpy.py", "custom_ops.so") if part == "extra.pkl" else ():
        (folder / name).write_text(f"open({str(mark)!r}, 'w')")
    done = subprocess.run(
        [sys.executable, "-P", "-c", WATCHED, folder], capture_output=True, text=True, check=True
    )
    ended, seen = done.stdout.splitlines()[-2:]
    assert ended.startswith("used" if part in (None, "extra.pkl") else "refused: ")
    assert seen == "[]"
    assert not mark.exists()


def test_an_encoder_whose_weights_are_a_pickle_is_not_loaded(tmp_path):
    encoder = save_tiny_encoder(tmp_path)
    [weights] = encoder.rglob("model.safetensors")
    (weights.parent / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "executed")))
    weights.unlink()
    with pytest.raises(TaggerError, match=r"no file named model\.safetensors"):
        load_trainable(str(encoder), 32)
    assert not (tmp_path / "executed").exists()


def test_the_bundled_encoder_is_checked_file_by_file(tmp_path, monkeypatch):
    shutil.copytree(bundled_encoder_folder(), tmp_path / "model", symlinks=True)
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    assert bundled_encoder_folder() == tmp_path / "model"
    settings = tmp_path / "model" / "modules.json"
    settings.write_text(settings.read_text().replace("sentence_transformers.models", "evil"))
    with pytest.raises(TaggerError, match=r"modules\.json: this file of the bundled encoder is"):
        bundled_encoder_folder()


@pytest.mark.parametrize(
    ("name", "spoil", "reason"),
    [
        ("model.json", lambda path: path.unlink(), "no readable model.json"),
        ("model.json", lambda path: path.write_text("{}"), "not a valid model manifest"),
        ("encoder.onnx", lambda path: path.write_bytes(b"x"), "does not match the hash"),
        ("tokenizer.json", lambda path: path.unlink(), "this file of the model is missing"),
    ],
)
def test_a_file_that_was_changed_or_is_gone_is_refused(folder, name, spoil, reason):
    spoil(folder / name)
    with pytest.raises(TaggerError, match=reason):
        load_model(folder)
