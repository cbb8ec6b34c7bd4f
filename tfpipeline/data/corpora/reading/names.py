"""The words that people use for the two labels and for the parts, in folder names and tables.

Case, spaces, hyphens, underscores and dots do not matter, and a noun may follow a label:
`Bona-Fide`, `AI generated`, `fake_audio`.

What file names tell of speakers and source recordings.

Only names that well-known corpora give are taken for speakers. Of sources, a wrong guess is safe:
clips that are taken for one source stay on one side.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from tfpipeline.data.clips import UNKNOWN

LABEL_NAMES = {
    "bonafide": (
        "bonafide",
        "real",
        "genuine",
        "human",
        "original",
        "originals",
        "authentic",
        "live",
        "natural",
        "pristine",
    ),
    "spoof": (
        "spoof",
        "spoofs",
        "spoofed",
        "fake",
        "fakes",
        "faked",
        "synthetic",
        "synth",
        "synthesized",
        "synthesised",
        "tts",
        "texttospeech",
        "vc",
        "voiceconversion",
        "deepfake",
        "deepfakes",
        "generated",
        "aigenerated",
        "cloned",
        "ai",
        "artificial",
        "vocoded",
    ),
}
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


SPEAKER = re.compile(
    r"""(?:(?P<vctk>(?:p\d{3}|s5))_\d{3}
    |(?P<librispeech>\d{1,5})-\d{1,7}-\d{4}
    |(?P<libritts>\d{1,5})_\d{1,7}_\d{6}_\d{6}
    |(?P<ljspeech>LJ)\d{3}-\d{4}
    |(?P<indictts>[A-Z]{3}_[FM])_[A-Z]+_\d{5}
    |BAC009(?P<aishell1>S\d{4})W\d{4}
    |(?P<aishell3>SSB\d{4})\d{4})(?![^\W_])""",
    re.VERBOSE,
)
# x.mp3.wav_16k.wav: the name before the first tool put its own behind it
INNER_SUFFIX = re.compile(r"(?<=.)\.(?:wav|flac|mp3|ogg|oga|opus|m4a|aac|mp4)(?![^\W_]).*$", re.I)
SEPARATOR = re.compile(r"[\W_]")
MADE = re.compile(
    r"[\W_](?:gen|generated|fake|spoof|synth|synthetic|tts|vc|cloned?|vocoded|hifigan|melgan|"
    r"waveglow|wavenet|world|griffin_?lim)$",
    re.I,
)
GENERIC = re.compile(r"[^\W\d_]*[\W_]*\d*")


def speaker_of_stem(stem: str) -> str:
    """The speaker that a name of VCTK, LibriSpeech, LibriTTS, LJSpeech, IndicTTS or AISHELL tells.

    Returns:
        Such as `p225`, `1089`, `LJ`, `ASM_F`, `SSB1365`; `-` for all other names.
    """
    found = SPEAKER.match(stem)
    return found[found.lastgroup] if found else UNKNOWN


def is_generic(stem: str) -> bool:
    """Whether unrelated recordings may well have the same name: `0012`, `file12`, `sample_3`."""
    return GENERIC.fullmatch(INNER_SUFFIX.sub("", stem)) is not None


def sources_of_stems(
    stems: Sequence[str], labels: Sequence[str], within: Sequence[str]
) -> list[str]:
    """The source recording of each clip, as far as names tell.

    A spoof belongs to the bonafide clip whose stem is its own, or begins it and is followed by
    something that is no letter or digit: `LJ001-0001_gen` to `LJ001-0001`. The longest one counts.
    Spoofs without an original belong together if they differ in a tag such as `_hifigan` only.

    Args:
        stems: file names without the suffix.
        labels: `bonafide` or `spoof` of each.
        within: names of which only equal ones are compared, such as the speaker of each.
    Returns:
        One name a clip; `-` for a clip that shares its source with no other.
    """
    stems = [INNER_SUFFIX.sub("", stem) for stem in stems]
    originals = {
        (inside, stem)
        for inside, stem, label in zip(within, stems, labels, strict=True)
        if label == "bonafide"
    }
    found = []
    for inside, stem, label in zip(within, stems, labels, strict=True):
        if label == "spoof" and (inside, stem) not in originals:
            cuts = [match.start() for match in SEPARATOR.finditer(stem)]
            prefixes = (stem[:cut] for cut in reversed(cuts) if (inside, stem[:cut]) in originals)
            stem = next(prefixes, MADE.sub("", stem))
        found.append(stem if inside == UNKNOWN else f"{inside}/{stem}")
    count = Counter(found)
    return [name if count[name] > 1 else UNKNOWN for name in found]
