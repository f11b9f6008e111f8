import shutil
from dataclasses import replace

import pytest

from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.registry import Version, encoder_origin, encoder_source, log_training, settings_of


def test_a_version_is_found_by_number_name_alias_and_run(registry, log):
    first, second = log(), log(seed=1)
    for name in ("1", "tagger/1", "champion", first.run_id):
        assert registry.find(name) == first
    for name in ("2", "tagger/2", "challenger", second.run_id):
        assert registry.find(name) == second
    assert first.name == "tagger/1"
    assert first.fingerprint != second.fingerprint
    assert registry.versions() == [first, second]
    log(seed=2)
    aliases = [version.aliases for version in registry.versions()]
    assert aliases == [("champion",), (), ("challenger",)]


def test_a_version_of_another_program_is_named_and_never_used(registry, log):
    with registry.store.writing() as client:
        client.create_registered_model("tagger")
        client.create_model_version("tagger", "file:///elsewhere")
    registry.set_alias("champion", Version(1, "", (), 0, {}))
    assert registry.versions() == []
    assert registry.champion() is None
    with pytest.raises(TaggerError, match="another program registered tagger/1"):
        registry.find("1")
    assert log().aliases == ("champion",)
    assert [version.name for version in registry.versions()] == ["tagger/2"]


def test_an_encoder_comes_with_the_inputs_of_its_training(
    registry, log, label_folder, make_result, caplog
):
    version = log(right=0.5)
    store = LabelStore(label_folder)
    settings = replace(settings_of(registry, version), encoder_of=version.name)
    assert settings_of(registry, version).folds == 2
    heads_only = log_training(registry, make_result(), settings, store.snapshot())
    assert encoder_origin(registry, heads_only).name == "tagger/1"
    source = encoder_source(registry, heads_only, label_folder.parent / "copy")
    assert source.name == "tagger/1"
    assert (source.folder / "encoder.onnx").is_file()
    assert source.data.ids == [label.id for label in store.labels()]
    assert source.folds == registry.folds_of(version) == registry.known_folds(2)
    assert registry.known_folds(3) == {}
    assert "it has 2 folds instead of 3" in caplog.text


def test_a_changed_exchanged_or_missing_model_is_refused(registry, log, tmp_path):
    version = log()
    assert registry.load(version).digest == registry.run(version).data.params["sha256_model.json"]
    (heads,) = (tmp_path / "mlruns").rglob("heads.safetensors")
    heads.write_bytes(b"other")
    with pytest.raises(TaggerError, match="does not match the hash"):
        registry.load(version)
    manifest = heads.with_name("model.json")
    # Complete and with matching hashes, but not the model that the run recorded.
    manifest.write_text(manifest.read_text().replace("Looks back.", "Looks on."))
    for load in (registry.load, lambda version: registry.model_folder(version, tmp_path / "copy")):
        with pytest.raises(TaggerError, match="is not the file that the run of tagger/1 recorded"):
            load(version)
    shutil.rmtree(tmp_path / "mlruns" / "artifacts")
    for load in (registry.load, registry.held_out):
        with pytest.raises(TaggerError):
            load(version)


def test_labels_are_logged_with_the_version_and_protected_by_hashes(
    registry, log, label_folder, tmp_path
):
    version = log()
    for name in ("taxonomy.yaml", "seed.jsonl"):
        before = (label_folder / name).read_bytes()
        copy = registry.label_folder(version, tmp_path / f"copy for {name}")
        assert (copy / name).read_bytes() == before
        (file,) = (tmp_path / "mlruns").rglob(name)
        file.write_bytes(before + b"\n")
        with pytest.raises(TaggerError, match=f"{name}: is not the file that the run of tagger/1"):
            registry.label_folder(version, tmp_path / "again")
        file.write_bytes(before)
