"""What tells one wav2vec 2.0, HuBERT or WavLM from another, by the names of `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import model_validator

from tfpipeline.config import Count
from tfpipeline.files.strict import Section, check

# Keys of config.json that change what comes out, and the one value that is built here.
REQUIRED = {
    "hidden_act": "gelu",
    "feat_extract_activation": "gelu",
    "conv_pos_batch_norm": False,
    "adapter_attn_dim": None,
    "quantization_config": None,
}
SAMPLING_RATE = 16_000


class Wav2Vec2Settings(Section):
    """The architecture of a wav2vec 2.0 or HuBERT encoder; the defaults are wav2vec 2.0 Base.

    Attributes:
        conv_dim: channels of each convolution on the waveform.
        conv_kernel: their widths.
        conv_stride: their steps.
        conv_bias: whether they have biases.
        feat_extract_norm: `group`, the first convolution's channels are normalized over time; or
            `layer`, every convolution's output is normalized over its channels.
        feat_proj_layer_norm: whether a normalization precedes the projection to `hidden_size`.
        do_stable_layer_norm: whether blocks normalize what goes into them, not what comes out.
        hidden_size: width of the hidden states.
        num_hidden_layers: transformer blocks.
        num_attention_heads: of each.
        intermediate_size: width inside a block.
        num_conv_pos_embeddings: width of the positional convolution.
        num_conv_pos_embedding_groups: its groups.
        layer_norm_eps: of the transformer's normalizations.
        do_normalize: bring each waveform to mean 0 and variance 1.
    Reference:
        Baevski et al. (2020), https://arxiv.org/abs/2006.11477; Hsu et al. (2021), HuBERT,
        https://arxiv.org/abs/2106.07447; `Wav2Vec2Config` and `HubertConfig` of transformers.

    Example:
        >>> Wav2Vec2Settings(num_hidden_layers=2).frames(64_000)
        199
    """

    conv_dim: tuple[Count, ...] = (512,) * 7
    conv_kernel: tuple[Count, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_stride: tuple[Count, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_bias: bool = False
    feat_extract_norm: Literal["group", "layer"] = "group"
    feat_proj_layer_norm: bool = True
    do_stable_layer_norm: bool = False
    hidden_size: Count = 768
    num_hidden_layers: Count = 12
    num_attention_heads: Count = 12
    intermediate_size: Count = 3072
    num_conv_pos_embeddings: Count = 128
    num_conv_pos_embedding_groups: Count = 16
    layer_norm_eps: float = 1e-5
    do_normalize: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not 0 < len(self.conv_dim) == len(self.conv_kernel) == len(self.conv_stride):
            raise ValueError(
                "conv_dim, conv_kernel and conv_stride must be equally long. Received: "
                f"{len(self.conv_dim)}, {len(self.conv_kernel)}, {len(self.conv_stride)}"
            )
        for name in ("num_attention_heads", "num_conv_pos_embedding_groups"):
            if self.hidden_size % getattr(self, name):
                raise ValueError(
                    f"{name} must divide hidden_size. Received: {getattr(self, name)} and "
                    f"{self.hidden_size}"
                )
        return self

    @classmethod
    def from_hub(
        cls,
        config: Mapping[str, Any],
        preprocessor: Mapping[str, Any] | None = None,
        source: str = "config.json",
    ) -> Self:
        """The settings that a folder of the Hugging Face hub states.

        Args:
            config: content of `config.json`.
            preprocessor: content of `preprocessor_config.json`, which says `do_normalize`; as in
                transformers, that is true where it is not said.
            source: named in errors.
        Raises:
            ValueError: a value breaks its rule, or asks for something that is not built here.
        """
        for key, value in REQUIRED.items():
            if config.get(key, value) != value:
                raise ValueError(f"{source}: {key} must be {value!r}. Received: {config[key]!r}.")
        preprocessor = preprocessor or {}
        rate = preprocessor.get("sampling_rate", SAMPLING_RATE)
        if rate != SAMPLING_RATE:
            raise ValueError(
                f"{source}: sampling_rate must be {SAMPLING_RATE}, the rate of every waveform "
                f"here. Received: {rate!r}."
            )
        values = {name: config[name] for name in cls.model_fields if name in config}
        return check(
            cls, {**values, "do_normalize": preprocessor.get("do_normalize", True)}, source
        )

    def frames(self, samples: Any) -> Any:
        """How many frames come out of so many samples, of numbers and tensors alike."""
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples

    def count_layers(self, layers: int | None) -> int:
        """So many first layers, all where it is None; see `check_layers`."""
        return check_layers(layers, self.num_hidden_layers)


def check_layers(layers: int | None, most: int) -> int:
    """So many first layers, all where it is None.

    Raises:
        ValueError: there are not as many.
    """
    if layers is None:
        return most
    if not 0 <= layers <= most:
        raise ValueError(
            f"layers must be in 0 … {most}, which is how many there are. Received: {layers}."
        )
    return layers


class WavLMSettings(Wav2Vec2Settings):
    """The architecture of a WavLM encoder; the defaults are WavLM Base and Base+.

    Attributes:
        num_buckets: different position biases: half of them for either direction.
        max_bucket_distance: frames, beyond which all distances share a bias.
    Reference:
        Chen et al. (2022), https://arxiv.org/abs/2110.13900; `WavLMConfig` of transformers.
    """

    num_buckets: Count = 320
    max_bucket_distance: Count = 800
    do_normalize: bool = False

    @model_validator(mode="after")
    def _buckets_fit(self) -> Self:
        if self.num_buckets < 4 or self.max_bucket_distance <= self.num_buckets // 4:
            raise ValueError(
                "num_buckets must be at least 4, and max_bucket_distance above a quarter of it. "
                f"Received: {self.num_buckets} and {self.max_bucket_distance}"
            )
        return self


_LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}
_STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
# Published architectures, for which no file is needed.
PRESETS: dict[str, Wav2Vec2Settings] = {
    "wav2vec2-base": Wav2Vec2Settings(),
    "wav2vec2-large": Wav2Vec2Settings(**_LARGE),
    "wav2vec2-xls-r-300m": Wav2Vec2Settings(**_LARGE, **_STABLE, conv_bias=True),
    "hubert-base-ls960": Wav2Vec2Settings(),
    "mHuBERT-147": Wav2Vec2Settings(),
    "wavlm-base": WavLMSettings(),
    "wavlm-base-plus": WavLMSettings(),
    "wavlm-large": WavLMSettings(**_LARGE, **_STABLE, do_normalize=True),
}
