"""Folders of the Hugging Face hub: every form gives the same encoder, and what is refused."""

import hashlib
import json
import os
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from random_weights import random_state_dict
from safetensors.numpy import save_file
from speech_encoders import CONFIGS, hub_shapes, waveform
from torch_files import save_state_dict

from tfpipeline.models.named_weights import torch_shapes
from tfpipeline.models.speech_encoders.hub_download import find_hub_folder
from tfpipeline.models.speech_encoders.hub_folder import (
    build_speech_encoder,
    load_encoder,
    load_hub_folder,
)
from tfpipeline.models.speech_encoders.settings import Wav2Vec2Settings

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
CONFIG, NORMALIZE = CONFIGS["xls_r"]
HEADS = {
    "wav2vec2.masked_spec_embed": np.zeros(32, np.float32),
    "quantizer.codevectors": np.zeros((1, 4, 2), np.float32),
    "project_q.weight": np.zeros((2, 2), np.float32),
    "lm_head.weight": np.zeros((5, 32), np.float32),
    "wav2vec2.adapter.layers.0.conv.weight": np.zeros((2, 2, 3), np.float32),
}


@pytest.fixture(scope="module")
def arrays():
    network = build_speech_encoder(Wav2Vec2Settings.from_hub(CONFIG), final_norm=True)
    return random_state_dict(hub_shapes(torch_shapes(network)))


@pytest.fixture(scope="module")
def expected():
    return np.load(FIXTURES / "speech_encoders_golden.npz")["xls_r_4001"]


