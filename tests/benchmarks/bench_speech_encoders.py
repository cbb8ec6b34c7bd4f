"""Speed of a speech encoder beside PyTorch's: run by hand, pytest does not collect it.

    python tests/benchmarks/bench_speech_encoders.py [PRESET] --torch-python ENV/bin/python

ENV holds `torch` and `transformers`; by default it is this environment. Both encoders have random
weights, as many threads, and take turns batch by batch, so that a busy machine slows both alike;
the ratio travels, the times do not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

CLIP = 64_000  # samples, 4 s
# Of transformers: model, config and what differs from its defaults.
LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
TORCH = {
    "wav2vec2-base": ("Wav2Vec2", {}),
    "wav2vec2-large": ("Wav2Vec2", LARGE),
    "wav2vec2-xls-r-300m": ("Wav2Vec2", {**LARGE, **STABLE, "conv_bias": True}),
    "hubert-base-ls960": ("Hubert", {}),
    "wavlm-base": ("WavLM", {}),
    "wavlm-large": ("WavLM", {**LARGE, **STABLE}),
}


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset", nargs="?", choices=TORCH, default="wav2vec2-xls-r-300m")
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--worker", choices=("torch", "keras"), help=argparse.SUPPRESS)
    flags = parser.parse_args(argv)
    if flags.worker:
        score = {"torch": torch_scorer, "keras": keras_scorer}[flags.worker](flags)
        for _ in sys.stdin:
            started = time.perf_counter()
            score()
            print(time.perf_counter() - started, flush=True)
        return 0
    pythons = {"torch": flags.torch_python, "keras": sys.executable}
    workers = {name: start(name, python, argv) for name, python in pythons.items()}
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    for number in range(flags.rounds + 1):
        for name, worker in workers.items():
            worker.stdin.write("\n")
            worker.stdin.flush()
            taken = float(worker.stdout.readline())
            if number:  # the first round compiles
                seconds[name].append(taken)
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    print(
        f"{flags.preset}, {flags.layers or 'all'} layers, batches of {flags.batch} clips of 4 s, "
        f"{flags.threads} threads, median of {flags.rounds}; load {os.getloadavg()[0]:.1f}"
    )
    for name, taken in seconds.items():
        print(f"{name:6s} {flags.batch / statistics.median(taken):6.2f} clips/s")
    pairs = zip(seconds["torch"], seconds["keras"], strict=True)
    ratios = sorted(torch / keras for torch, keras in pairs)
    print(
        f"keras / torch: median of paired rounds {statistics.median(ratios):.2f} "
        f"({ratios[0]:.2f} … {ratios[-1]:.2f})"
    )
    return 0


def start(name: str, python: str, argv: list[str] | None) -> subprocess.Popen:
    command = [python, __file__, *(sys.argv[1:] if argv is None else argv), "--worker", name]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


def torch_scorer(flags):
    """One batch through transformers, all hidden states."""
    import torch
    import transformers

    torch.set_num_threads(flags.threads)
    kind, settings = TORCH[flags.preset]
    if flags.layers:
        settings = {**settings, "num_hidden_layers": flags.layers}
    config = getattr(transformers, f"{kind}Config")(**settings)
    model = getattr(transformers, f"{kind}Model")(config).eval()
    waveforms = torch.randn(flags.batch, CLIP)

    def score():
        with torch.inference_mode():
            states = model(waveforms, output_hidden_states=True).hidden_states
            return torch.stack(states, 2).numpy()

    return score


def keras_scorer(flags):
    """One batch through this project's encoder."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import tensorflow as tf

    from tfpipeline.models.speech_encoders.hub_folder import build_speech_encoder
    from tfpipeline.models.speech_encoders.settings import PRESETS

    tf.config.threading.set_intra_op_parallelism_threads(flags.threads)
    network = build_speech_encoder(PRESETS[flags.preset], flags.layers)
    compiled = tf.function(lambda waveform: network(waveform, training=False))
    waveforms = tf.random.normal((flags.batch, CLIP))
    return lambda: compiled(waveforms).numpy()


if __name__ == "__main__":
    raise SystemExit(main())
