"""The corpus `web` on small Git repositories that are made here, with all that can go wrong."""

import csv
import hashlib
import subprocess
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr

from tfpipeline import corpus
from tfpipeline.data.clips import check_sides
from tfpipeline.data.corpora import load_corpus
from tfpipeline.data.web import copies, snapshots
from tfpipeline.data.web import corpus as web

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", "-C", folder, *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder, files):
    """Writes files, commits everything, and returns the commit's name."""
    if not folder.exists():
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--initial-branch=master")
        git(folder, "config", "uploadpack.allowFilter", "true")
    for name, contents in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "-")
    return git(folder, "rev-parse", "HEAD")


def row(repository, commit, file, contents, **others):
    return {
        "repository": repository,
        "commit": commit,
        "file": file,
        "sha256": hashlib.sha256(contents).hexdigest(),
        "label": "spoof",
        "attack": "vits",
        "kind": "tts",
        "part": "train",
        "speaker": "-",
        "text": "t1",
        "language": "en",
        "speech_from": "-",
        "license": "MIT",
        "seconds": 4.0,
        "native_sample_rate": 16_000,
        "native_format": "wav",
        **others,
    }


@pytest.fixture(scope="module")
def audio(made_once, speech):
    """Name → bytes of files of speech, each of its own recording."""

    def make(folder):
        stereo = np.stack([0.5 * speech[1], 0.25 * speech[1]], axis=1)
        soundfile.write(folder / "mono.wav", speech[0], 16_000)
        soundfile.write(folder / "stereo.flac", stereo, 16_000)
        soundfile.write(folder / "coded.mp3", speech[2], 16_000)
        soundfile.write(folder / "long.wav", np.concatenate(speech[3:]), 16_000)
        soundfile.write(folder / "other.wav", speech[4], 16_000)

    folder = made_once("web_audio", make)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folder that stands for GitHub; the cache is empty."""
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(snapshots, "HOST", (tmp_path / "hub").as_uri())
    monkeypatch.setattr(snapshots, "PROTOCOLS", "file")
    return tmp_path / "hub"


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Puts rows in the place of the package's table."""
    monkeypatch.setattr(web, "TABLE", tmp_path / "table.parquet")
    return lambda *rows: pd.DataFrame(rows).to_parquet(web.TABLE)


def missing(folder):
    rows = pd.read_csv(web.web_folder() / "missing.csv", keep_default_na=False)
    return dict(zip(rows["file"], rows["reason"], strict=True))


def test_files_are_fetched_decoded_and_cut(hub, table, audio, speech, capsys):
    first = commit(hub / "ann/demo", {f"a/{name}": contents for name, contents in audio.items()})
    commit(hub / "ann/demo", {"a/mono.wav": b"newer", "not asked.wav": b"x"})
    ben = commit(hub / "ben/demo", {"é 1.wav": audio["other.wav"]})
    names = ("mono.wav", "stereo.flac", "coded.mp3", "long.wav")
    human = {"label": "bonafide", "attack": "-", "kind": "bonafide"}
    table(
        *(row("ann/demo", first, f"a/{name}", audio[name]) for name in names),
        row("ben/demo", ben, "é 1.wav", audio["other.wav"], part="validation", **human),
    )
    assert corpus.main(["build", "web", "--workers", "2"]) == 0
    assert "5 clips" in capsys.readouterr().out
    clips = load_corpus("web").set_index("file")
    assert list(clips["part"]) == ["train"] * 4 + ["validation"]
    assert list(clips["source"]) == ["ann/demo"] * 4 + ["ben/demo"]
    assert list(clips["label"]) == ["spoof"] * 4 + ["bonafide"]
    assert {"text", "language", "kind", "license", "commit", "speech_from"} <= set(clips)
    found = {name: soundfile.read(path) for name, path in clips["path"].items()}
    assert {rate for _, rate in found.values()} == {16_000}
    step = 2 / 2**15
    np.testing.assert_allclose(found["a/mono.wav"][0], speech[0], atol=step)
    np.testing.assert_allclose(found["a/stereo.flac"][0], 0.375 * speech[1], atol=step)
    np.testing.assert_allclose(found["é 1.wav"][0], np.clip(speech[4], -1, 1), atol=step)
    assert len(found["a/long.wav"][0]) == 8 * 16_000
    assert np.corrcoef(found["a/coded.mp3"][0][:64_000], speech[2])[0, 1] > 0.99


