"""From waveforms to what a model reads: log-mel spectrograms, hand-made features, augmentation."""
