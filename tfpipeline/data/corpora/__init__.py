"""The data sets that can be named in `data.corpus` and `--data`: one file, one row each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial

import pandas as pd

from tfpipeline.config import DataConfig
from tfpipeline.data.automatic_splits import hold_out_attacks, split_by_best_group
from tfpipeline.data.corpora import (
    add2022,
    add2023,
    asvspoof5,
    asvspoof2019_la,
    asvspoof2021_df,
    asvspoof2021_la,
    cfad,
    codecfake,
    deep_voice,
    dfadd,
    fake_or_real,
    in_the_wild,
    indictts,
    librisevoc,
    mlaad,
    sonar,
    spoofceleb,
    wavefake,
)
from tfpipeline.data.corpora.folder import SPEAKERS_A_PART, load_folder
from tfpipeline.data.corpora.hf import load_hf
from tfpipeline.data.corpora.manifest import load_manifest
from tfpipeline.data.corpora.reading.corpus import Corpus, load_data_set
from tfpipeline.data.demo.corpus import load_demo
from tfpipeline.data.mixing import mix_corpora
from tfpipeline.data.splits import split_clips
from tfpipeline.data.web.corpus import load_web


def _load_demo(path: str | None, split: bool = True) -> pd.DataFrame:
    if path:
        raise ValueError(f"--data demo takes no path: it is built in the cache. Received: {path!r}")
    return load_demo()


_READERS = (
    indictts,
    asvspoof2019_la,
    asvspoof2021_la,
    asvspoof2021_df,
    asvspoof5,
    in_the_wild,
    fake_or_real,
    wavefake,
    mlaad,
    add2022,
    add2023,
    spoofceleb,
    deep_voice,
    codecfake,
    cfad,
    dfadd,
    librisevoc,
    sonar,
)
# The published data sets among them: license, citation, layout, counts.
DATA_SETS: dict[str, Corpus] = {reader.CORPUS.name: reader.CORPUS for reader in _READERS}
# Each takes the path and whether clips without parts are assigned to them.
CORPORA: dict[str, Callable[..., pd.DataFrame]] = {
    "demo": _load_demo,
    "web": load_web,
    "folder": load_folder,
    "manifest": load_manifest,
    "hf": load_hf,
    **{
        module.CORPUS.name: partial(load_data_set, module.CORPUS, module.read)
        for module in _READERS
    },
}
# Clips whose labels only a challenge's organisers know, in the order that a submission has.
HIDDEN_CLIPS: dict[str, Callable[[str | None], pd.DataFrame]] = {
    "indictts": indictts.hidden_clips,
}
# Attacks that a corpus keeps for its `unseen` part unless a config says otherwise.
UNSEEN_ATTACKS: dict[str, tuple[str, ...]] = {"demo": ("hifigan",)}

_BUILT_IN = {
    "demo": {
        "what": "real speech and its vocoded copies, built from public packages",
        "license": "Apache-2.0",
        "give": "demo",
    },
    "web": {
        "what": "hundreds of speech systems and people, fetched from public repositories",
        "license": "each repository's own",
        "give": "web, web:copies or web:enhanced",
    },
    "folder": {
        "what": "audio in folders whose names tell the label",
        "license": "yours",
        "give": "folder:PATH",
    },
    "manifest": {
        "what": "a table of clips, CSV or Parquet",
        "license": "yours",
        "give": "manifest:PATH",
    },
    "hf": {
        "what": "any audio data set of Hugging Face: tables, or audio with metadata",
        "license": "its own",
        "give": "hf:FOLDER+label=COLUMN+spoof=VALUE",
    },
}


def list_corpora() -> list[dict]:
    """What can be named in `data.corpus` and `--data`.

    Returns:
        A row each: `name`, `what`, `license`, and `give`, what `--data` takes; of published data
        sets also `title`, `layout` (what PATH must hold), `citation`, `home` and `counts`.

    Example:
        >>> list_corpora()[0]["give"]
        'demo'
    """
    rows = []
    for name in CORPORA:
        if name not in DATA_SETS:
            rows.append({"name": name, "what": "", "license": "", "give": f"{name}:PATH"})
            rows[-1] |= _BUILT_IN.get(name, {})
            continue
        data_set = DATA_SETS[name]
        rows.append(
            {
                "name": name,
                "title": data_set.title,
                "what": data_set.what,
                "license": data_set.license,
                "give": f"{name}:PATH" + ("+PATH2" if data_set.second else ""),
                "layout": data_set.layout_text,
                "citation": data_set.citation,
                "home": data_set.home,
                "counts": dict(data_set.counts),
            }
        )
    return rows


def load_corpus(name: str, split: bool = True) -> pd.DataFrame:
    """The manifest of the corpus named `NAME` or `NAME:PATH`.

    Args:
        name: of the corpus.
        split: assign clips to parts where the corpus names none; otherwise their part is `-`.

    Raises:
        ValueError: no such corpus; the message names those there are.
    """
    key, _, path = name.partition(":")
    if key not in CORPORA:
        raise ValueError(
            f"a corpus must be one of {', '.join(CORPORA)}. Received: {name!r}. "
            "It is given as NAME or NAME:PATH."
        )
    return CORPORA[key](path or None, split)


def _split_alone(name: str, clips: pd.DataFrame) -> pd.DataFrame:
    """Splits clips that were loaded without parts as `load_corpus` would have."""
    key = name.partition(":")[0]
    clips, summary = split_by_best_group(clips, name, SPEAKERS_A_PART if key == "folder" else 1)
    print(f"{key}: {summary}", file=sys.stderr)
    return clips


def load_hidden(name: str) -> pd.DataFrame:
    """The clips of a corpus whose labels are hidden: `clip_id`, `path` and what else is known.

    Args:
        name: `NAME:PATH`, a row of `HIDDEN_CLIPS`.
    Raises:
        ValueError: the corpus has no such clips.
    """
    key, _, path = name.partition(":")
    if key not in HIDDEN_CLIPS:
        raise ValueError(
            f"a submission is about a corpus with hidden labels: {', '.join(HIDDEN_CLIPS)}. "
            f"Received: {name!r}."
        )
    return HIDDEN_CLIPS[key](path or None)


def load_clips(data: DataConfig, split: bool = True) -> pd.DataFrame:
    """The manifest that a config asks for: mixed, split, and with the unseen attacks held out.

    Args:
        data: of a config.
        split: assign clips to parts where corpus or config say so; otherwise their part is `-`
            where the corpus names none.

    Raises:
        ValueError: no such corpus, a split that groups do not allow, or an attack that the corpora
            do not hold.
    """
    clips = _load_parts(data, split and data.split is None)
    return (
        _assign_parts(clips, data) if split and data.split is not None else _hold_out(clips, data)
    )


def load_folds(data: DataConfig) -> Iterator[pd.DataFrame]:
    """The manifests of all folds of `data.split`, in order; the corpora are read once.

    Raises:
        ValueError: as `load_clips`.
    """
    clips = _load_parts(data, False)
    for fold in range(data.split.folds):
        split = data.split.model_copy(update={"fold": fold})
        yield _assign_parts(clips, data.model_copy(update={"split": split}))


def _load_parts(data: DataConfig, split: bool) -> pd.DataFrame:
    """The clips of a config's corpora; `split`: those without parts of their own."""
    if len(data.corpora) == 1:
        return load_corpus(data.corpora[0], split)
    return mix_corpora(data.corpora, load_corpus, _split_alone if split else None)


def _assign_parts(clips: pd.DataFrame, data: DataConfig) -> pd.DataFrame:
    """Splits the clips as a config says."""
    clips, summary = split_clips(clips, data.split, data.corpus_name)
    print(summary, file=sys.stderr)
    return _hold_out(clips, data)


def _hold_out(clips: pd.DataFrame, data: DataConfig) -> pd.DataFrame:
    """Holds out the unseen attacks, those of the config or those that the corpora propose."""
    unseen = data.unseen_attacks
    if unseen is None:
        keys = [name.partition(":")[0] for name in data.corpora]
        unseen = [attack for key in keys for attack in UNSEEN_ATTACKS.get(key, ())]
    return hold_out_attacks(clips, unseen)