def test_only_the_wanted_files_of_a_commit_are_fetched(hub, table, audio, monkeypatch):
    commit(hub / "ann/demo", {"before.wav": audio["long.wav"]})
    (hub / "ann/demo/before.wav").unlink()
    own = commit(hub / "ann/demo", {**audio, "more.bin": b"not asked for"})
    table(*(row("ann/demo", own, name, audio[name]) for name in ("mono.wav", "coded.mp3")))
    there, read_objects = [], snapshots._read_objects

    def listed(folder, ids):
        kinds = git(folder, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)")
        there.extend(kinds.split())
        return read_objects(folder, ids)

    monkeypatch.setattr(snapshots, "_read_objects", listed)
    assert corpus.main(["build", "web"]) == 0
    assert sorted(there) == ["blob", "blob", "commit", "tree"]


def test_mirrors_are_read_however_they_lie(hub, table, audio, tmp_path, capsys):
    mirrors = tmp_path / "mirrors"
    rows = []
    for owner, inner in (("a", "."), ("b", "repo"), ("c", "snapshot-1")):
        folder = mirrors / f"{owner}+demo" / inner
        # Each file is another one by a byte behind its samples.
        contents = audio["mono.wav"] + owner.encode()
        rows.append(row(f"{owner}/demo", commit(folder, {"x.wav": contents}), "x.wav", contents))
    git(tmp_path, "clone", "--quiet", "--bare", mirrors / "a+demo", mirrors / "d+demo" / "repo")
    rows.append({**rows[0], "repository": "d/demo", "sha256": "0" * 64})
    table(*rows)
    assert corpus.main(["build", "web", "--mirrors", str(mirrors)]) == 1
    printed = capsys.readouterr().out
    assert "missing: 1 clips, other contents" in printed
    assert set(load_corpus("web")["source"]) == {"a/demo", "b/demo", "c/demo"}
    assert corpus.main(["build", "web", "--mirrors", str(tmp_path / "none")]) == 2
    assert "--mirrors names a folder of snapshots" in capsys.readouterr().err


def test_what_is_lost_is_counted_by_reason_and_the_rest_is_built(
    hub, table, audio, monkeypatch, capsys
):
    monkeypatch.setattr(snapshots, "MAX_FILE_BYTES", 200_000)
    good = audio["mono.wav"]
    own = commit(
        hub / "ann/demo",
        {
            "a.wav": good,
            "lfs.wav": POINTER,
            "text.wav": b"no audio",
            "large.wav": audio["long.wav"],
            "z.wav": audio["other.wav"],
        },
    )
    contents = {"lfs.wav": POINTER, "text.wav": b"no audio", "large.wav": audio["long.wav"]}
    table(
        row("ann/demo", own, "changed.wav", b"1"),
        row("ann/demo", own, "a.wav", b"what it was"),
        *(row("ann/demo", own, name, own_bytes) for name, own_bytes in contents.items()),
        row("ann/demo", own, "z.wav", audio["other.wav"]),
        row("ann/demo", own, "moved.wav", audio["coded.mp3"]),
        row("ann/demo", "0" * 40, "at another commit.wav", audio["stereo.flac"]),
        row("ann/demo", "HEAD;x", "odd commit.wav", b"2"),
        row("ben/gone", own, "gone.wav", b"3"),
        row("../ann", own, "odd name.wav", b"4"),
        row("--upload-pack=x/y", own, "odd flag.wav", b"5"),
    )
    assert corpus.main(["build", "web"]) == 1
    assert missing(hub) == {
        "changed.wav": "no such file",
        "a.wav": "other contents",
        "lfs.wav": "Git LFS pointer",
        "text.wav": "cannot be decoded",
        "large.wav": "too large",
        "moved.wav": "no such file",
        "at another commit.wav": "commit gone",
        "odd commit.wav": "not a commit's name",
        "gone.wav": "repository gone",
        "odd name.wav": "not a repository's name",
        "odd flag.wav": "not a repository's name",
    }
    assert list(load_corpus("web")["file"]) == ["z.wav"]
    assert "missing: 2 clips, no such file" in capsys.readouterr().out


