"""tfpipeline: train, evaluate and serve audio-deepfake detectors on TensorFlow and Keras."""

__version__ = "0.1.0"
