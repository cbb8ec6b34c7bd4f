"""The example of a client, examples/serve_client.py, against a server on the loopback."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/serve_client.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("serve_client", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_other_protocols_port_is_told(protocol, example, stand_in, tmp_path, capsys):
    (tmp_path / "a.wav").write_bytes(b"")
    other = {"grpc": "http", "http": "grpc"}[protocol]
    address = stand_in.address(other).replace(other, protocol)
    assert example.main([address, str(tmp_path / "a.wav")]) == 2
    assert f"the address is {stand_in.address(other)}" in capsys.readouterr().err


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_example_tells_the_servers_answers(
    protocol, example, stand_in, wavs, expected, tmp_path, capsys
):
    files = [tmp_path / f"{at}.wav" for at in range(len(wavs))]
    for file, content in zip(files, wavs, strict=True):
        file.write_bytes(content)
    assert example.main([stand_in.address(protocol, "/versions/1"), *map(str, files)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == f"{files[2]}: no score, not audio"
    answers = expected(1, "audio_bytes", audio=wavs)
    for at in (0, 1, 3, 4):
        label = "spoof" if answers["score"][at] >= 0.25 else "bonafide"  # the contract's threshold
        told = f"{label}, probability of spoof {answers['probability'][at]:.3f} (ok)"
        assert lines[at] == f"{files[at]}: {told}"