def test_rewritten_history_is_no_loss_where_the_file_is_still_there(hub, table, audio):
    old = commit(hub / "ann/demo", {"a.wav": audio["mono.wav"], "b.wav": audio["other.wav"]})
    git(hub / "ann/demo", "checkout", "--quiet", "--orphan", "new")
    git(hub / "ann/demo", "rm", "--quiet", "--cached", "b.wav")
    (hub / "ann/demo/b.wav").unlink()
    commit(hub / "ann/demo", {})
    git(hub / "ann/demo", "branch", "--delete", "--force", "master")
    git(hub / "ann/demo", "reflog", "expire", "--expire=now", "--all")
    git(hub / "ann/demo", "gc", "--quiet", "--prune=now")
    table(
        row("ann/demo", old, "a.wav", audio["mono.wav"]),
        row("ann/demo", old, "b.wav", audio["other.wav"]),
    )
    assert corpus.main(["build", "web"]) == 1
    assert list(load_corpus("web")["file"]) == ["a.wav"]
    assert missing(hub) == {"b.wav": "commit gone"}


def test_git_speaks_https_alone_and_reads_no_configuration_of_the_user(
    hub, table, audio, monkeypatch, tmp_path, capsys
):
    table(row("ann/demo", commit(hub / "ann/demo", {"a.wav": b"1"}), "a.wav", b"1"))
    monkeypatch.setattr(snapshots, "PROTOCOLS", "https")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")  # as a user's configuration might allow it
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "always")
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file:https")
    assert corpus.main(["build", "web"]) == 2
    error = capsys.readouterr().err
    assert "not one clip of the corpus web could be built. Received: not fetched (1)" in error
    details = pd.read_csv(web.web_folder() / "missing.csv")["detail"]
    assert "transport 'file' not allowed" in details[0]


def test_objects_that_cannot_be_read_do_not_take_others_with_them(hub, table, audio, tmp_path):
    """As in a mirror of which some objects are left out or broken."""
    folder = tmp_path / "mirrors/ann+demo"
    names = ("mono.wav", "stereo.flac", "other.wav")
    own = commit(folder, {name: audio[name] for name in names})
    for name, damage in (("mono.wav", None), ("stereo.flac", b"broken")):
        at = git(folder, "rev-parse", f"HEAD:{name}")
        path = folder / ".git/objects" / at[:2] / at[2:]
        path.unlink()
        if damage:
            path.write_bytes(damage)
    table(*(row("ann/demo", own, name, audio[name]) for name in names))
    assert corpus.main(["build", "web", "--mirrors", str(tmp_path / "mirrors")]) == 1
    assert list(load_corpus("web")["file"]) == ["other.wav"]
    assert missing(hub) == dict.fromkeys(names[:2], "not in the repository")


def test_a_stopped_build_resumes_and_what_came_back_is_taken(
    hub, table, audio, monkeypatch, capsys
):
    first = commit(hub / "ann/demo", audio)
    rows = [row("ann/demo", first, name, contents) for name, contents in sorted(audio.items())]
    rows.append(row("ben/demo", first, "coded.mp3", audio["coded.mp3"] + b"2"))
    table(*rows)
    write, written = web.write_wav, []

    def stop_after_two(path, waveform):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        write(path, waveform)

    with monkeypatch.context() as patched:
        patched.setattr(web, "write_wav", stop_after_two)
        assert corpus.main(["build", "web"]) == 130
    assert "Resume with the same command" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match=r"not built yet. Build it: python -m tfpipeline"):
        load_corpus("web")
    asked = []
    read_files = web.read_files
    monkeypatch.setattr(
        web, "read_files", lambda *own: asked.append((own[0], len(own[1]))) or read_files(*own)
    )
    assert corpus.main(["build", "web"]) == 1
    assert sorted(asked) == [("ann/demo", 3), ("ben/demo", 1)]
    assert missing(hub) == {"coded.mp3": "repository gone"}
    files = {path.stat().st_mtime_ns for path in (web.web_folder() / "audio").iterdir()}
    assert len(files) == len(audio)
    asked.clear()
    ben = commit(hub / "ben/demo", {"coded.mp3": audio["coded.mp3"] + b"2"})
    table(*rows[:-1], {**rows[-1], "commit": ben})
    assert corpus.main(["build", "web"]) == 0
    assert asked == [("ben/demo", 1)]
    assert missing(hub) == {}
    assert len(load_corpus("web")) == len(rows)


