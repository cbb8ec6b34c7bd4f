"""The `web` corpus: speech of hundreds of systems and of people, as public repositories show it.

A table in the package, `clips.parquet`, names files of demonstration pages and test data on GitHub:
repository, commit, path, SHA-256, label and what else is known. No audio is in it: `build_web`
fetches the files, checks, decodes and cuts them. Repositories, the `source` of a clip, are train or
validation as a whole; there is no test part. Enhanced speech (`kind`), human speech behind a neural
denoiser, is labelled spoof and yet what a headset does to its user: it is no clip of `web`, and
stands apart as `web:enhanced`, a test set.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.audio.decode import decode
from tfpipeline.data.clips import LABELS, normalize_manifest, read_manifest, write_manifest
from tfpipeline.data.demo.corpus import write_wav
from tfpipeline.data.web.copies import build_copies
from tfpipeline.data.web.snapshots import LostError, read_files
from tfpipeline.files.archives import cache_folder
from tfpipeline.files.atomic import write_table
from tfpipeline.files.progress import Progress

TABLE = Path(__file__).with_name("clips.parquet")
FORM = 1  # of the audio, in the folder's name: another cut or decoder raises it
SECONDS = 8
ENHANCED = "enhanced"
COPIES = "copies"
# Repositories whose license lets anyone use, change and pass on what is in them, by SPDX name.
OPEN_LICENSES = {
    "AGPL-3.0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC-BY-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "GPL-3.0",
    "LGPL-2.1",
    "LGPL-3.0",
    "MIT",
    "MIT OR Apache-2.0",
    "MPL-2.0",
    "Unlicense",
}
LICENSES = ("all", "open")
WORKERS = 4
BUILD = "python -m tfpipeline.corpus build web"


def read_web_table(licenses: str = "all") -> pd.DataFrame:
    """The table of files: what could be built, with the part `enhanced` where that is the kind.

    Args:
        licenses: `all`, or `open`: those of `OPEN_LICENSES` alone.
    """
    if licenses not in LICENSES:
        raise ValueError(f"--licenses is one of {', '.join(LICENSES)}. Received: {licenses!r}.")
    rows = pd.read_parquet(TABLE)
    rows["part"] = rows["part"].mask(rows["kind"] == ENHANCED, ENHANCED)
    if licenses == "open":
        rows = rows[rows["license"].isin(OPEN_LICENSES)].reset_index(drop=True)
    return rows


def load_web(path: str | None = None, split: bool = True) -> pd.DataFrame:
    """The manifest of what is built.

    Args:
        path: `enhanced`, for the clips of that kind, as a test set; None: all others; `copies`:
            those and what `build_copies` made of them.
        split: without effect; the parts are the table's.
    Raises:
        FileNotFoundError: it is not built.
        ValueError: another path, or it was built by a table that has changed since.
    """
    if path not in (None, ENHANCED, COPIES):
        raise ValueError(
            f"--data web takes no path but `{ENHANCED}` or `{COPIES}`: it is built in the cache. "
            f"Received: {path!r}."
        )
    manifest = web_folder() / "manifest.csv"
    if not manifest.exists():
        raise FileNotFoundError(f"{manifest}: the corpus web is not built yet. Build it: {BUILD}")
    clips, table = read_manifest(manifest), read_web_table()
    table = table.drop_duplicates("sha256")
    now = table.set_index(_clip_ids(table))[["label", "part"]].reindex(clips["clip_id"])
    if not (now.to_numpy() == clips[["label", "part"]].to_numpy()).all():
        raise ValueError(
            f"{manifest}: the corpus web must be built by the table of this version. Received: "
            f"another one's. Audio that is there is kept: {BUILD}"
        )
    print(f"web: {len(clips)} of {len(table)} clips are built", file=sys.stderr)
    chosen = clips["part"] == ENHANCED
    if path is None:
        return clips[~chosen].reset_index(drop=True)
    if path == COPIES:
        copies = web_folder() / "copies.csv"
        if not copies.exists():
            raise FileNotFoundError(f"{copies}: there are no copies yet. Build: {BUILD} --copies")
        return pd.concat([clips[~chosen], read_manifest(copies)], ignore_index=True)
    return clips[chosen].assign(part="test").reset_index(drop=True)


def build_web(
    mirrors: str | Path | None = None,
    licenses: str = "all",
    workers: int = WORKERS,
    copies: bool = False,
) -> dict:
    """Fetches and decodes what is not built yet, and writes the manifest of what is there then.

    Each clip is written atomically and kept, so a build that was stopped resumes where it was. What
    cannot be had is left out and listed in `missing.csv`; the next build tries it again.

    Args:
        mirrors: a folder of snapshots, a git directory `owner+name` each, to read instead of
            fetching from GitHub.
        licenses: as in `read_web_table`; the manifest holds no other clip.
        workers: repositories at a time.
        copies: makes those of `build_copies` too, by HiFi-GAN, WORLD and Griffin-Lim.
    Returns:
        `{"data", "clips", "bonafide", "spoof", "built", "repositories", "hours", "missing":
        {reason: clips}, "copies", "folder"}`; `built` are new, `repositories` those that clips are
        from.
    Raises:
        ValueError: Git is missing, a flag is wrong, or there is not one clip.
        NotADirectoryError: there is no folder of mirrors.
    """
    if workers < 1:
        raise ValueError(f"--workers is at least 1. Received: {workers}.")
    if not shutil.which("git"):
        raise ValueError("the corpus web needs Git. Received: no program git. Install it.")
    if mirrors is not None and not Path(mirrors).is_dir():
        raise NotADirectoryError(f"--mirrors names a folder of snapshots. Received: {mirrors}.")
    table, folder = read_web_table(licenses), web_folder()
    table["clip_id"] = _clip_ids(table)
    table["path"] = [str(folder / "audio" / f"{clip_id}.wav") for clip_id in table["clip_id"]]
    repeated = table["sha256"].duplicated()
    rows = table[~repeated]
    absent = rows[~_exist(rows["path"])]
    lost = dict.fromkeys(table.index[repeated], LostError("repeated", "an earlier row has it"))
    lost |= _build_absent(absent, None if mirrors is None else Path(mirrors), workers, len(rows))
    clips = rows.drop(index=[row for row in lost if row in rows.index])
    missing = table.loc[list(lost), ["repository", "commit", "file", "label"]].assign(
        reason=[own.reason for own in lost.values()], detail=[own.detail for own in lost.values()]
    )
    reasons = missing["reason"].value_counts().to_dict()
    write_table(folder / "missing.csv", missing)
    if clips.empty:
        told = ", ".join(f"{reason} ({number})" for reason, number in reasons.items())
        raise ValueError(f"not one clip of the corpus web could be built. Received: {told}.")
    manifest = clips.drop(columns="sha256").rename(columns={"repository": "source"})
    write_manifest(folder / "manifest.csv", normalize_manifest(manifest, "web"))
    return {
        "data": "web",
        "clips": len(clips),
        **{label: int((clips["label"] == label).sum()) for label in LABELS},
        "built": len(absent.index.difference(list(lost))),
        "repositories": clips["repository"].nunique(),
        "hours": round(clips["seconds"].sum() / 3600, 2),
        "missing": reasons,
        "copies": len(build_copies(folder)) if copies else 0,
        "folder": str(folder),
    }


def web_folder() -> Path:
    """Where the corpus is built: `audio/`, `manifest.csv` and `missing.csv`."""
    return cache_folder() / "corpora" / f"web-{FORM}"


def _clip_ids(rows: pd.DataFrame) -> pd.Series:
    return rows["sha256"].str[:16]


def _exist(paths: pd.Series) -> np.ndarray:
    return np.array([os.path.exists(path) for path in paths], bool)


def _build_absent(
    absent: pd.DataFrame, mirrors: Path | None, workers: int, total: int
) -> dict[int, LostError]:
    """Builds clips, some repositories at a time; row → why it could not be built."""
    lost: dict[int, LostError] = {}
    stop = threading.Event()
    bar = Progress("corpus web", total, "clips", done=total - len(absent))
    with bar, ThreadPoolExecutor(workers) as pool:
        waiting = {
            pool.submit(_build_repository, name, rows, mirrors, stop): len(rows)
            for name, rows in absent.groupby("repository")
        }
        try:
            for done in as_completed(waiting):
                lost |= done.result()
                bar.advance(waiting[done])
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return dict(sorted(lost.items()))


def _build_repository(
    repository: str, rows: pd.DataFrame, mirrors: Path | None, stop: threading.Event
) -> dict[int, LostError]:
    lost: dict[int, LostError] = {}
    wanted = list(zip(rows["commit"], rows["file"], strict=True))
    try:
        with closing(read_files(repository, wanted, mirrors)) as files:
            for row, contents in zip(rows.itertuples(), files, strict=True):
                if stop.is_set():
                    break
                try:
                    write_wav(Path(row.path), _waveform(contents, row.sha256))
                except LostError as error:
                    lost[row.Index] = error
    except LostError as error:  # of all
        lost = dict.fromkeys(rows.index, error)
    return lost


def _waveform(contents: bytes | LostError, sha256: str) -> np.ndarray:
    """The file as a clip: its channels averaged, and its first seconds; float32 (samples,)."""
    if isinstance(contents, LostError):
        raise contents
    received = hashlib.sha256(contents).hexdigest()
    if received != sha256:
        raise LostError("other contents", f"its SHA-256 is {received}")
    try:
        decoded = decode(contents)
    except (ValueError, OSError) as error:
        raise LostError("cannot be decoded", str(error)) from None
    channels = decoded.waveform.reshape(len(decoded.channels), -1)
    return channels[:, : SECONDS * SAMPLE_RATE].mean(axis=0)