def write(folder, arrays, form="safetensors", config=CONFIG):
    """A folder as `save_pretrained` writes it: of today, of some years ago, and in parts."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    processor = {"do_normalize": NORMALIZE, "sampling_rate": 16_000}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    if form == "safetensors":
        named = {f"wav2vec2.{name}": array for name, array in arrays.items()}
        save_file({**named, **HEADS}, folder / "model.safetensors")
    elif form == "bin":
        old = {
            name.replace("parametrizations.weight.original0", "weight_g").replace(
                "parametrizations.weight.original1", "weight_v"
            ): array
            for name, array in arrays.items()
        }
        save_state_dict(folder / "pytorch_model.bin", old)
    else:
        names = sorted(arrays)
        save, name = {
            "safetensors parts": (lambda path, own: save_file(own, path), "model.safetensors"),
            "bin parts": (save_state_dict, "pytorch_model.bin"),
        }[form]
        stem, end = name.split(".")
        index = {}
        for number, part in enumerate((names[:20], names[20:])):
            file = f"{stem}-0000{number + 1}-of-00002.{end}"
            save(folder / file, {own: arrays[own] for own in part})
            index |= dict.fromkeys(part, file)
        (folder / f"{name}.index.json").write_text(json.dumps({"weight_map": index}))
    return folder


@pytest.mark.parametrize("form", ["safetensors", "bin", "safetensors parts", "bin parts"])
def test_every_form_gives_the_encoder_of_transformers(form, arrays, expected, tmp_path):
    network = load_encoder(str(write(tmp_path / "xls_r", arrays, form)))
    received = network(waveform(4_001)[None]).numpy()[0]
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-4)


def test_first_layers_need_the_others_no_more(arrays, expected, tmp_path):
    folder = write(tmp_path / "xls_r", arrays)
    received = load_encoder(str(folder), layers=1)(waveform(4_001)[None]).numpy()[0]
    np.testing.assert_allclose(received, expected[:, :2], rtol=0, atol=1e-4)
    normalized = load_encoder(str(folder), final_norm=True)(waveform(8_000)[None]).numpy()[0]
    golden = np.load(FIXTURES / "speech_encoders_golden.npz")["xls_r_last"]
    np.testing.assert_allclose(normalized[:, -1], golden, rtol=0, atol=1e-4)


def test_half_precision_is_widened(arrays, expected, tmp_path):
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    network = load_encoder(str(write(tmp_path / "half", halves)))
    received = network(waveform(4_001)[None]).numpy()[0]
    np.testing.assert_allclose(received, expected, rtol=0, atol=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("encoder.layers.1.layer_norm.bias"), r"1 missing \(encoder.layers.1"),
        (lambda a: a.update({"head.weight": np.zeros(3, np.float32)}), r"1 unknown \(head.weight"),
        (
            lambda a: a.update({"encoder.layers.3.layer_norm.bias": np.zeros(32, np.float32)}),
            r"1 unknown \(encoder.layers.3",
        ),
        (
            lambda a: a.update({"encoder.layer_norm.bias": np.zeros(31, np.float32)}),
            r"encoder.layer_norm.bias must be.*\(31,\)",
        ),
        (
            lambda a: a.update(
                {"feature_projection.projection.bias": np.full(32, np.nan, np.float32)}
            ),
            "NaN or infinity",
        ),
        (
            lambda a: a.update(
                {"encoder.pos_conv_embed.conv.parametrizations.weight.original0": np.ones(7)}
            ),
            r"must have as many axes as its direction. Received: \(7,\)",
        ),
        (
            lambda a: a.pop("encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
            r"1 missing \(encoder.pos_conv_embed.conv.weight\) and 1 unknown",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, message, arrays, tmp_path):
    other = dict(arrays)
    change(other)
    folder = write(tmp_path / "other", other)
    with pytest.raises(ValueError, match=message):
        load_encoder(str(folder), final_norm=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "bert"}, r"model_type must be one of wav2vec2, hubert.*'bert'"),
        ({"hidden_act": "relu"}, "hidden_act must be 'gelu'. Received: 'relu'"),
        ({"adapter_attn_dim": 16}, "adapter_attn_dim must be None. Received: 16"),
        ({"conv_pos_batch_norm": True}, "conv_pos_batch_norm must be False"),
        ({"conv_kernel": [10]}, "must be equally long. Received: 7, 1, 7"),
        ({"num_attention_heads": 5}, "num_attention_heads must divide hidden_size"),
        ({"hidden_size": "wide"}, "hidden_size must be an integer of at least 1"),
        ({"feat_extract_norm": "batch"}, "feat_extract_norm must be one of 'group', 'layer'"),
        ({"intermediate_size": 64}, "intermediate_dense"),
    ],
)
def test_other_architectures_are_refused(change, message, arrays, tmp_path):
    folder = write(tmp_path / "other", arrays, config={**CONFIG, **change})
    with pytest.raises(ValueError, match=message):
        load_encoder(str(folder))


def test_folders_that_lack_or_hide_something_are_refused(arrays, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a folder with config\.json"):
        load_encoder(str(tmp_path / "none"))
    folder = write(tmp_path / "xls_r", arrays)
    with pytest.raises(ValueError, match=r"layers must be in 0 … 3.*Received: 9"):
        load_hub_folder(folder, 9)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors: expected weights"):
        load_hub_folder(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"the weights must be in model\.safetensors"):
        load_hub_folder(folder)
    (folder / "preprocessor_config.json").write_text('{"sampling_rate": 8000}')
    with pytest.raises(ValueError, match=r"sampling_rate must be 16000.*Received: 8000"):
        load_hub_folder(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json: expected JSON"):
        load_hub_folder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.json: no such file"):
        load_hub_folder(folder)


def test_parts_must_be_those_of_the_index(arrays, tmp_path):
    folder = write(tmp_path / "xls_r", arrays, "bin parts")
    path = folder / "pytorch_model.bin.index.json"
    index = json.loads(path.read_text())["weight_map"]
    part = folder / "pytorch_model-00002-of-00002.bin"
    for change, kind, message in (
        ({"more": part.name}, ValueError, "expected the arrays that .* says.*such as more"),
        ({"more": "../secret.bin"}, ValueError, r"parts must lie in the folder itself"),
        ({"more": 3}, ValueError, "weight_map must map arrays to files"),
        ({"more": "absent.bin"}, FileNotFoundError, r"the part absent\.bin is missing"),
    ):
        path.write_text(json.dumps({"weight_map": {**index, **change}}))
        with pytest.raises(kind, match=message):
            load_hub_folder(folder)


def test_nothing_in_a_folder_is_executed(arrays, tmp_path):
    folder = write(tmp_path / "xls_r", arrays, "bin")
    mark = tmp_path / "executed"

    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Hostile()}, protocol=2))
    with pytest.raises(ValueError, match=r"pytorch_model\.bin: expected"):
        load_encoder(str(folder))
    assert not mark.exists()


def test_normalization_of_waveforms_is_said_by_the_folder(arrays, tmp_path, capsys):
    folder = write(tmp_path / "xls_r", arrays)
    file = folder / "preprocessor_config.json"
    file.write_text('{"do_normalize": false}')
    assert load_hub_folder(folder)[0].do_normalize is False
    file.rename(folder / "processor_config.json")
    (folder / "processor_config.json").write_text('{"feature_extractor": {"do_normalize": false}}')
    assert load_hub_folder(folder)[0].do_normalize is False
    assert capsys.readouterr().err == ""
    (folder / "processor_config.json").unlink()
    assert load_hub_folder(folder)[0].do_normalize is True
    assert "no preprocessor_config.json" in capsys.readouterr().err


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """Empty caches, and an address where nobody listens."""
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path


@pytest.fixture
def hub(arrays, caches, monkeypatch):
    """A stand-in for the hub that holds one model; its files, by address, can be changed."""
    folder = write(caches / "origin", arrays)
    listed, served = [], {}
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"rfilename": path.name, "size": len(content), "blobId": blob}
        if path.name == "model.safetensors":
            digest = hashlib.sha256(content).hexdigest()
            entry |= {"blobId": "0" * 40, "lfs": {"sha256": digest, "size": len(content)}}
        listed.append(entry)
        served[f"/org/xls-r/resolve/c0ffee/{path.name}"] = content
    listed.append({"rfilename": "README.md", "size": 3, "blobId": "0" * 40})
    answer = json.dumps({"sha": "c0ffee", "siblings": listed}).encode()
    served["/api/models/org/xls-r/revision/main?blobs=true"] = answer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = served.get(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_downloaded_once(hub, expected):
    network = load_encoder("hf:org/xls-r")
    received = network(waveform(4_001)[None]).numpy()[0]
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-4)
    hub.clear()
    assert sorted(own.name for own in find_hub_folder("hf:org/xls-r").iterdir()) == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]


@pytest.mark.parametrize("part", ["../outside.bin", "absent.bin"])
def test_parts_of_a_download_must_be_listed_and_stay_inside(part, hub, caches):
    index = json.dumps({"weight_map": {"a": part}}).encode()
    blob = hashlib.sha1(b"blob %d\0" % len(index) + index).hexdigest()
    address = "/api/models/org/xls-r/revision/main?blobs=true"
    answer = json.loads(hub[address])
    answer["siblings"] = [own for own in answer["siblings"] if own["rfilename"] == "config.json"]
    answer["siblings"] += [
        {"rfilename": "pytorch_model.bin.index.json", "blobId": blob},
        {"rfilename": "../outside.bin", "lfs": {"sha256": "0" * 64, "size": 1}},
    ]
    hub[address] = json.dumps(answer).encode()
    hub["/org/xls-r/resolve/c0ffee/pytorch_model.bin.index.json"] = index
    with pytest.raises(ValueError, match=rf"parts must be files beside it.*{part}"):
        find_hub_folder("hf:org/xls-r")
    assert not list(caches.glob("cache/**/config.json"))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_what_is_not_what_the_hub_lists_is_not_kept(name, hub, caches):
    address = f"/org/xls-r/resolve/c0ffee/{name}"
    right, hub[address] = hub[address], hub[address][:-1] + b" "
    with pytest.raises(ValueError, match=rf"{name}: .* must be .*nothing of it was kept"):
        find_hub_folder("hf:org/xls-r")
    assert not list(caches.glob(f"cache/**/{name}"))
    hub[address] = right
    assert (find_hub_folder("hf:org/xls-r") / name).read_bytes() == right


def test_without_a_network_the_ways_are_named(caches, monkeypatch):
    with pytest.raises(ConnectionError, match=r"^hf:org/a is in no cache.*HF_ENDPOINT.*by hand"):
        load_encoder("hf:org/a")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConnectionError, match="HF_HUB_OFFLINE is set"):
        load_encoder("hf:org/a@v1.0")
    for name in ("hf:alone", "hf:org/../a", "hf:/etc/passwd", "hf:a/b/c"):
        with pytest.raises(ValueError, match=r"expected hf:organization/name"):
            load_encoder(name)


def test_what_lies_in_a_cache_is_used(arrays, caches):
    by_hand = caches / "cache" / "weights" / "hf" / "org--a@main"
    by_hand.parent.mkdir(parents=True)
    write(by_hand, arrays)
    assert find_hub_folder("hf:org/a") == by_hand
    model = caches / "hub" / "models--org--b"
    (model / "snapshots").mkdir(parents=True)
    write(model / "snapshots" / "beef", arrays)
    assert find_hub_folder("hf:org/b") == model / "snapshots" / "beef"
    (model / "refs").mkdir()
    write(model / "snapshots" / "cafe", arrays)
    (model / "refs" / "main").write_text("cafe")
    assert find_hub_folder("hf:org/b") == model / "snapshots" / "cafe"
    assert find_hub_folder("hf:org/b@beef") == model / "snapshots" / "beef"
