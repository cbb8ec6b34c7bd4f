"""Putting the pipeline's last stage on a device, and making sure that it went there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf


def default_device() -> str:
    """The first GPU if TensorFlow sees one, else the CPU."""
    return "/GPU:0" if tf.config.list_logical_devices("GPU") else "/CPU:0"


def distribution(devices: Sequence[str]) -> tf.distribute.Strategy:
    """How a training step is spread over devices.

    None is TensorFlow's own choice; one device takes everything; on several,
    `tf.distribute.MirroredStrategy` keeps a copy of the model on each, which sees its share of
    every batch, and adds up the gradients.

    Raises:
        ValueError: a device that TensorFlow does not see; the message names those it does.
    """
    known = [device.name.replace("/device:", "/") for device in tf.config.list_logical_devices()]
    for device in devices:
        if device not in known:
            raise ValueError(
                f"a device must be one of {', '.join(known)}. Received: {device!r}. "
                "Is the GPU build of TensorFlow installed?"
            )
    if not devices:
        return tf.distribute.get_strategy()
    if len(devices) == 1:
        return tf.distribute.OneDeviceStrategy(devices[0])
    return tf.distribute.MirroredStrategy(list(devices))


def map_on_device(
    dataset: tf.data.Dataset, function: Callable[..., tuple], device: str
) -> tf.data.Dataset:
    """Moves a dataset's elements to `device`, then maps `function` over them there.

    `tf.data.experimental.copy_to_device` stays on the CPU without a word where the device does not
    exist; so the device of a real element is looked at, once, before the dataset is handed out.

    Raises:
        ValueError: the elements are not on `device` afterwards.
    """
    moved = dataset.apply(tf.data.experimental.copy_to_device(device))
    # The stage runs where its inputs are; prefetching on the device keeps the results there.
    with tf.device(device):
        mapped = moved.map(function).prefetch(1)
        first = tf.nest.flatten(next(iter(mapped)))
    wanted = tf.DeviceSpec.from_string(device)
    for tensor in first:
        found = tf.DeviceSpec.from_string(tensor.device)
        if (found.device_type, found.device_index) != (wanted.device_type, wanted.device_index):
            known = [own.name for own in tf.config.list_logical_devices()]
            raise ValueError(
                f"the pipeline's last stage must run on {device}. Received a tensor on "
                f"{tensor.device}. Devices here: {', '.join(known)}. "
                "Set mel.place=model, or name a device that exists."
            )
    return mapped
