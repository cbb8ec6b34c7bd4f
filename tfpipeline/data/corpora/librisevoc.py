"""LibriSeVoc: LibriTTS speech, and the same recordings made again by six neural vocoders.

`gt/27_123349_000006_000000.wav` is the recording (reader, chapter, paragraph, sentence), and
`diffwave/27_123349_000006_000000_gen.wav` the same by a vocoder. The lists `train.txt`, `dev.txt`
and `test.txt` name the recordings of each part; they share almost all readers. Where they are not
beside the folders, the clips are split by reader.

Reference:
    Folders, lists and counts: github.com/csun22/Synthetic-Voice-Detection-Vocoder-Artifacts, its
    main.py and lists (7,920, 2,640 and 2,641 recordings); `_gen`: github.com/Jessegator/SONAR,
    data_utils.py. Whether the copy at zenodo.org/records/15127251 is laid out alike could not be
    looked up.
"""

from __future__ import annotations

import pandas as pd

from tfpipeline.data.clips import UNKNOWN
from tfpipeline.data.corpora.reading.audio_index import audio_folders, stem_of
from tfpipeline.data.corpora.reading.corpus import ALL, Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout
from tfpipeline.data.corpora.reading.names import speaker_of_stem
from tfpipeline.data.corpora.reading.protocols import read_fields

CORPUS = Corpus(
    name="librisevoc",
    title="LibriSeVoc",
    what="LibriTTS speech and six neural vocoders of it; official parts that share readers",
    license="MIT for its repository; LibriTTS is CC BY 4.0",
    citation="Sun et al. 2023, AI-synthesized voice detection using neural vocoder artifacts, CVPR "
    "Workshops",
    home="https://github.com/csun22/Synthetic-Voice-Detection-Vocoder-Artifacts",
    layout="gt/ and diffwave/, melgan/, parallel_wave_gan/, wavegrad/, wavenet/, wavernn/; best "
    "with train.txt, dev.txt and test.txt of its repository beside them",
    counts={ALL: (13_201, 79_206)},
)
REAL = "gt"
VOCODERS = ("diffwave", "melgan", "parallel_wave_gan", "wavegrad", "wavenet", "wavernn")
LISTS = (("train", "train.txt"), ("validation", "dev.txt"), ("test", "test.txt"))
COLUMNS = ["clip_id", "path", "label", "speaker", "attack", "source"]


def read(path: str) -> ReadCorpus:
    """The recordings and what the vocoders that are there made of them."""
    (real,) = expect_layout(CORPUS, path, [(REAL,)])
    root = real.parent
    rows, notes = [], []
    for names, files in sorted(audio_folders(root)):
        if not files:
            continue
        folder = "/".join(names)
        if folder not in (REAL, *VOCODERS):
            raise ValueError(
                f"{CORPUS.name}:{path}: audio lies in {REAL} or one of {', '.join(VOCODERS)}. "
                f"Received: {len(files):,} files in {folder or 'the folder itself'}. Move it away."
            )
        for file in files:
            source = stem_of(file).removesuffix("_gen")
            label, attack = ("bonafide", UNKNOWN) if folder == REAL else ("spoof", folder)
            place = str(root / folder / file)
            rows.append((f"{folder}/{file}", place, label, speaker_of_stem(source), attack, source))
    clips = pd.DataFrame(rows, columns=COLUMNS).assign(language="en")
    parts = {}
    for part, name in LISTS:
        if (root / name).exists():
            listed = read_fields(root / name, ("file",))["file"].map(stem_of)
            parts.update(dict.fromkeys(listed, part))
        else:
            notes.append(f"no {root / name}, the list of {part}; it is in the repository")
    if parts:
        clips["part"] = clips["source"].map(parts)
        left_out = int(clips["part"].isna().sum())
        if left_out:
            notes.append(f"{left_out:,} clips stand in no list, and are left out")
        clips = clips.dropna(subset=["part"]).reset_index(drop=True)
    if clips.empty:
        raise ValueError(
            f"{CORPUS.name}:{path}: expected {CORPUS.layout}. Received: no audio"
            f"{' that the lists name' if rows else ''}."
        )
    return ReadCorpus(clips, notes)
