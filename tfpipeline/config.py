"""The configuration of a run: frozen pydantic models, read from and written to YAML, strictly.

An experiment is one YAML file in `configs/`. Every key is known, every type and bound is checked,
and what a file leaves out has the default given here. Nothing heavy is imported: commands answer
`--help` and report a bad config before TensorFlow starts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from tfpipeline.files.strict import Section, check

_PACKAGE = Path(__file__).resolve().parent
# Beside the package in a checkout, inside it where a wheel is installed.
CONFIGS = next(
    (folder for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if folder.is_dir()),
    _PACKAGE / "configs",
)

# Kinds of numbers, for the keys below and for the options of models.
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
AtLeastTwo = Annotated[int, Field(ge=2)]
Depth = Annotated[int, Field(ge=1, le=16)]
AtLeastZero = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
ShareAboveZero = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(ge=0.01, le=3600)]
Decibels = Annotated[float, Field(ge=-100, le=200)]
NoiseColor = Annotated[float, Field(ge=-2, le=3)]
ReverbSeconds = Annotated[float, Field(ge=0.02, le=3)]
Cutoff = Annotated[float, Field(ge=10, le=8000)]
LowerRate = Annotated[float, Field(ge=2000, le=16000)]
ClipDecibels = Annotated[float, Field(ge=0, le=60)]
# What NumPy's legacy generator, and so `keras.utils.set_random_seed`, takes.
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


def _switch(value: Any) -> Any:
    """YAML 1.1 reads on and off as booleans."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Switch = Annotated[Literal["auto", "on", "off"], BeforeValidator(_switch)]


class SplitConfig(Section):
    """How clips are assigned to train, validation and test; see `tfpipeline.data.splits`.

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
    shares: tuple[Positive, Positive, Positive] = (0.7, 0.15, 0.15)
    stratify: tuple[str, ...] = ("label",)
    seed: Seed = 0
    folds: int | None = Field(None, ge=3)
    fold: int = Field(0, ge=0)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that keep clips together."""
        if self.by is not None:
            return self.by
        return () if self.rule == "random" else ("speaker", "source")

    @model_validator(mode="after")
    def _check(self):
        if abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(f"data.split.shares must sum to 1. Received: {list(self.shares)}")
        if self.rule == "random" and (self.by or self.folds):
            raise ValueError(
                "data.split.rule random assigns single clips: neither by nor folds go with it. "
                f"Received: by {self.by}, folds {self.folds}. Take stable or balanced."
            )
        if self.folds is not None and self.fold >= self.folds:
            raise ValueError(
                f"data.split.fold must lie in 0 … {self.folds - 1}, with folds {self.folds}. "
                f"Received: {self.fold}"
            )
        return self


