"""WaveFake: LJSpeech (and JSUT) through neural vocoders, and a synthesiser of the same voice.

`generated_audio/<generator>/LJ001-0001_gen.wav`: fakes only. The recordings that they were made of
are looked for in the folder and beside it, as `LJSpeech-1.1` and `jsut_ver1.1`, or are named:
`wavefake:PATH+LJSPEECH`. Fakes of JSUT are left out where JSUT is not there, since a language that
only fakes speak would tell them. One reader each: a split can keep recordings apart, not voices.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from tfpipeline.data.clips import UNKNOWN
from tfpipeline.data.corpora.reading.audio_index import audio_folders, stem_of
from tfpipeline.data.corpora.reading.corpus import ALL, Corpus, ReadCorpus
from tfpipeline.data.corpora.reading.dataset_layout import expect_layout, open_root, split_paths

CORPUS = Corpus(
    name="wavefake",
    title="WaveFake",
    what="LJSpeech and JSUT through 7 vocoders, and a synthesiser of LJSpeech's voice; no split",
    license="CC BY-SA 4.0 (LJSpeech: public domain; JSUT: see its home page)",
    citation="Frank and Schönherr 2021, WaveFake: a data set to facilitate audio deepfake "
    "detection, NeurIPS Datasets and Benchmarks",
    home="https://zenodo.org/records/5642694",
    layout="generated_audio/ with folders such as ljspeech_melgan/, and LJSpeech-1.1/ in it or "
    "beside it",
    second="the real recordings, LJSpeech-1.1",
)
# Bonafide and spoof; the synthesiser's are 16,283 of the spoofs.
COUNTS = {False: {ALL: (13_100, 107_983)}, True: {ALL: (18_100, 117_983)}}
GENERATORS = ("ljspeech_", "jsut_", "common_voices_")
ORIGINALS = {
    "ljspeech": (("LJSpeech-1.1", "LJSpeech", "ljspeech_real"), "wavs", "LJ", "en"),
    "jsut": (("jsut_ver1.1", "jsut", "jsut_real"), "basic5000/wav", "JSUT", "ja"),
}
MADE = re.compile(r"_gen(erated)?$")
NAMED = re.compile(r"(LJ\d{3}-\d{4}|BASIC5000_\d{4})")
COLUMNS = ["clip_id", "path", "label", "speaker", "attack", "source", "language"]


def read(path: str) -> ReadCorpus:
    """The fakes of all generators, and the originals that are there."""
    first, *others = split_paths(path)
    (generated,) = expect_layout(CORPUS, first, [_generated])
    places = [generated, generated.parent, generated.parent.parent]
    others = [open_root(other) for other in others]
    real = {name: _originals(name, others, places) for name in ORIGINALS}
    rows, notes = [], []
    for name, folder in real.items():
        speaker, language = ORIGINALS[name][2:]
        files = [] if folder is None else dict(audio_folders(folder))[()]
        rows += [
            (
                f"{speaker}/{file}",
                str(folder / file),
                "bonafide",
                speaker,
                UNKNOWN,
                stem_of(file),
                language,
            )
            for file in files
        ]
    left_out, repeated = 0, 0
    for generator in _generators(generated):
        jsut = generator.name.lower().startswith("jsut")
        speaker, language = ORIGINALS["jsut" if jsut else "ljspeech"][2:]
        stems = set()
        for names, files in sorted(audio_folders(generator)):
            for file in files:
                stem = MADE.sub("", stem_of(file))
                if jsut and real["jsut"] is None:
                    left_out += 1
                elif stem in stems:
                    repeated += 1  # one generator's folder holds all its files a second time
                else:
                    stems.add(stem)
                    source = stem if NAMED.fullmatch(stem) else UNKNOWN
                    clip_id = "/".join((generator.name, *names, file))
                    place = str(generator.joinpath(*names, file))
                    rows.append(
                        (clip_id, place, "spoof", speaker, generator.name, source, language)
                    )
    if left_out:
        notes.append(f"{left_out:,} fakes of JSUT are left out: no jsut_ver1.1 beside {generated}")
    if repeated:
        notes.append(f"{repeated:,} files stand in a generator's folder twice: read once")
    clips = pd.DataFrame(rows, columns=COLUMNS)
    if real["ljspeech"] is None:
        notes.append(f"no LJSpeech-1.1 in or beside {generated}: fakes only")
        return ReadCorpus(clips, notes, {})
    return ReadCorpus(clips, notes, COUNTS[real["jsut"] is not None])


def _generators(folder: Path) -> list[Path]:
    """The folders of fakes in a folder."""
    if not folder.is_dir():
        return []
    return sorted(
        child
        for child in folder.iterdir()
        if child.name.lower().startswith(GENERATORS)
        and not child.name.lower().endswith("_real")
        and child.is_dir()
    )


def _generated(root: Path) -> Path | None:
    """The folder that holds the generators' folders: `generated_audio`, or the root itself."""
    return next((place for place in (root / "generated_audio", root) if _generators(place)), None)


def _originals(name: str, given: list[Path], places: list[Path]) -> Path | None:
    """The folder of a reader's recordings, among those given, else in the places to look."""
    folders, inner, *_ = ORIGINALS[name]
    candidates = [place / sub for place in given for sub in (inner, f"{folders[0]}/{inner}")]
    # A folder of recordings may be named itself; its first file tells whose they are.
    candidates += [place for place in given if name == "ljspeech" and any(place.glob("LJ001-*"))]
    candidates += [place / top / sub for place in places for top in folders for sub in (inner, "")]
    return next((path for path in candidates if path.is_dir() and _has_audio(path)), None)


def _has_audio(folder: Path) -> bool:
    return any(NAMED.match(file.name) for file in folder.iterdir())
