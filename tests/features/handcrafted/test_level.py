"""Level and zero crossings against librosa on real speech."""

import librosa
import numpy as np
import pytest

from tfpipeline.features.handcrafted import level


@pytest.fixture(scope="module")
def clips(speech):
    """Real speech; one clip has digital silence and samples below librosa's threshold."""
    clips = speech.copy()
    clips[5, 1000:20_000] = 0
    clips[5, 3000:3100] = [1e-11, -1e-11] * 50
    return clips


@pytest.mark.parametrize(("frame", "hop"), [(512, 160), (400, 100), (512, 512), (1024, 300)])
@pytest.mark.parametrize("samples", [1600, 16_001, 64_000])
def test_equals_librosa(clips, frame, hop, samples):
    settings = {"frame_length": frame, "hop_length": hop}
    for clip in clips[:, :samples]:
        received = level.rms(clip[None], **settings).numpy()[0]
        expected = librosa.feature.rms(y=clip, **settings)[0]
        np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-9)
        received = level.zero_crossing_rate(clip[None], **settings).numpy()[0]
        expected = librosa.feature.zero_crossing_rate(clip, **settings)[0]
        np.testing.assert_allclose(received, expected, rtol=0, atol=1e-6)


def test_level_and_silence_equal_librosa(clips):
    frames = librosa.feature.rms(y=clips, frame_length=512, hop_length=160)[:, 0]
    received = level.relative_level(frames).numpy()
    expected = np.stack([librosa.amplitude_to_db(f, ref=np.max, top_db=None) for f in frames])
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-3)  # dB
    shares = level.silence_share(received).numpy()
    np.testing.assert_allclose(shares, (expected <= -40).mean(axis=1), atol=1e-6)
    assert shares[5] > 0.25
    silent = level.relative_level(np.zeros((1, 50), "float32"))
    np.testing.assert_array_equal(silent, 0)