class DataConfig(Section):
    """Which clips, and how they become windows.

    Attributes:
        corpus: `NAME` or `NAME:PATH`, a row of `tfpipeline.data.corpora.CORPORA`, or a list of
            several to train on together; `NAME:PATH+PATH2` where fakes and their originals are two
            data sets.
        split: assigns all clips anew; null: the corpus's own parts, else by speaker, source or
            file, whichever can be (`tfpipeline.data.automatic_splits.split_by_best_group`).
        balance: what counts the same in training: `none`, each clip; `source`, each class, and in
            it sources and their attacks by the square root of their size, drawn anew for every
            batch; of several corpora `corpus`, each corpus, or `corpus_label`, each class of each
            corpus, with clips of what is rarer taken several times an epoch.
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
    balance: Literal["none", "source", "corpus", "corpus_label"] = "none"
    unseen_attacks: tuple[str, ...] | None = None
    allow_overlap: bool = False
    window_seconds: Seconds = 4.0
    crop_seconds: Seconds | None = None
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

    @model_validator(mode="after")
    def _check(self):
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
        if self.balance in ("corpus", "corpus_label") and len(self.corpora) < 2:
            raise ValueError(
                f"data.balance {self.balance} is between several corpora. "
                f"Received: {self.corpus_name} alone"
            )
        return self


class FrontEndConfig(Section):
    """What happens to every waveform first, in all families; see `features.conditioning`.

    With the defaults, what nobody hears changes nothing: an offset, hum of the mains, gain.

    Attributes:
        highpass_hz: the highest frequency that is removed, 10 to 150 Hz; what is 35 Hz above it
            or more stays as it is. null: nothing is removed.
        level_dbfs: RMS that every window gets, -60 to 0 dB below full scale (1.0). null: levels
            stay as they are.
    """

    highpass_hz: float | None = Field(60.0, ge=10, le=150)
    level_dbfs: float | None = Field(-26.0, ge=-60, le=0)


AS_RECORDED = FrontEndConfig(highpass_hz=None, level_dbfs=None)


class MelConfig(Section):
    """The log-mel front end, in librosa's terms; see `tfpipeline.features.mel.LogMel`.

    Attributes:
        place: `model` puts the mel stage into the model as its first layer; `pipeline` makes it
            the input pipeline's last stage, on the accelerator. The values are the same.
        device: where that last stage runs, such as `/GPU:1`; null: the first GPU, else the CPU.
    """

    n_fft: int = Field(512, ge=2, le=65536)
    hop_length: int = Field(160, ge=1, le=65536)
    win_length: int | None = Field(None, ge=1)
    window: str = "hann"
    center: bool = True
    pad_mode: Literal["constant", "reflect"] = "constant"
    power: float = Field(2.0, gt=0, le=10)
    n_mels: int = Field(80, ge=1, le=1024)
    fmin: AtLeastZero = 0.0
    fmax: Positive | None = None
    htk: bool = False
    norm: Literal["slaney"] | None = "slaney"
    ref: Literal["max"] | Positive = 1.0
    amin: Positive = 1e-10
    top_db: Positive | None = 80.0
    precision: Literal["float32", "float64"] = "float32"
    normalize: Literal["none", "example", "bin"] = "none"
    place: Literal["model", "pipeline"] = "model"
    device: str | None = None

    @model_validator(mode="after")
    def _check(self):
        if self.win_length is not None and self.win_length > self.n_fft:
            raise ValueError(
                f"mel.win_length must be at most mel.n_fft, {self.n_fft}. "
                f"Received: {self.win_length}"
            )
        if self.fmax is not None and self.fmin >= self.fmax:
            raise ValueError(
                f"mel.fmin must be below mel.fmax, {self.fmax:g}. Received: {self.fmin:g}"
            )
        return self


class FeatureConfig(Section):
    """The hand-made features of the classifiers; networks do not read it.

    Attributes:
        set: a row of `tfpipeline.features.handcrafted.layer.FEATURE_SETS`.
    """

    set: Literal["baseline", "selected", "all"] = "selected"


class DistortionConfig(Section):
    """How large a share of the training windows each distortion comes to, 0 … 1.

    Each is drawn by itself, so that a window may get several, in the order in which they stand
    here. A name in place of the section takes a set of them: `light`, or `strong`, which has twice
    the shares and costs more time.

    Attributes:
        codec: the whole clip coded and decoded by one of `augment.codecs`, before all else; files
            are coded when they are first drawn, and kept in the user's cache.
        reverb: a simulated room, of a reverberation time in `augment.reverb_seconds`.
        noise: noise between white and brown (`augment.noise_color`), `augment.snr_db` below speech.
        recorded_noise: an excerpt of the recordings in `augment.noise_folder`, as far below.
        convolutive, impulsive, stationary: the three families of RawBoost, with its published
            settings: random filters of the signal and of its powers, impulses in proportion to the
            signal, and filtered noise.
        clipping: peaks are cut off, the highest `augment.clip_db` dB or less.
        band: a low-pass in `augment.lowpass_hz`, a high-pass in `augment.highpass_hz`, or both.
        resampling: to a rate in `augment.resample_hz` and back, well or badly.
        telephone: 300 to 3,400 Hz at 8 kHz, through G.711, mu-law or A-law.
        offset: a constant of up to a tenth of full scale; the default `front_end` takes it away.
        polarity: the sign turned round.
    """

    codec: Share = 0.0
    reverb: Share = 0.0
    noise: Share = 0.0
    recorded_noise: Share = 0.0
    convolutive: Share = 0.0
    impulsive: Share = 0.0
    stationary: Share = 0.0
    clipping: Share = 0.0
    band: Share = 0.0
    resampling: Share = 0.0
    telephone: Share = 0.0
    offset: Share = 0.0
    polarity: Share = 0.0


LIGHT = {
    "reverb": 0.15,
    "noise": 0.25,
    "clipping": 0.05,
    "band": 0.15,
    "resampling": 0.1,
    "telephone": 0.1,
    "polarity": 0.5,
}
RAWBOOST = {"convolutive": 0.2, "impulsive": 0.2, "stationary": 0.2}
DISTORTION_SETS = {
    "none": {},
    "light": LIGHT,
    "strong": {name: min(0.5, 2 * share) for name, share in LIGHT.items()} | RAWBOOST,
}


def _distortion_set(value: Any) -> Any:
    """The shares that a name stands for."""
    if not isinstance(value, str):
        return value
    if value not in DISTORTION_SETS:
        raise ValueError(
            f"augment.distortions must be one of {', '.join(DISTORTION_SETS)}, or a section of "
            f"shares. Received: {value!r}"
        )
    return DISTORTION_SETS[value]


class AugmentConfig(Section):
    """Training-time augmentation, the same for both classes; everything off by default.

    Attributes:
        trim_db: what is so much quieter than the loudest part of a clip, at its ends, is cut off
            before a crop is taken; null: nothing is.
        edge_probability: share of crops whose ends are silenced, digitally or but for faint noise.
        edge_seconds: the longest that an end is silenced.
        speed: a crop is played faster or slower, pitch and all, by a factor drawn from
            [1 - speed, 1 + speed].
        gain_db: gain drawn from [-gain_db, gain_db] for each window; does nothing where
            `front_end.level_dbfs` sets the level.
        eq_db: a smooth curve over frequency drawn from ±eq_db is added to the spectrogram.
        mixup_alpha: Beta(alpha, alpha) of mixup on waveforms and labels; 0 is off.
        time_masks, time_mask_frames: how many masks a spectrogram, and the widest one.
        frequency_masks, frequency_mask_bins: the same along the mel axis.
        distortions: what happens to recordings, and to which share of the windows; a section of
            shares, or `none`, `light` or `strong`.
        snr_db: range of the signal-to-noise ratio of noises.
        noise_color: range of c in the power 1 / f**c of a noise: 0 is white, 1 pink, 2 brown.
        noise_folder: of recordings of noise, in any format, for `distortions.recorded_noise`.
        reverb_seconds: range of the reverberation time, in which the sound falls by 60 dB.
        lowpass_hz, highpass_hz: ranges of the cutoffs of `distortions.band`, at -3 dB.
        resample_hz: range of the lower rate of `distortions.resampling`.
        clip_db: range of how far peaks are cut down.
        codecs: names of `tfpipeline.data.audio.codecs.CODECS`, with their kbit/s.
    """

    trim_db: Positive | None = None
    edge_probability: Share = 0.0
    edge_seconds: Annotated[float, Field(ge=0, le=60)] = 0.5
    speed: ShareBelowOne = 0.0
    gain_db: float = Field(0.0, ge=0, le=100)
    eq_db: float = Field(0.0, ge=0, le=100)
    mixup_alpha: float = Field(0.0, ge=0, le=100)
    time_masks: int = Field(0, ge=0, le=1000)
    time_mask_frames: int = Field(40, ge=0, le=100_000)
    frequency_masks: int = Field(0, ge=0, le=1000)
    frequency_mask_bins: int = Field(12, ge=0, le=1024)
    distortions: Annotated[DistortionConfig, BeforeValidator(_distortion_set)] = DistortionConfig()
    snr_db: tuple[Decibels, Decibels] = (10.0, 40.0)
    noise_color: tuple[NoiseColor, NoiseColor] = (0.0, 2.0)
    noise_folder: str | None = None
    reverb_seconds: tuple[ReverbSeconds, ReverbSeconds] = (0.1, 0.7)
    lowpass_hz: tuple[Cutoff, Cutoff] = (3000.0, 7500.0)
    highpass_hz: tuple[Cutoff, Cutoff] = (60.0, 300.0)
    resample_hz: tuple[LowerRate, LowerRate] = (8000.0, 16000.0)
    clip_db: tuple[ClipDecibels, ClipDecibels] = (1.0, 15.0)
    codecs: tuple[str, ...] = Field(
        ("mp3_64", "mp3_32", "aac_64", "aac_32", "opus_32", "opus_16", "vorbis_64", "gsm"),
        min_length=1,
    )

    @model_validator(mode="after")
    def _check(self):
        for name in RANGES:
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"augment.{name} must be [low, high]. Received: {[low, high]}")
        if self.distortions.recorded_noise and self.noise_folder is None:
            raise ValueError(
                "augment.distortions.recorded_noise needs recordings. Received: "
                f"{self.distortions.recorded_noise:g}, and no augment.noise_folder."
            )
        return self


RANGES = (
    "snr_db",
    "noise_color",
    "reverb_seconds",
    "lowpass_hz",
    "highpass_hz",
    "resample_hz",
    "clip_db",
)


class ModelConfig(Section):
    """Which model, a row of `tfpipeline.models.families.FAMILIES`, and its own options.

    In YAML the options stand beside the name: `model: {name: cnn, dropout: 0.3}`. They are checked
    against the signature of the model's `build` function, which owns their defaults.
    """

    model_config = ConfigDict(extra="allow")

    name: str = "cnn"

    @property
    def options(self) -> dict[str, Any]:
        """What stands beside the name."""
        return dict(self.__pydantic_extra__ or {})


class TrainingConfig(Section):
    """How a network is fitted.

    Attributes:
        learning_rate: the peak, where there is a schedule.
        schedule: `constant`, or `cosine` after a linear warm-up.
        weight_decay: AdamW's, decoupled; 0 gives Adam.
        frozen_epochs: first epochs in which a pretrained backbone keeps its weights, and what is
            around it learns alone.
        cached_passes: passes over the training clips whose speech-encoder states are computed once
            and kept on disk for the frozen epochs, which then train the head alone; each pass has
            its own crops and augmentation. 0 computes them anew in every epoch.
        layerwise_lr_decay: factor on the learning rate of a pretrained backbone for each of its
            blocks, counted from its end: 1 treats all layers alike.
        ema_momentum: decay, a step, of a moving average of the weights, which is what is judged
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

    epochs: Count = 40
    batch_size: Count = 32
    learning_rate: Positive = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_epochs: AtLeastZero = 2.0
    weight_decay: AtLeastZero = 0.0
    frozen_epochs: int = Field(0, ge=0)
    cached_passes: int = Field(0, ge=0)
    layerwise_lr_decay: Share = 1.0
    ema_momentum: ShareBelowOne = 0.0
    label_smoothing: ShareBelowOne = 0.0
    class_balance: bool = True
    patience: Count = 12
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    jit: Switch = "auto"
    devices: tuple[str, ...] = ()
    tensorboard: bool = True


