"""The image backbones of `keras.applications`, by their names in lower case.

`convnexttiny`, `efficientnetv2b0`, `resnet50`, `mobilenetv3small` …
"""

from __future__ import annotations

import inspect

import keras

APPLICATIONS = {
    name.lower(): name
    for name in dir(keras.applications)
    if name[0].isupper() and callable(getattr(keras.applications, name))
}


def build_application(name: str, weights: str | None = None) -> keras.Model:
    """A network of `keras.applications` without its classifier, for images of any size.

    Where it can be left out, its own scaling of images is: a spectrogram is normalised before.

    Args:
        name: a key of `APPLICATIONS`.
        weights: `imagenet`, which Keras downloads, or None.
    Returns:
        Model from images (batch, height, width, 3) to (batch, rows, columns, channels).
    """
    build = getattr(keras.applications, APPLICATIONS[name])
    options = {"include_top": False, "weights": weights, "input_shape": (None, None, 3)}
    if "include_preprocessing" in inspect.signature(build).parameters:
        options["include_preprocessing"] = False
    return build(**options)
