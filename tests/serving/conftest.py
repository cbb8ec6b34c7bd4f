"""A complete run of a small network that was never trained: real scores of real clips."""

import keras
import pytest

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.clips import corpus_fingerprint
from tfpipeline.data.pipeline import open_audio
from tfpipeline.models.detector import build_detector
from tfpipeline.serving.complete import complete_run
from tfpipeline.training.run_folder import finish_run, start_run, write_environment


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, tiny_corpus):
    """Folder of a run named `tiny`, its first export included."""
    target = tmp_path_factory.mktemp("runs") / "tiny"
    config = load_config(CONFIGS / "cnn.yaml", ["model.channels=[4, 8]", "data.corpus=tiny"])
    keras.utils.set_random_seed(3)
    detector = build_detector(config)
    clips, audio, _ = open_audio(tiny_corpus)
    partial = start_run(target, config, resume=False)
    detector.model.save_weights(partial / "model.weights.h5")
    write_environment(partial, config, corpus_fingerprint(clips), {})
    complete_run(config, "tiny", clips, audio, detector, detector.model.count_params(), partial)
    finish_run(partial, target)
    return target