class Config(Section):
    """One experiment: what is trained, on what, and how.

    Example:
        >>> config = Config.load("cnn", ["training.epochs=1"])
        >>> config.training.epochs
        1
        >>> config.replace({"mel.n_mels": 64, "seed": 7}).mel.n_mels
        64
    """

    name: str = "cnn"
    seed: Seed = 0
    data: DataConfig = DataConfig()
    front_end: FrontEndConfig = FrontEndConfig()
    mel: MelConfig = MelConfig()
    features: FeatureConfig = FeatureConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()

    @classmethod
    def load(cls, config: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Config:
        """Reads a config by its name in `configs/`, or from a YAML file; see `load_config`."""
        named = isinstance(config, str) and config in config_names()
        return load_config(CONFIGS / f"{config}.yaml" if named else config, overrides)

    def replace(self, values: Mapping[str, Any], source: str = "config") -> Config:
        """The config with other values at some keys, checked anew.

        Args:
            values: keys such as `training.epochs`, or a whole section, and their values.
            source: named in errors.
        Raises:
            ValueError: as `config_from_dict`.
        """
        raw = self.model_dump(mode="json")
        for key, value in values.items():
            value = list(value) if isinstance(value, tuple) else value
            _put(raw, key, value, f"{source}: {key}")
        return config_from_dict(raw, source)

    def override(self, overrides: list[str] | tuple[str, ...], source: str = "config") -> Config:
        """`replace` with texts such as `training.epochs=3`, as `load_config` takes them."""
        raw = self.model_dump(mode="json")
        for text in overrides:
            _override(raw, text)
        return config_from_dict(raw, source)

    @model_validator(mode="after")
    def _check(self):
        # What only a layer or a model can judge is left to it.
        if self.augment.eq_db and self.mel.normalize != "none":
            raise ValueError(
                "augment.eq_db is in dB and needs mel.normalize none. "
                f"Received: {self.mel.normalize!r}, after which there are none."
            )
        return self


# Keys and values of before, and what they are called now.
RENAMED_KEYS = {
    "augment.noise_probability": "augment.distortions.noise",
    "mel.normalise": "mel.normalize",
    "model.inverse_regularisation": "model.C",
    "training.weight_average": "training.ema_momentum",
    "training.layer_decay": "training.layerwise_lr_decay",
    "training.head_epochs": "training.frozen_epochs",
}
RENAMED_VALUES = {"features.set": {"full": "selected", "everything": "all"}}


class _Loader(yaml.SafeLoader):
    """Reads `1e-4` as a number, as YAML 1.2 does; to YAML 1.1 it is text."""


class _Dumper(yaml.SafeDumper):
    """Puts text that `_Loader` would take for a number between quotes."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
        list("-+.0123456789"),
    )


def config_names() -> list[str]:
    """What `--model` can name: the files in `configs/`, but for the search spaces, `tune_*`."""
    names = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
    return [name for name in names if not name.startswith("tune_")]


def load_run_config(path: str | Path) -> Config:
    """Reads the config that a run keeps of itself, `load_config` for a run folder.

    A run writes out every section. One without `front_end` was trained before there was any, on
    waveforms as they came, and must be given them so: with the default its scores would change.
    Keys are taken by the names of before, too.
    """
    raw = {"front_end": AS_RECORDED.model_dump(), **_read_config(Path(path))}
    return check(Config, _renamed(raw)[0], str(path))


def load_config(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """Reads a YAML file, lays `a.b=value` overrides over it, and checks the whole.

    Args:
        path: the YAML file. A config without a `name` takes the file's.
        overrides: texts such as `training.epochs=3`; the value is YAML.
    Returns:
        The checked config.
    Raises:
        FileNotFoundError: there is no such file; the message names the configs that there are.
        ValueError: not YAML, unknown keys, or values that break their rules; a line for each names
            the file, the key, and the known keys or the rule.
    """
    raw = _read_config(Path(path))
    for text in overrides:
        _override(raw, text)
    return config_from_dict(raw, f"{path} with --set" if overrides else str(path))


def data_from_overrides(
    corpus: str | tuple[str, ...], overrides: list[str] | tuple[str, ...] = ()
) -> DataConfig:
    """The section `data` alone: a corpus, and texts such as `split.by=[speaker]` laid over it."""
    raw: dict[str, Any] = {"corpus": corpus}
    for text in overrides:
        _override(raw, text)
    return check(DataConfig, raw, "--set", prefix="data.")


def config_from_dict(raw: Mapping[str, Any], source: str = "config") -> Config:
    """Builds a checked `Config` from nested mappings; `source` is named in errors.

    Raises:
        ValueError: a line for each unknown key and each value that breaks its rule.
    """
    raw, renamed = _renamed(raw)
    return check(Config, raw, source, more=renamed)


def config_to_yaml(config: Config) -> str:
    """The config as YAML text, every default written out; `load_config` reads back an equal one."""
    plain = config.model_dump(mode="json")
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, default_flow_style=None)


def read_yaml(path: Path, what: str) -> Any:
    """The content of a YAML file.

    Args:
        path: of the file.
        what: the file is, for errors.
    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not readable, or not YAML.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: {what} is a readable YAML file. Received: {reason}") from None


def _read_config(path: Path) -> dict[str, Any]:
    try:
        raw = read_yaml(path, "a config")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no config file {path}. Configs that can be named with --model: "
            f"{', '.join(config_names())}."
        ) from None
    raw = {} if raw is None else raw
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: a config is a mapping of sections. Received: {raw!r}")
    return {"name": path.stem, **raw}


