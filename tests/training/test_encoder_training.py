import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from helpers.tiny_encoder import save_tiny_encoder
from safetensors.numpy import load_file, save_file

from tagger.errors import TaggerError
from tagger.training import BUNDLED_ENCODER, EncoderCache
from tagger.training.encoders import JOBS_VARIABLE, EncoderPlan, default_jobs, train_encoders
from tagger.training.settings import FineTuning


@pytest.fixture
def tuning(tmp_path):
    """Settings that fine-tune an encoder of a few kilobytes."""
    encoder = str(save_tiny_encoder(tmp_path / "tiny"))
    return FineTuning(encoder=encoder, max_tokens=32, epochs=2, batch_size=8)


def a_plan(number, tuning):
    pairs = (("heart", "court"), ("survey", "trial"))
    texts = [
        f"Paper on {word} {'drug judge'[: n % 2 * 5]}" for word in pairs[number] for n in range(8)
    ]
    features = Features({"text": Value("string"), "tags.kind": ClassLabel(names=["a", "b"])})
    kinds = [int(row >= len(texts) / 2) for row in range(len(texts))]
    examples = Dataset.from_dict({"text": texts, "tags.kind": kinds}, features)
    return EncoderPlan(f"Part {number}", examples, tuning)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine without a GPU of so many cores and bytes, whose user has not said anything."""

    def make(cores, gibibytes, limit="max"):
        (tmp_path / "limit").write_text(f"{limit}\n")
        limits = (tmp_path / "limit", tmp_path / "none")
        monkeypatch.setattr("tagger.training.encoders._MEMORY_LIMITS", limits)
        monkeypatch.setattr("shutil.which", lambda _name: None)
        monkeypatch.delenv(JOBS_VARIABLE)
        monkeypatch.setattr("joblib.cpu_count", lambda: cores)
        memory = SimpleNamespace(total=gibibytes * 2**30)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)

    return make


@pytest.mark.parametrize(
    ("cores", "gibibytes", "limit", "jobs"),
    [
        (1, 64, "max", 1),
        (2, 16, "max", 2),
        (8, 8, "max", 2),
        (8, 2, "max", 1),
        (64, 512, "max", 4),
        (8, 64, 12 * 2**30, 3),  # a container has less than its machine
    ],
)
def test_cores_and_memory_say_how_many_are_trained_at_once(machine, cores, gibibytes, limit, jobs):
    machine(cores, gibibytes, limit)
    assert default_jobs(BUNDLED_ENCODER) == jobs


def test_a_gpu_and_a_process_among_others_are_for_one_at_a_time(machine, monkeypatch):
    machine(8, 64)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert default_jobs(BUNDLED_ENCODER) == 4
    for name, found in (("shutil.which", str), ("multiprocessing.parent_process", object)):
        with monkeypatch.context() as patch:
            patch.setattr(name, found)
            assert default_jobs(BUNDLED_ENCODER) == 1


def test_larger_encoders_are_trained_fewer_at_once(machine, monkeypatch, tmp_path):
    machine(8, 64)
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(2**30)
    assert default_jobs(str(tmp_path)) == 2
    assert default_jobs("nobody/knows-it") == default_jobs("./no/folder") == 1

    def downloaded(name, *, local_files_only):
        if not local_files_only or name != "sentence-transformers/base":
            raise ValueError
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", downloaded)
    assert default_jobs("base") == 2


@pytest.mark.parametrize("wish", ["0", "-1", "two", "1.5"])
def test_another_wish_than_a_number_is_refused(monkeypatch, wish):
    monkeypatch.setenv(JOBS_VARIABLE, "3")
    assert default_jobs(BUNDLED_ENCODER) == 3
    monkeypatch.setenv(JOBS_VARIABLE, wish)
    with pytest.raises(TaggerError, match=f"TAGGER_JOBS is '{wish}', not a whole number"):
        default_jobs(BUNDLED_ENCODER)


@pytest.mark.training
def test_encoders_come_in_order_whoever_makes_them(monkeypatch, tmp_path, tuning):
    plans = [a_plan(0, tuning), replace(a_plan(1, tuning), float32=True)]
    asked = plans[1].examples["text"][:]
    cache, steps = EncoderCache(tmp_path / "cache"), []
    (alone,) = (made.encoder.encode(asked) for made in train_encoders(plans[:1]))
    monkeypatch.setenv(JOBS_VARIABLE, "2")
    found = []
    for made in train_encoders(plans, cache, lambda *step: steps.append(step)):
        found.append(made.encoder.encode(asked))
        assert not made.reused
        made.save(tmp_path / str(len(found)))
    files = [{path.name for path in (tmp_path / number).iterdir()} for number in "12"]
    assert files[1] - files[0] == {"encoder.float32.onnx"}
    assert steps == [("Encoders, 2 at once", done, 2) for done in range(3)]
    # The same but for the order in which one or more cores add up, and for rounding.
    assert (found[0] * alone).sum(axis=1).min() > 0.99
    assert not np.allclose(*found, atol=1e-3)
    (kept,) = train_encoders(plans[1:], cache)
    assert kept.reused


@pytest.mark.training
def test_an_encoder_that_changed_in_its_folder_is_read_again(tuning):
    plan = a_plan(0, replace(tuning, epochs=0))

    def vector():
        [trained] = train_encoders([plan])
        return trained.encoder.encode(["heart court"])

    before = vector()
    assert (vector() == before).all()
    weights = Path(tuning.encoder) / "model.safetensors"
    save_file({name: 2 * array for name, array in load_file(weights).items()}, weights)
    assert not np.allclose(vector(), before)


def test_what_ends_a_process_of_its_own_is_said_with_what_to_do(monkeypatch, tmp_path, tuning):
    monkeypatch.setenv(JOBS_VARIABLE, "2")
    missing = replace(tuning, encoder=str(tmp_path / "none"))
    with pytest.raises(TaggerError, match=r"none' cannot be loaded.*Give a folder"):
        list(train_encoders([a_plan(number, missing) for number in range(2)]))
    # As the system ends a process when memory runs out.
    monkeypatch.setattr("tagger.training.encoders._train", lambda *_: os._exit(9))
    with pytest.raises(TaggerError, match=r"2 training processes was killed.*Set TAGGER_JOBS=1"):
        list(train_encoders([a_plan(number, tuning) for number in range(2)]))
