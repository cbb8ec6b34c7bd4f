"""The demo corpus, and the vocoders that make its fakes."""