def _renamed(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The mapping with the names of today, and a line for each name of before."""
    if not isinstance(raw, Mapping):
        return raw, []
    raw = {k: dict(v) if isinstance(v, Mapping) else v for k, v in raw.items()}
    lines = []
    for old, new in RENAMED_KEYS.items():
        section, key = old.split(".")
        if isinstance(raw.get(section), dict) and key in raw[section]:
            lines.append(f"{old} is now called {new}")
            value = raw[section].pop(key)
            *inner, last = new.split(".")[1:]
            place = raw[section]
            for name in inner:
                place = place.setdefault(name, {})
            place.setdefault(last, value)
    for path, values in RENAMED_VALUES.items():
        section, key = path.split(".")
        old = raw[section].get(key) if isinstance(raw.get(section), dict) else None
        if isinstance(old, str) and old in values:
            lines.append(f"{path} {old} is now called {values[old]}")
            raw[section][key] = values[old]
    return raw, lines


def _override(raw: dict[str, Any], text: str) -> None:
    """Lays one `a.b=value` over the nested mapping `raw`, in place."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ValueError(f"--set takes KEY=VALUE, such as training.epochs=3. Received: {text!r}")
    try:
        parsed = yaml.load(value, _Loader)
    except yaml.YAMLError:
        raise ValueError(f"--set {path}: the value must be YAML. Received: {value!r}") from None
    _put(raw, path, parsed, f"--set {path}")


def _put(raw: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Lays a value over the nested mapping `raw`, in place."""
    *sections, key = path.split(".")
    for section in sections:
        inner = raw.get(section)
        inner = raw[section] = {} if inner is None else inner
        if not isinstance(inner, dict):
            raise ValueError(
                f"{where}: {section} is not a section of a config. Received: {value!r}"
            )
        raw = inner
    raw[key] = value
