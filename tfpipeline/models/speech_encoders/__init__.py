"""Encoders pretrained on speech: Whisper's, wav2vec 2.0's, HuBERT's and WavLM's, in Keras."""
