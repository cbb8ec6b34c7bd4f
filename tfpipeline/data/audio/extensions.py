"""The extensions by which audio files are found in folders; contents alone tell the format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

# All that `decode` reads, containers of video included.
AUDIO_EXTENSIONS = (
    "3g2", "3gp", "aac", "ac3", "aif", "aifc", "aiff", "amr", "ape", "asf", "au", "avi", "caf",
    "dts", "flac", "flv", "m2ts", "m4a", "m4b", "m4v", "mka", "mkv", "mov", "mp1", "mp2", "mp3",
    "mp4", "mpc", "mpeg", "mpg", "nist", "oga", "ogg", "ogv", "opus", "rf64", "snd", "sph", "tak",
    "tta", "voc", "w64", "wav", "wave", "webm", "wma", "wmv", "wv",
)  # fmt: skip
MOST_NAMED = 4


def is_audio_name(name: str) -> bool:
    """Whether a file's name has one of `AUDIO_EXTENSIONS`, in either case."""
    stem, _, extension = name.rpartition(".")
    return bool(stem) and extension.lower() in AUDIO_EXTENSIONS


def left_out(names: Iterable[str]) -> str | None:
    """A line on files that were not taken for audio, by extension; None if there are none."""
    counts = Counter(
        f".{name.rpartition('.')[2].lower()}" if "." in name.strip(".") else "without extension"
        for name in names
    )
    if not counts:
        return None
    named = [f"{number} {extension}" for extension, number in counts.most_common(MOST_NAMED)]
    more = " …" if len(counts) > MOST_NAMED else ""
    return (
        f"{counts.total()} files left out, whose extensions are not audio's: "
        f"{', '.join(named)}{more}"
    )