def test_licenses_repeated_rows_and_enhanced_speech(hub, table, audio, capsys):
    own = commit(hub / "ann/demo", audio)
    first = row("ann/demo", own, "mono.wav", audio["mono.wav"])
    table(
        first,
        {**first, "file": "again.wav"},
        row("ann/demo", own, "other.wav", audio["other.wav"], license="none-stated"),
        row("ann/demo", own, "coded.mp3", audio["coded.mp3"], license="CC-BY-NC-4.0"),
        row("ann/demo", own, "long.wav", audio["long.wav"], kind="enhanced"),
    )
    assert corpus.main(["build", "web", "--licenses", "open"]) == 1
    assert missing(hub) == {"again.wav": "repeated"}
    assert list(load_corpus("web")["file"]) == ["mono.wav"]
    assert corpus.main(["build", "web"]) == 1
    assert sorted(load_corpus("web")["file"]) == ["coded.mp3", "mono.wav", "other.wav"]
    enhanced = load_corpus("web:enhanced")
    assert list(enhanced["file"]) == ["long.wav"]
    assert list(enhanced["part"]) == ["test"]
    with pytest.raises(ValueError, match="takes no path but `enhanced`"):
        load_corpus("web:other")
    # What is built already is not fetched for the other choice, and is no clip of it.
    assert corpus.main(["build", "web", "--licenses", "open"]) == 1
    assert list(load_corpus("web")["file"]) == ["mono.wav"]
    table({**first, "label": "bonafide", "attack": "-"})
    with pytest.raises(ValueError, match="built by the table of this version"):
        load_corpus("web")


def test_copies_of_the_human_side(hub, table, audio, monkeypatch, capsys):
    own = commit(hub / "ann/demo", audio)
    human = {"label": "bonafide", "attack": "-", "kind": "bonafide"}
    table(
        row("ann/demo", own, "mono.wav", audio["mono.wav"], **human),
        row("ann/demo", own, "long.wav", audio["long.wav"], **human),
        row("ann/demo", own, "coded.mp3", audio["coded.mp3"]),
        row("ben/demo", own, "other.wav", audio["other.wav"], part="validation", **human),
    )
    assert corpus.main(["build", "web"]) == 1  # ben/demo is gone
    with pytest.raises(FileNotFoundError, match="there are no copies yet"):
        load_corpus("web:copies")
    monkeypatch.setattr(copies, "EACH", 1)
    monkeypatch.setattr(copies, "ATTACKS", ("world", "griffin_lim"))
    assert corpus.main(["build", "web", "--copies"]) == 1
    assert "3 copies" in capsys.readouterr().out
    clips = load_corpus("web:copies").set_index("clip_id")
    assert len(clips) == len(load_corpus("web")) + 3
    added = clips.iloc[-3:]
    assert list(added["label"]) == ["bonafide", "spoof", "spoof"]
    assert list(added["attack"]) == ["-", "world", "griffin_lim"]
    assert list(added["kind"]) == ["bonafide", "copy", "copy"]
    assert set(added["part"]) == {"train"}
    original, world, griffin_lim = (soundfile.read(path)[0] for path in added["path"])
    source, _ = soundfile.read(clips.loc[added.index[0].split("_")[0], "path"])
    source, _ = librosa.effects.trim(source, top_db=45)
    assert len(original) == len(world) == len(griffin_lim) == 48_000
    expected = soxr.resample(soxr.resample(source[:48_000], 16_000, 22_050), 22_050, 16_000)
    np.testing.assert_allclose(original, expected, atol=0.01)
    # Copies keep what is said, as the spectrogram tells, and not the waveform.
    mel = [
        librosa.power_to_db(librosa.feature.melspectrogram(y=own, sr=16_000), top_db=60)
        for own in (original, world, griffin_lim)
    ]
    for copy, waveform in zip(mel[1:], (world, griffin_lim), strict=True):
        assert np.corrcoef(mel[0].ravel(), copy.ravel())[0, 1] > 0.8
        assert abs(np.corrcoef(original, waveform)[0, 1]) < 0.9
    before = {path: Path(path).stat().st_mtime_ns for path in added["path"]}
    assert corpus.main(["build", "web", "--copies"]) == 1
    assert before == {path: Path(path).stat().st_mtime_ns for path in added["path"]}


