"""The optimizer: Adam or AdamW on a schedule, slower in the early layers of a backbone."""

from __future__ import annotations

import keras

from tfpipeline.config import TrainingConfig


@keras.saving.register_keras_serializable(package="tfpipeline")
class LayerwiseAdamW(keras.optimizers.Adam):
    """AdamW whose learning rate has a factor of its own for each variable.

    With `use_ema` its averages are put in when asked for, and never by `fit`, which would take a
    network with frozen layers' variables for others.

    Args:
        learning_rate: or a schedule.
        factors: path of a variable → factor; 1 where there is none.
        decoupled_decay: weight decay; what is taken off is proportional to the variable's rate.
        **kwargs: Adam's.
    Reference:
        Loshchilov & Hutter (2019), https://arxiv.org/abs/1711.05101.
    """

    def __init__(self, learning_rate=1e-3, *, factors=None, decoupled_decay=0.0, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.factors = dict(factors or {})
        self.decoupled_decay = decoupled_decay

    def build(self, variables):
        """Adam's, and looks the factors up."""
        super().build(variables)
        self._factor_of = [self.factors.get(variable.path, 1.0) for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        """Adam's, at the variable's own rate, behind its decay."""
        learning_rate = learning_rate * self._factor_of[self._get_variable_index(variable)]
        if self.decoupled_decay:
            rate = keras.ops.cast(learning_rate * self.decoupled_decay, variable.dtype)
            self.assign_sub(variable, variable * rate)
        super().update_step(gradient, variable, learning_rate)

    def finalize_variable_values(self, var_list):
        """Nothing. Keras would put averages in after `fit`; here training uses the raw ones."""

    def put_averages_in(self):
        """Replaces the variables by their moving averages (`use_ema`)."""
        super().finalize_variable_values(self._trainable_variables)

    def get_config(self):
        options = {"factors": self.factors, "decoupled_decay": self.decoupled_decay}
        return {**super().get_config(), **options}


def build_optimizer(
    training: TrainingConfig, steps: int, backbone: keras.Model | None
) -> keras.optimizers.Optimizer:
    """The configured optimizer.

    Args:
        training: the config's section.
        steps: of an epoch.
        backbone: of the detector; None where there is none.
    Raises:
        ValueError: settings for a backbone, and there is none.
    """
    if backbone is None and (training.frozen_epochs or training.layerwise_lr_decay != 1):
        raise ValueError(
            "training.frozen_epochs and training.layerwise_lr_decay are for networks with a "
            f"pretrained backbone. Received: {training.frozen_epochs} and "
            f"{training.layerwise_lr_decay} for another."
        )
    options = {}
    if training.ema_momentum:
        options = {"use_ema": True, "ema_momentum": training.ema_momentum}
    rate = learning_rate(training, steps)
    if training.layerwise_lr_decay != 1 or training.ema_momentum:
        decay = training.layerwise_lr_decay
        factors = layer_factors(backbone, decay) if backbone is not None else {}
        return LayerwiseAdamW(
            rate, factors=factors, decoupled_decay=training.weight_decay, **options
        )
    if training.weight_decay:
        return keras.optimizers.AdamW(rate, weight_decay=training.weight_decay)
    return keras.optimizers.Adam(rate)


def learning_rate(
    training: TrainingConfig, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The rate, or the cosine that falls from it to a hundredth after a linear warm-up."""
    rate = training.learning_rate
    if training.schedule == "constant":
        return rate
    warmup = int(training.warmup_epochs * steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else rate,
        decay_steps=max(1, training.epochs * steps - warmup),
        alpha=0.01,
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )


def layer_factors(backbone: keras.Model, decay: float) -> dict[str, float]:
    """Factors on the learning rate of a backbone's variables: decay ** blocks behind the layer.

    A block ends with an `Add` layer, as in every residual network.

    Reference:
        Howard & Ruder (2018), discriminative fine-tuning; Clark et al. (2020), layer-wise decay.
    """
    total = sum(isinstance(layer, keras.layers.Add) for layer in backbone.layers)
    done, factors = 0, {}
    for layer in backbone.layers:
        for variable in layer.trainable_variables:
            factors[variable.path] = decay ** (total - done)
        done += isinstance(layer, keras.layers.Add)
    return factors
