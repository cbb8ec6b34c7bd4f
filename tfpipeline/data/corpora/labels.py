"""The words that people use for the two labels and for the parts, in folder names and tables.

Case, spaces, hyphens, underscores and dots do not matter, and a noun may follow a label:
`Bona-Fide`, `AI generated`, `fake_audio`.
"""

from __future__ import annotations

import functools
import re
import unicodedata

LABEL_NAMES = {
    "bonafide": (
        "bonafide", "real", "genuine", "human", "original", "originals", "authentic", "live",
        "natural", "pristine",
    ),
    "spoof": (
        "spoof", "spoofs", "spoofed", "fake", "fakes", "faked", "synthetic", "synth",
        "synthesized", "synthesised", "tts", "texttospeech", "vc", "voiceconversion", "deepfake",
        "deepfakes", "generated", "aigenerated", "cloned", "ai", "artificial", "vocoded",
    ),
}  # fmt: skip
PART_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
    "unseen": ("unseen",),
}
NOUN = re.compile(r"(?<=.)(audios?|speech|voices?|clips?|samples?|recordings?|wavs?|files?)$")
_LABELS = {name: label for label, names in LABEL_NAMES.items() for name in names}
_PARTS = {name: part for part, names in PART_NAMES.items() for name in names}


@functools.cache
def label_from_name(name: str) -> str | None:
    """`bonafide`, `spoof`, or None if the name means neither."""
    plain = _plain(name)
    return _LABELS.get(plain) or _LABELS.get(NOUN.sub("", plain))


@functools.cache
def part_from_name(name: str) -> str | None:
    """`train`, `validation`, `test`, `unseen`, or None if the name means none of them."""
    return _PARTS.get(_plain(name))


def known_label_names() -> str:
    """All names, for error messages."""
    return "; ".join(f"{label}: {', '.join(names)}" for label, names in LABEL_NAMES.items())


def _plain(name: str) -> str:
    return re.sub(r"[\s._-]+", "", unicodedata.normalize("NFKC", name).casefold())
