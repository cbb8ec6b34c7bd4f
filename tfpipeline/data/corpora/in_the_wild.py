"""In-the-Wild: recordings of 58 politicians and celebrities, and fakes of them, from the web.

Table lines: `0.wav,Alec Guinness,spoof`; real speech is spelt `bona-fide`. There is no official
split; clips are assigned by speaker.
"""

from __future__ import annotations

from tfpipeline.data.corpora.reading.audio_index import attach_audio, stem_of
from tfpipeline.data.corpora.reading.corpus import ALL, Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout
from tfpipeline.data.corpora.reading.protocols import drop_repeated, read_columns, to_labels

CORPUS = Corpus(
    name="in_the_wild",
    title="In-the-Wild",
    what="58 English-speaking celebrities and fakes of them, as found on the web; no split",
    license="Apache-2.0",
    citation="Müller et al. 2022, Does audio deepfake detection generalize?, Interspeech",
    home="https://deepfake-total.com/in_the_wild",
    layout="meta.csv (file,speaker,label) and the audio files beside it",
    counts={ALL: (19_963, 11_816)},
    arena=(19_963, 11_816),
)
LABELS = {"bonafide": "bonafide", "spoof": "spoof"}


def read(path: str) -> ReadCorpus:
    """The clips of the table."""
    (table,) = expect_layout(CORPUS, path, [("meta.csv",)])
    clips = read_columns(table, ("file", "speaker", "label"))
    clips["label"] = to_labels(clips["label"], LABELS, table, header=1)
    clips["clip_id"] = clips["file"].map(stem_of)
    clips, notes = drop_repeated(clips, table)
    clips, unmatched = attach_audio(clips, clips["file"].tolist(), table.parent, table)
    clips["attack"] = clips["label"].map({"bonafide": "-", "spoof": "unknown"})
    return ReadCorpus(clips.drop(columns="file").assign(language="en"), notes + unmatched)
