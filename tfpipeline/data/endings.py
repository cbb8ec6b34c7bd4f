"""The endings by which audio files are found in folders; contents, not names, tell the format."""

from __future__ import annotations

AUDIO_SUFFIXES = ("wav", "flac", "mp3", "ogg", "oga", "opus", "m4a", "aac", "mp4")
# Read as well, but looked for only where a folder is judged, not where it is a corpus.
MORE_SUFFIXES = (
    "aif", "aiff", "amr", "au", "caf", "m4b", "mka", "mkv", "mov", "rf64", "w64", "wave", "webm",
    "wma", "wv",
)  # fmt: skip
