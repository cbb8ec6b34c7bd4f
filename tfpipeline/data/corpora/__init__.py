"""The data sets that can be named in `data.corpus` and `--data`: one file, one row each."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from tfpipeline.data.corpora.demo import load_demo
from tfpipeline.data.corpora.folder import load_folder
from tfpipeline.data.corpora.manifest import load_manifest


def _load_demo(path: str | None) -> pd.DataFrame:
    if path:
        raise ValueError(f"--data demo takes no path: it is built in the cache. Received: {path!r}")
    return load_demo()


CORPORA: dict[str, Callable[[str | None], pd.DataFrame]] = {
    "demo": _load_demo,
    "folder": load_folder,
    "manifest": load_manifest,
}


def load_corpus(name: str) -> pd.DataFrame:
    """The manifest of the corpus named `NAME` or `NAME:PATH`.

    Raises:
        ValueError: no such corpus; the message names those there are.
    """
    key, _, path = name.partition(":")
    if key not in CORPORA:
        raise ValueError(
            f"a corpus must be one of {', '.join(CORPORA)}. Received: {name!r}. "
            "It is given as NAME or NAME:PATH."
        )
    return CORPORA[key](path or None)
