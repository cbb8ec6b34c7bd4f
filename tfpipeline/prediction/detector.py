"""A trained detector as an object: from a recording to a verdict."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tfpipeline.data.audio.wav import wav_bytes
from tfpipeline.models.attribution import Evidence, explain_window
from tfpipeline.models.detector import mel_layer
from tfpipeline.models.families import find_family
from tfpipeline.prediction.explanation import Explanation, open_explainer
from tfpipeline.prediction.predict_files import FIELDS, make_row, score_files
from tfpipeline.prediction.recordings import Recording
from tfpipeline.prediction.scorers import LocalScorer
from tfpipeline.runs import layout

if TYPE_CHECKING:
    Audio = str | os.PathLike | bytes | tuple[np.ndarray, int]


@dataclass(frozen=True)
class Verdict:
    """What a detector says of one recording.

    Attributes:
        label: `spoof`, `bonafide`, or `abstained`.
        probability: calibrated probability of spoof, at equal odds of both classes.
        score: raw log-odds, mean over windows; higher is more likely spoof.
        reason: why it abstained; None where it did not.
        confidence: calibrated probability that the label is right; None where it abstained.
        seconds: length of the recording.
        remarks: what was noticed about the recording, each `kind: what`.
        windows: `start`, `end` (seconds) and `score` of each window of the channel that was judged.

    Example:
        >>> verdict = tfp.load("cnn").predict("clip.wav")                 # doctest: +SKIP
        >>> verdict.label, round(verdict.probability, 2)                  # doctest: +SKIP
        ('bonafide', 0.05)
    """

    label: str
    probability: float
    score: float
    reason: str | None
    confidence: float | None
    seconds: float
    remarks: tuple[str, ...]
    windows: pd.DataFrame = field(repr=False, compare=False)


class Detector:
    """A trained detector, of a run folder; `tfpipeline.load` opens one.

    Args:
        folder: of a complete run.
        threshold: `eer`, `far1` or a score; see `python -m tfpipeline.predict --help`.
    Raises:
        FileNotFoundError, ValueError: there is no run, or it is damaged.

    Attributes:
        name: of the run.
        threshold: on scores; a recording is called spoof where score >= threshold.
        scorer: gives the scores of windows, as the functions of `prediction` take it.

    Example:
        >>> detector = tfp.load("cnn")                    # doctest: +SKIP
        >>> detector.predict("clip.wav").label            # doctest: +SKIP
        'bonafide'
    """

    def __init__(self, folder: str | os.PathLike, threshold: str | float | None = None):
        self.scorer = LocalScorer(Path(folder), threshold)
        self.name, self.threshold = self.scorer.name, self.scorer.threshold

    def __repr__(self) -> str:
        return f"Detector({str(self.scorer.run.folder)!r})"

    def predict(self, audio: Audio) -> Verdict:
        """Judges one recording.

        Args:
            audio: a path; the bytes of an audio file; or `(waveform, rate)`, floats (samples,) or
                (samples, channels) in [-1, 1] and the sample rate in Hz.
        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not audio, or it is empty, silent, too short or too long.

        Example:
            >>> detector.predict((np.zeros(64_000), 16_000))    # doctest: +SKIP
            Traceback (most recent call last):
            ValueError: waveform: silent. ...
        """
        recording = self._read([_source(audio)])[0]
        if recording.error:
            raise recording.error
        row = make_row(recording, self.scorer)
        channel, scores = recording.judged()
        places = channel.places(recording.window)
        windows = pd.DataFrame({"start": places[:, 0], "end": places[:, 1], "score": scores})
        return Verdict(
            label=row["verdict"],
            probability=row["probability"],
            score=row["score"],
            reason=row["reason"],
            confidence=row["confidence"],
            seconds=row["seconds"],
            remarks=tuple(row["remarks"]),
            windows=windows,
        )

    def predict_many(self, paths: Iterable[str | os.PathLike]) -> pd.DataFrame:
        """Judges files, each window in a batch with those of its neighbours.

        Args:
            paths: of audio files.
        Returns:
            One row a file, in order, as `predict` on the command line gives them: `path`,
            `seconds`, `score`, `llr`, `probability`, `verdict`, `confidence`, `evidence`, `reason`,
            `status`, `remarks`. A file that cannot be judged has its reason, and no score.

        Example:
            >>> detector.predict_many(["a.wav", "b.mp3"])["verdict"].tolist()   # doctest: +SKIP
            ['spoof', 'bonafide']
        """
        from tfpipeline.prediction.progress import ProgressBar

        paths = [os.fspath(path) for path in paths]
        with ProgressBar(paths) as bar:
            rows = []
            for recording in self._score([(path, path) for path in paths], bar.scored):
                rows.append(make_row(recording, self.scorer))
                bar.judged()
        return pd.DataFrame(rows, columns=list(FIELDS))

    def explain(self, audio: Audio) -> Explanation | Evidence:
        """Why a recording gets its score.

        Args:
            audio: as for `predict`.
        Returns:
            Of a model on hand-made features an `Explanation`: a table of what each feature adds.
            Of a network the `Evidence`: a spectrogram, and where in it the score comes from.
        Raises:
            ValueError: as `predict`; or the model's scores cannot be taken apart.
        """
        recording = self._read([_source(audio)])[0]
        if recording.error:
            raise recording.error
        waveform = recording.judged_waveform()
        run, network = self.scorer.run, self.scorer.detector
        if not find_family(run.config.model.name).is_classical:
            return explain_window(network, waveform, self.threshold, mel_layer(run.config))
        return open_explainer(run.config.model.name, run.folder, network).explain(waveform)

    def export(self, folder: str | os.PathLike | None = None, check: bool = True) -> Path:
        """Writes the detector as a SavedModel for TensorFlow Serving, as the next version.

        Args:
            folder: of versions; default: `serving` in the run folder.
            check: compare its scores with the run's before the version gets its number.
        Returns:
            The folder of the version.
        Raises:
            FileNotFoundError: none of the run's clips are here to check with.
            ValueError: its scores are not the run's.

        Example:
            >>> detector.export("served/cnn")               # doctest: +SKIP
            PosixPath('served/cnn/1')
        """
        from tfpipeline.serving.savedmodel import export_version

        run = self.scorer.run
        base = run.folder / layout.SERVING if folder is None else Path(folder)
        return export_version(run, self.scorer.detector, base, check=check)[0]

    def _read(self, sources: list[tuple[Any, str]]) -> list[Recording]:
        return list(self._score(sources, lambda seconds: None))

    def _score(self, sources: Iterable[tuple[Any, str]], progress: Callable[[float], None]):
        readings = (Recording(source, name, self.scorer.window) for source, name in sources)
        return score_files(readings, self.scorer, progress)


def _source(audio: Audio) -> tuple[str | bytes, str]:
    """What the decoder takes, and what messages call it."""
    if isinstance(audio, bytes):
        return audio, "bytes"
    if isinstance(audio, (str, os.PathLike)):
        return os.fspath(audio), os.fspath(audio)
    if isinstance(audio, tuple) and len(audio) == 2:
        return _wav(*audio), "waveform"
    raise TypeError(
        "audio must be a path, the bytes of a file, or (waveform, rate). "
        f"Received: {type(audio).__name__}. A waveform needs its sample rate in Hz."
    )


def _wav(waveform: np.ndarray, rate: int) -> bytes:
    waveform = np.asarray(waveform)
    if not np.issubdtype(waveform.dtype, np.floating) or waveform.ndim not in (1, 2):
        raise ValueError(
            "a waveform must be floats (samples,) or (samples, channels) in [-1, 1]. Received: "
            f"{waveform.dtype} {waveform.shape}. Divide 16-bit integers by 32768."
        )
    if waveform.ndim == 2 and waveform.shape[1] > waveform.shape[0]:
        raise ValueError(
            f"a waveform must be (samples, channels). Received: {waveform.shape}. Transpose it?"
        )
    if int(rate) != rate or rate <= 0:
        raise ValueError(f"the sample rate must be a whole number of Hz. Received: {rate!r}")
    return wav_bytes(waveform, int(rate))
