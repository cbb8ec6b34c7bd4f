"""The configuration of a run: frozen dataclasses, read from and written to YAML, strictly.

An experiment is one YAML file in `configs/`. Every key is known, every type is checked, and what a
file leaves out has the default given here. Nothing heavy is imported: commands answer `--help` and
report a bad config before TensorFlow starts.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from tfpipeline.files.strict import checked

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


@dataclass(frozen=True)
class SplitConfig:
    """How clips are dealt out to train, validation and test; see `tfpipeline.data.split_rules`.

    Attributes:
        rule: `stable`: by a hash of each group, so that none moves when others are added;
            `balanced`: shares as close as groups allow; `random`: single clips, by scikit-learn's
            `train_test_split`.
        by: columns of the manifest; clips that share a value in any of them stay together. []:
            each clip by itself; null: speaker and source, or [] for `random`.
        shares: of train, validation and test.
        stratify: columns whose values `balanced` and `random` spread evenly.
        seed: of the split alone.
        folds: instead of shares, so many folds: one is test, the next validation.
        fold: which is test, from 0.
    """

    rule: Literal["stable", "balanced", "random"] = "stable"
    by: tuple[str, ...] | None = None
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15)
    stratify: tuple[str, ...] = ("label",)
    seed: int = 0
    folds: int | None = None
    fold: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that keep clips together."""
        if self.by is not None:
            return self.by
        return () if self.rule == "random" else ("speaker", "source")

    def __post_init__(self) -> None:
        """Checks what does not go together."""
        if min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(
                f"data.split.shares must be positive and sum to 1. Received: {list(self.shares)}"
            )
        if self.rule == "random" and (self.by or self.folds):
            raise ValueError(
                "data.split.rule random deals out single clips: neither by nor folds go with it. "
                f"Received: by {self.by}, folds {self.folds}. Take stable or balanced."
            )
        if self.seed < 0:
            raise ValueError(f"data.split.seed must be at least 0. Received: {self.seed}")
        if self.folds is not None and not (self.folds >= 3 and 0 <= self.fold < self.folds):
            raise ValueError(
                "data.split.folds must be at least 3, and data.split.fold lie in 0 … folds - 1. "
                f"Received: {self.folds} and {self.fold}"
            )


@dataclass(frozen=True)
class DataConfig:
    """Which clips, and how they become windows.

    Attributes:
        corpus: `NAME` or `NAME:PATH`, a row of `tfpipeline.data.corpora.CORPORA`, or a list of
            several to train on together; `NAME:PATH+PATH2` where fakes and their originals are two
            data sets.
        split: deals all clips out anew; null: the corpus's own parts, else by speaker, source or
            file, whichever can be (`tfpipeline.data.splits.split_by_best_group`).
        balance: what counts the same in training when there are several corpora: `none`, each
            clip; `corpus`, each corpus; `corpus_label`, each class of each corpus. Clips of what is
            rarer are taken several times an epoch.
        unseen_attacks: attacks kept out of training and validation; those of the test speakers
            make up the `unseen` part. null: those that the corpus proposes (`hifigan` for `demo`,
            none for a corpus of one's own).
        allow_overlap: train though speakers or sources overlap between splits; the run says so.
        window_seconds: length of the windows that a clip is scored over.
        crop_seconds: length of the random crops that a model is trained on; null: the window's.
            Shorter crops are cheaper and more varied, for networks that take any length.
        cache: where decoded audio is kept, as 16-bit samples: `memory`, `disk` (in the user's
            cache, for later runs too), `none` (decoded from its file each time), or `auto`: memory
            up to a share of what machine or container have free, disk beyond.
        decoder: `auto`: libsndfile, and ffmpeg for what it does not read; `tensorflow_io`: WAV,
            FLAC, MP3 and Ogg Vorbis in the graph by its operations, nothing kept.
    """

    corpus: str | tuple[str, ...] = "demo"
    split: SplitConfig | None = None
    balance: Literal["none", "corpus", "corpus_label"] = "none"
    unseen_attacks: tuple[str, ...] | None = None
    allow_overlap: bool = False
    window_seconds: float = 4.0
    crop_seconds: float | None = None
    cache: Literal["auto", "memory", "disk", "none"] = "auto"
    decoder: Literal["auto", "tensorflow_io"] = "auto"

    @property
    def corpora(self) -> tuple[str, ...]:
        """The corpora, one or several."""
        return (self.corpus,) if isinstance(self.corpus, str) else self.corpus

    @property
    def corpus_name(self) -> str:
        """The corpora in one text, for people."""
        return " + ".join(self.corpora)

    def __post_init__(self) -> None:
        """Checks the list of corpora."""
        if not self.corpora:
            raise ValueError("data.corpus must name a corpus. Received: an empty list")
        repeated = [name for name in self.corpora if self.corpora.count(name) > 1]
        if repeated:
            raise ValueError(f"data.corpus names each corpus once. Received: {repeated[0]} twice")
        if self.decoder == "tensorflow_io" and self.cache not in ("auto", "none"):
            raise ValueError(
                "data.decoder tensorflow_io decodes each clip whenever it is needed. Received: "
                f"data.cache {self.cache}. Leave one of them out"
            )
        if self.balance != "none" and len(self.corpora) < 2:
            raise ValueError(
                "data.balance is between several corpora. "
                f"Received: {self.balance} for {self.corpus_name} alone"
            )


