"""Hand-made features for classical models, as a Keras layer and as tables."""
