"""Fitted classical models as plain arrays, and the graphs that predict from them.

No kept library turns HistGradientBoosting, LightGBM and CatBoost into TensorFlow graphs (looked for
in 2026-11): Hummingbird compiles trees to PyTorch, ONNX and TVM; onnx-tf is archived; treelite,
lleaves and m2cgen make machine code or source text; TensorFlow Decision Forests serves its own
models, by an op that stock TensorFlow Serving does not hold.
"""