@dataclass(frozen=True)
class FrontEndConfig:
    """What happens to every waveform first, in all families; see `features.conditioning`.

    With the defaults, what nobody hears changes nothing: an offset, hum of the mains, gain.

    Attributes:
        highpass_hz: the highest frequency that is removed, 10 to 150 Hz; what is 35 Hz above it
            or more stays as it is. null: nothing is removed.
        level_dbfs: RMS that every window gets, -60 to 0 dB below full scale (1.0). null: levels
            stay as they are.
    """

    highpass_hz: float | None = 60.0
    level_dbfs: float | None = -26.0

    def __post_init__(self) -> None:
        """Checks ranges."""
        for key, value, low, high, unit in (
            ("highpass_hz", self.highpass_hz, 10, 150, "Hz"),
            ("level_dbfs", self.level_dbfs, -60, 0, "dB"),
        ):
            if value is not None and not low <= value <= high:
                raise ValueError(
                    f"front_end.{key} must be null or lie in {low} … {high} {unit}. "
                    f"Received: {value!r}"
                )


@dataclass(frozen=True)
class MelConfig:
    """The log-mel front end, in librosa's terms; see `tfpipeline.features.mel.LogMel`.

    Attributes:
        place: `model` puts the mel stage into the model as its first layer; `pipeline` makes it
            the input pipeline's last stage, on the accelerator. The values are the same.
        device: where that last stage runs, such as `/GPU:1`; null: the first GPU, else the CPU.
    """

    n_fft: int = 512
    hop_length: int = 160
    win_length: int | None = None
    window: str = "hann"
    center: bool = True
    pad_mode: Literal["constant", "reflect"] = "constant"
    power: float = 2.0
    n_mels: int = 80
    fmin: float = 0.0
    fmax: float | None = None
    htk: bool = False
    norm: Literal["slaney"] | None = "slaney"
    ref: Literal["max"] | float = 1.0
    amin: float = 1e-10
    top_db: float | None = 80.0
    precision: Literal["float32", "float64"] = "float32"
    normalise: Literal["none", "example", "bin"] = "none"
    place: Literal["model", "pipeline"] = "model"
    device: str | None = None


@dataclass(frozen=True)
class FeatureConfig:
    """The hand-made features of the classifiers; networks do not read it.

    Attributes:
        set: a row of `tfpipeline.features.handcrafted.FEATURE_SETS`.
    """

    set: Literal["baseline", "full", "everything"] = "full"


@dataclass(frozen=True)
class AugmentConfig:
    """Training-time augmentation, the same for both classes; everything off by default.

    Attributes:
        speed: a crop is played faster or slower, pitch and all, by a factor drawn from
            [1 - speed, 1 + speed].
        gain_db: gain drawn from [-gain_db, gain_db] for each window; does nothing where
            `front_end.level_dbfs` sets the level.
        noise_probability: share of windows that get noise added.
        snr_db: range of the signal-to-noise ratio of that noise.
        eq_db: a smooth curve over frequency drawn from ±eq_db is added to the spectrogram.
        mixup_alpha: Beta(alpha, alpha) of mixup on waveforms and labels; 0 is off.
        time_masks, time_mask_frames: how many masks a spectrogram, and the widest one.
        frequency_masks, frequency_mask_bins: the same along the mel axis.
    """

    speed: float = 0.0
    gain_db: float = 0.0
    noise_probability: float = 0.0
    snr_db: tuple[float, float] = (10.0, 40.0)
    eq_db: float = 0.0
    mixup_alpha: float = 0.0
    time_masks: int = 0
    time_mask_frames: int = 40
    frequency_masks: int = 0
    frequency_mask_bins: int = 12


