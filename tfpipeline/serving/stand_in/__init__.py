"""The protocol stand-in: speaks TensorFlow Serving's protocols, and is not TensorFlow Serving."""
