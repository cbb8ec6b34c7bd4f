"""MLAAD: fakes of more than a hundred synthesisers in dozens of languages; and M-AILABS beside it.

`fake/<language>/<model>/meta.csv`, cells between bars: fakes only. Bona fide speech is a second
path, `mlaad:PATH+PATH2`: M-AILABS, which most fakes were made after (then reader, language and the
recording behind a fake are known), or any folder in which all is real.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from tfpipeline.data.clips import UNKNOWN
from tfpipeline.data.corpora.reading.audio_index import attach_audio, audio_folders, stem_of
from tfpipeline.data.corpora.reading.corpus import Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout, open_root, split_paths
from tfpipeline.data.corpora.reading.names import speaker_of_stem
from tfpipeline.data.corpora.reading.protocols import line_of, read_columns

CORPUS = Corpus(
    name="mlaad",
    title="MLAAD",
    what="fakes of over 100 synthesisers in over 35 languages (grows by version); no split",
    license="CC BY-NC 4.0 (M-AILABS: its own, BSD-like)",
    citation="Müller et al. 2024, MLAAD: the multi-language audio anti-spoofing dataset, IJCNN, "
    "arXiv 2401.09512",
    home="https://deepfake-total.com/mlaad",
    layout="fake/<language>/<model>/meta.csv and the audio beside each",
    second="a folder of bona fide speech, such as M-AILABS",
)
NEEDED = ("path", "original_file", "language", "model_name")
KEPT = ("architecture", "is_original_language", "training_data")
MAILABS = re.compile(
    r"(?:^|/)(?P<place>(?P<language>[a-z]{2})_[A-Z]{2}/by_book/(?P<sex>female|male|mix)/"
    r"(?P<speaker>[^/]+)/.*)$"
)


def read(path: str) -> ReadCorpus:
    """The fakes of all models, and the bona fide speech of the second path."""
    first, *others = split_paths(path)
    (fake,) = expect_layout(CORPUS, first, [_fake])
    notes, tables = [], []
    for meta in sorted(fake.glob("*/*/meta.csv")):
        clips, unmatched = _read_model(meta)
        tables.append(clips)
        notes += unmatched
    fakes = pd.concat(tables, ignore_index=True)
    real = [_read_bonafide(open_root(other)) for other in others]
    clips = pd.concat([fakes, *real], ignore_index=True)
    if real:
        alone = sorted(set(fakes["language"]) - {"-"} - set(pd.concat(real)["language"]))
        if alone:
            notes.append(
                f"{len(alone)} languages are spoken by fakes only, such as {alone[0]}: a detector "
                "may learn the language"
            )
    text = [column for column in clips if column not in ("path", "seconds")]
    clips[text] = clips[text].fillna(UNKNOWN)
    return ReadCorpus(clips, notes)


def _fake(root: Path) -> Path | None:
    return root / "fake" if any((root / "fake").glob("*/*/meta.csv")) else None


def _read_model(meta: Path) -> tuple[pd.DataFrame, list[str]]:
    """The clips of one model's table; the folder tells language and model where a cell does not."""
    header = line_of(meta, 0)[1]
    separator = next((mark for mark in "|;" if mark in header), ",")
    table = read_columns(meta, NEEDED, separator)
    folder = meta.parent
    language, model = folder.parent.name, folder.name
    clips = pd.DataFrame(
        {
            "clip_id": [f"{language}/{model}/{Path(file).name}" for file in table["path"]],
            "label": "spoof",
            "attack": table["model_name"].where(table["model_name"] != UNKNOWN, model),
            "source": table["original_file"].map(_recording),
            "language": table["language"].where(table["language"] != UNKNOWN, language),
            "sentence": table.get("transcript", UNKNOWN),
            "seconds": pd.to_numeric(table.get("duration"), errors="coerce"),
            **{column: table[column] for column in KEPT if column in table},
        }
    )
    clips = clips[~clips["clip_id"].duplicated()]
    names = [clip_id.rpartition("/")[2] for clip_id in clips["clip_id"]]
    return attach_audio(clips.reset_index(drop=True), names, folder, meta)


def _recording(file: str) -> str:
    """The recording that a fake was made after, by its place in M-AILABS, or else its name."""
    file = file.replace("\\", "/")
    found = MAILABS.search(file)
    return stem_of(found["place"] if found else file.rpartition("/")[2])


def _read_bonafide(root: Path) -> pd.DataFrame:
    """All audio below a folder, as bona fide speech."""
    rows = []
    for names, files in sorted(audio_folders(root)):
        for file in files:
            below = "/".join((*names, file))
            # The given folder may be one inside M-AILABS.
            found = MAILABS.search(f"{root.absolute().as_posix()}/{below}")
            speaker = speaker_of_stem(stem_of(file))
            if found:
                speaker = UNKNOWN if found["sex"] == "mix" else found["speaker"]
            rows.append(
                (
                    f"bonafide/{below}",
                    str(root / below),
                    "bonafide",
                    speaker,
                    UNKNOWN,
                    stem_of(found["place"]) if found else UNKNOWN,
                    found["language"] if found else UNKNOWN,
                    found["sex"] if found else UNKNOWN,
                )
            )
    if not rows:
        raise ValueError(
            f"{CORPUS.name}: the second path holds bona fide speech. Received: no audio in {root}."
        )
    columns = ["clip_id", "path", "label", "speaker", "attack", "source", "language", "sex"]
    return pd.DataFrame(rows, columns=columns)