@dataclass(frozen=True)
class ModelConfig:
    """Which model, a row of `tfpipeline.models.MODELS`, and its own options.

    In YAML the options stand beside the name: `model: {name: cnn, dropout: 0.3}`. They are checked
    against the signature of the model's `build` function, which owns their defaults.
    """

    name: str = "cnn"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is fitted.

    Attributes:
        learning_rate: the peak, where there is a schedule.
        schedule: `constant`, or `cosine` after a linear warm-up.
        weight_decay: AdamW's, decoupled; 0 gives Adam.
        head_epochs: first epochs in which a pretrained backbone keeps its weights, and what is
            around it learns alone.
        layer_decay: factor on the learning rate of a pretrained backbone for each of its blocks,
            counted from its end: 1 treats all layers alike.
        weight_average: decay, a step, of a moving average of the weights, which is what is judged
            and kept; 0 is off.
        label_smoothing: share of the label given to the other class.
        class_balance: weight the classes so that both count the same.
        patience: epochs without a better validation AUC before training stops; the best epoch's
            weights are kept.
        precision, jit: `auto` takes the fastest setting measured for the device found.
        devices: where the training step runs: nothing leaves it to TensorFlow, one device takes it
            there, several train in step, each on its share of every batch.
        tensorboard: write event files into the run folder.
    """

    epochs: int = 40
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_epochs: float = 2.0
    weight_decay: float = 0.0
    head_epochs: int = 0
    layer_decay: float = 1.0
    weight_average: float = 0.0
    label_smoothing: float = 0.0
    class_balance: bool = True
    patience: int = 12
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    jit: Literal["auto", "on", "off"] = "auto"
    devices: tuple[str, ...] = ()
    tensorboard: bool = True


@dataclass(frozen=True)
class Config:
    """One experiment.

    Raises:
        ValueError: a value is outside its range; the key is named.
    """

    name: str = "cnn"
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    mel: MelConfig = field(default_factory=MelConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        """Checks ranges; what only a layer or a model can judge is left to it."""
        for key in ("training.epochs", "training.batch_size", "training.patience"):
            _require(self, key, lambda value: value >= 1, "be at least 1")
        for key in ("data.window_seconds", "training.learning_rate"):
            _require(self, key, lambda value: value > 0, "be more than 0")
        for key in (
            "augment.noise_probability", "augment.speed", "training.label_smoothing",
            "training.layer_decay", "training.weight_average",
        ):  # fmt: skip
            _require(self, key, lambda value: 0 <= value <= 1, "lie in 0 … 1")
        for key in (
            "seed", "training.warmup_epochs", "training.head_epochs", "training.weight_decay",
            "augment.gain_db",
            "augment.eq_db", "augment.mixup_alpha", "augment.time_masks",
            "augment.time_mask_frames", "augment.frequency_masks", "augment.frequency_mask_bins",
        ):  # fmt: skip
            _require(self, key, lambda value: value >= 0, "be at least 0")
        _require(self, "augment.snr_db", lambda value: value[0] <= value[1], "be [low, high]")
        if self.augment.eq_db and self.mel.normalise != "none":
            raise ValueError(
                f"config {self.name}: augment.eq_db is in dB and needs mel.normalise none. "
                f"Received: {self.mel.normalise!r}, after which there are none."
            )


def config_names() -> list[str]:
    """What `--model` can name: the files in `configs/`, but for the search spaces, `tune_*`."""
    names = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
    return [name for name in names if not name.startswith("tune_")]


def load_run_config(path: str | Path) -> Config:
    """Reads the config that a run keeps of itself, `load_config` for a run folder.

    A run writes out every section. One without `front_end` was trained before there was any, on
    waveforms as they came, and must be given them so: with the default its scores would change.
    """
    return load_config(path, missing={"front_end": {"highpass_hz": None, "level_dbfs": None}})


def load_config(
    path: str | Path,
    overrides: list[str] | tuple[str, ...] = (),
    missing: Mapping[str, Any] | None = None,
) -> Config:
    """Reads a YAML file, lays `a.b=value` overrides over it, and checks the whole.

    Args:
        path: the YAML file. A config without a `name` takes the file's.
        overrides: texts such as `training.epochs=3`; the value is YAML.
        missing: sections to take where the file has none, in place of their defaults.
    Returns:
        The checked config.
    Raises:
        FileNotFoundError: there is no such file; the message names the configs that there are.
        ValueError: not YAML, an unknown key, or a value of the wrong type; the message names the
            key, the file and the known keys or the type.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no config file {path}. Configs that can be named with --model: "
            f"{', '.join(config_names())}."
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: a config is a readable YAML file. Received: {reason}") from None
    raw = {} if raw is None else raw
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: a config is a mapping of sections. Received: {raw!r}")
    raw = {**(missing or {}), "name": path.stem, **raw}
    source = str(path)
    for text in overrides:
        _override(raw, text)
        source = f"{path} with --set"
    return config_from_dict(raw, source)


