"""Self-supervision from a config to a folder of weights: what `tfpipeline pretrain` does."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from safetensors.numpy import save_file

from tfpipeline.config import Config
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.clips import corpus_fingerprint
from tfpipeline.data.corpora import load_clips
from tfpipeline.files.atomic import atomic_file, write_json, write_table
from tfpipeline.models.families import find_family
from tfpipeline.models.named_weights import named_arrays
from tfpipeline.models.speech_encoders.encoders import SPEECH_ENCODERS
from tfpipeline.models.speech_encoders.hub_download import WEIGHTS
from tfpipeline.prediction.inputs import list_inputs
from tfpipeline.reporting.plots import draw_losses
from tfpipeline.runs import layout
from tfpipeline.runs.run import check_target, finish_run, start_run, write_environment
from tfpipeline.training.pretrain import pretrain_encoder

VALIDATION_SHARE = 20  # one of so many files


def pretrain_run(
    config: Config,
    target: Path,
    *,
    files: Sequence[str] = (),
    overwrite: bool = False,
    resume: bool = False,
) -> pd.DataFrame:
    """Pretrains a speech encoder, and leaves a folder that `model.weights` can name.

    Args:
        config: of the encoder, the corpus and the training.
        target: the folder.
        files: recordings and folders without labels; in place of the config's corpus.
        overwrite: replace a complete run.
        resume: continue a stopped one.
    Returns:
        A row an epoch, as `history.csv`.
    Raises:
        ValueError, OSError: what a user can fix, in one line.

    Example:
        >>> from pathlib import Path
        >>> config = Config.load("pretrain", ["training.epochs=1"])
        >>> pretrain_run(config, Path("saved_models/mine"), files=["speech"])  # doctest: +SKIP
    """
    check_target(target, overwrite, resume)
    settings = SPEECH_ENCODERS.get(config.model.name)
    if settings is None or find_family(config.model.name).kind != "speech":
        raise ValueError(
            f"pretraining is for {', '.join(SPEECH_ENCODERS)}. Received: {config.model.name}."
        )
    clips = clips_of_files(files) if files else load_clips(config.data)
    clips = clips[clips["part"].isin(["train", "validation"])].reset_index(drop=True)
    clips, audio, skipped = open_audio(clips, config.data.cache, config.data.decoder)
    for part in ("train", "validation"):
        if not (clips["part"] == part).any():
            raise ValueError(f"pretraining needs clips of the part {part}. Received: none.")
    folder = start_run(target, config, resume)
    print(f"pretraining {config.model.name} on {len(clips)} clips, run {target}", file=sys.stderr)
    encoder, history = pretrain_encoder(config, clips, audio, folder)
    with atomic_file(folder / WEIGHTS[0]) as partial:
        save_file(named_arrays(encoder), partial)
    stated = {"model_type": "whisper", **settings.settings.model_dump()}
    write_json(folder / "config.json", stated)
    write_environment(folder, config, corpus_fingerprint(clips), {"labels": "not read"})
    write_table(folder / layout.SKIPPED, skipped)
    draw_losses(history, folder / layout.FIGURES / "learning_curve.png")
    shutil.rmtree(folder / "checkpoints")
    finish_run(folder, target)
    return history


def clips_of_files(named: Sequence[str]) -> pd.DataFrame:
    """A table of recordings without labels; one in twenty, by a hash of its name, validates."""
    rows = []
    for path in list_inputs(named):
        digest = hashlib.sha256(Path(path).name.encode("utf-8", "surrogateescape")).digest()
        part = "train" if int.from_bytes(digest[:4]) % VALIDATION_SHARE else "validation"
        rows.append([path, path, part, "-", "-"])
    table = pd.DataFrame(rows, columns=["clip_id", "path", "part", "label", "attack"])
    if len(table) > 1 and table["part"].nunique() == 1:
        table.loc[0, "part"] = "train" if table["part"][0] == "validation" else "validation"
    return table