def test_bad_usage_is_one_line(hub, table, capsys, monkeypatch):
    table(row("ann/demo", "0" * 40, "a.wav", b"1"))
    cases = [
        (["build", "web", "--workers", "0"], "--workers is at least 1. Received: 0"),
        (["build", "demo", "--licenses", "open"], "--licenses is a flag of the corpus web"),
        (["inspect", "web"], "not built yet"),
        (["build", "web"], "Received: repository gone (1)"),
    ]
    for argv, message in cases:
        assert corpus.main(argv) == 2
        assert message in capsys.readouterr().err
    monkeypatch.setenv("PATH", "")
    assert corpus.main(["build", "web"]) == 2
    assert "Received: no program git" in capsys.readouterr().err


def test_the_package_table_is_sound():
    rows = web.read_web_table()
    assert len(rows) == 11_611
    assert rows["sha256"].is_unique
    assert web._clip_ids(rows).is_unique
    assert rows["sha256"].str.fullmatch("[0-9a-f]{64}").all()
    assert rows["commit"].str.fullmatch("[0-9a-f]{40}").all()
    assert rows["repository"].str.fullmatch(snapshots.REPOSITORY.pattern).all()
    assert not rows.duplicated(["repository", "commit", "file"]).any()
    assert not rows.isna().any().any()
    texts = rows.select_dtypes(exclude="number")
    assert not texts.eq("").any().any()
    assert set(rows["label"]) == {"bonafide", "spoof"}
    human = rows["label"] == "bonafide"
    assert (rows["attack"].eq("-") == human).all()
    assert (rows["kind"].eq("bonafide") == human).all()
    kinds = {"tts", "vc", "vocoder", "codec", "parametric", "enhanced"}
    assert set(rows.loc[~human, "kind"]) == kinds
    assert rows["seconds"].between(0.5, 8).all()
    assert set(rows["part"]) == {"train", "validation", "enhanced"}
    # No repository and no speaker on two sides; enhanced speech is beside both.
    learnt = rows[rows["part"] != "enhanced"].rename(columns={"repository": "source"})
    check_sides(learnt, "web")
    assert learnt.groupby("part")["source"].nunique().to_dict() == {"train": 200, "validation": 18}
    for _, own in learnt.groupby("part"):
        assert own["label"].nunique() == 2
    closed = {"none-stated", "CC-BY-NC-4.0", "CC-BY-NC-ND-4.0", "LicenseRef-Tongyi-Qianwen"}
    assert set(rows["license"]) - web.OPEN_LICENSES == closed
    assert set(web.read_web_table("open")["license"]) == set(rows["license"]) - closed
    with pytest.raises(ValueError, match=r"--licenses is one of all, open\. Received: 'free'"):
        web.read_web_table("free")


def test_the_package_table_is_the_index_it_was_made_of():
    """Where the index is at hand: the same rows, but for 13 undecodable ones and 70 repeats."""
    index = Path(__file__).parents[3] / "shared/data/wild-train/index.csv"
    if not index.is_file():
        pytest.skip(f"{index} is not there")
    with index.open(encoding="utf-8", newline="") as file:
        known = {row["sha256"]: row for row in csv.DictReader(file)}
    rows = pd.read_parquet(web.TABLE)
    assert len(set(known) - set(rows["sha256"])) == 13 + 70
    renamed = {"repository": "repo", "file": "repo_path", "license": "licence"}
    for column in rows.columns.drop("seconds"):
        values = [known[own][renamed.get(column, column)] for own in rows["sha256"]]
        assert rows[column].astype(str).tolist() == values
    assert rows["seconds"].tolist() == [float(known[own]["seconds"]) for own in rows["sha256"]]