def data_from_overrides(
    corpus: str | tuple[str, ...], overrides: list[str] | tuple[str, ...] = ()
) -> DataConfig:
    """The section `data` alone: a corpus, and texts such as `split.by=[speaker]` laid over it."""
    raw: dict[str, Any] = {"corpus": corpus}
    for text in overrides:
        _override(raw, text)
    return _build(DataConfig, raw, "--set", prefix="data.")


def config_from_dict(raw: Mapping[str, Any], source: str = "config") -> Config:
    """Builds a checked `Config` from nested mappings; `source` is named in errors."""
    return _build(Config, raw, source, prefix="")


def config_to_dict(config: Config) -> dict[str, Any]:
    """The config as nested plain values, complete: every default is written out."""

    def plain(value: Any) -> Any:
        if isinstance(value, ModelConfig):
            return {"name": value.name, **{k: plain(v) for k, v in value.options.items()}}
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return list(value) if isinstance(value, tuple) else value

    return plain(config)


def config_to_yaml(config: Config) -> str:
    """The config as YAML text that `load_config` reads back to an equal config."""
    return yaml.safe_dump(config_to_dict(config), sort_keys=False, default_flow_style=None)


def _build(kind: type, raw: Any, source: str, prefix: str) -> Any:
    """Builds the dataclass `kind` from a mapping whose keys are exactly its fields or fewer."""
    if not isinstance(raw, Mapping):
        name = prefix.rstrip(".")
        raise ValueError(f"{source}: {name} must be a section of keys. Received: {raw!r}")
    if kind is ModelConfig:
        name = checked(raw.get("name", ModelConfig.name), str, f"{source}: {prefix}name")
        return ModelConfig(name, {k: v for k, v in raw.items() if k != "name"})
    hints = typing.get_type_hints(kind)
    values = {}
    for key, value in raw.items():
        if key not in hints:
            raise ValueError(
                f"{source}: unknown key {prefix}{key}. Known keys here: {', '.join(hints)}"
            )
        section = next(
            (own for own in (hints[key], *typing.get_args(hints[key]))
             if dataclasses.is_dataclass(own)), None,
        )  # fmt: skip
        if section and not (value is None and section is not hints[key]):
            values[key] = _build(section, value, source, f"{prefix}{key}.")
        else:
            values[key] = checked(value, hints[key], f"{source}: {prefix}{key}")
    return kind(**values)


def _require(config: Config, key: str, holds: Callable[[Any], bool], rule: str) -> None:
    value = functools.reduce(getattr, key.split("."), config)
    if not holds(value):
        raise ValueError(f"config {config.name}: {key} must {rule}. Received: {value!r}")


def _override(raw: dict[str, Any], text: str) -> None:
    """Lays one `a.b=value` over the nested mapping `raw`, in place."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ValueError(f"--set takes KEY=VALUE, such as training.epochs=3. Received: {text!r}")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError(f"--set {path}: the value must be YAML. Received: {value!r}") from None
    *sections, key = path.split(".")
    for section in sections:
        inner = raw.get(section)
        inner = raw[section] = {} if inner is None else inner
        if not isinstance(inner, dict):
            raise ValueError(f"--set {path}: {section} is not a section. Received: {text!r}")
        raw = inner
    raw[key] = parsed
