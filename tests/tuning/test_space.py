"""Search spaces: what is read, what is refused, and what keras-tuner makes of them."""

import pytest

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.models.families import find_family
from tfpipeline.tuning.settings import hyperparameters, values_of
from tfpipeline.tuning.space import (
    FIXED,
    Parameter,
    SearchConfig,
    probes,
    read_plan,
    rounded,
)
from tfpipeline.tuning.start import check_budget, check_space

SHIPPED = sorted(CONFIGS.glob("tune_*.yaml"))


def plan_of(tmp_path, text):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return read_plan(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_space_fits_its_config(path):
    name = path.stem.removeprefix("tune_")
    plan, base = read_plan(path), load_config(CONFIGS / f"{name}.yaml")
    check_space(base, plan)
    check_budget(plan, find_family(base.model.name).is_classical)
    first = path.read_text().splitlines()[0]
    assert first == f"# python -m tfpipeline.tune --model {name}"
    # What an algorithm may draw builds configs too, conditions and all.
    found = hyperparameters(plan.space)
    for seed in range(20):
        drawn = {}
        for own in found.space:
            found.values = drawn
            if found.is_active(own):
                drawn[own.name] = own.random_sample(seed + len(drawn))
        values = values_of(plan.space, drawn)
        base.replace(values)
        for parameter in plan.space:
            if parameter.key in values and parameter.kind != "choice":
                low, high = parameter.values
                assert low <= values[parameter.key] <= high


def test_values_reach_any_key_and_keep_their_types(tmp_path):
    plan = plan_of(
        tmp_path,
        "space:\n"
        "  mel.n_mels: {int: [64, 128], step: 32}\n"
        "  model.channels: {choice: [[4, 8], [16, 32, 64]]}\n"
        "  augment.snr_db: {choice: [[5, 10]]}\n"
        "  training.class_balance: {choice: [true, false]}\n"
        "  training.learning_rate: {float: [1e-4, 1e-2], log: true}\n",
    )
    drawn = {
        "mel.n_mels": 96,
        "model.channels": "[16, 32, 64]",
        "augment.snr_db": "[5, 10]",
        "training.class_balance": "false",
        "training.learning_rate": 0.00123456,
    }
    config = load_config(CONFIGS / "cnn.yaml").replace(values_of(plan.space, drawn))
    assert config.mel.n_mels == 96
    assert config.model.options["channels"] == [16, 32, 64]
    assert config.augment.snr_db == (5.0, 10.0)
    assert config.training.class_balance is False
    assert config.training.learning_rate == 0.001235


def test_a_parameter_counts_only_under_its_condition(tmp_path):
    plan = plan_of(
        tmp_path,
        "space:\n"
        "  training.schedule: {choice: [constant, cosine]}\n"
        "  training.warmup_epochs: {float: [0, 3], when: {training.schedule: cosine}}\n",
    )
    key = "training.warmup_epochs"
    assert values_of(plan.space, {"training.schedule": '"cosine"', key: 1.5})[key] == 1.5
    assert key not in values_of(plan.space, {"training.schedule": '"constant"', key: 1.5})
    found = hyperparameters(plan.space)
    warmup = found.space[1]
    for schedule, expected in (('"cosine"', True), ('"constant"', False)):
        found.values = {"training.schedule": schedule}
        assert found.is_active(warmup) is expected
    # The probes of the conditional parameter carry what it hangs on.
    assert {"training.schedule": "cosine", key: 3.0} in list(probes(plan.space))


def test_a_draw_beyond_the_range_is_brought_back(tmp_path):
    """keras-tuner's Bayesian search proposes 49 of a logarithmic 3 … 48."""
    plan = plan_of(tmp_path, "space: {model.num_leaves: {int: [3, 48], log: true}}")
    hp = hyperparameters(plan.space).space[0]
    assert hp.prob_to_value(1.0) == 49
    assert values_of(plan.space, {"model.num_leaves": 49}) == {"model.num_leaves": 48}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("algorithm: random", r"a search has a section `space` of keys"),
        ("colour: red\nspace: {a: {int: [1, 2]}}", r"unknown key colour\. Known keys here: alg"),
        ("folds: many\nspace: {a: {int: [1, 2]}}", r"folds must be an integer\. Received: 'many'"),
        ("space: {mel.n_mels: [64, 80]}", r"mel\.n_mels must be \{choice: \[values\]\}"),
        ("space: {mel.n_mels: {int: [64]}}", r"int takes \[low, high\]\. Received: \[64\]"),
        ("space: {mel.n_mels: {int: [80, 64]}}", r"with low < high\. Received: \[80, 64\]"),
        ("space: {mel.n_mels: {int: [64, 80.5]}}", r"int must be an integer\. Received: 80\.5"),
        ("space: {augment.speed: {float: [0, 1], log: true}}", r"0 < low < high, for log"),
        ("space: {augment.speed: {float: [0, 1], step: 0}}", r"step must be above 0"),
        ("space: {mel.n_mels: {choice: [64], log: true}}", r"log and step belong to int and float"),
        ("space: {mel.n_mels: {int: [64, 80], when: {mel.place: model}}}", r"stands above it"),
        ("space: {a: {choice: [1]}, b: {int: [1, 2], when: {a: 2}}}", r"values of a: \[1\]"),
        ("space: {training.layer_decay: {float: [0.5, 1]}}", r"now called training\.layerwise_lr"),
        ("[1", r"a space is a readable YAML file"),
    ],
)
def test_bad_spaces_are_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        plan_of(tmp_path, text)


@pytest.mark.parametrize("key", FIXED)
def test_what_all_trials_share_is_not_searched(tmp_path, key):
    with pytest.raises(ValueError, match=rf"{key} is not searched: "):
        plan_of(tmp_path, f"space: {{{key}: {{choice: [1]}}}}")


def test_a_missing_space_names_those_there_are(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tune_cnn\.yaml"):
        read_plan(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("name", "space", "message"),
    [
        ("cnn", "mel.mels: {int: [1, 2]}", r"space at mel\.mels=1: unknown key mel\.mels"),
        ("cnn", "model.depth: {int: [1, 2]}", r"space at model\.depth=1: .*unknown key model\.d"),
        ("lightgbm", "model.dropout: {float: [0, 1]}", r"unknown key model\.dropout"),
        (
            "cnn",
            "training.batch_size: {int: [0, 8]}",
            r"batch_size must be an integer of at least 1",
        ),
        ("cnn", "augment.speed: {float: [0, 2]}", r"augment\.speed must be .* below 1"),
        ("lightgbm", "features.set: {choice: [full, all]}", r"set full is now called selected"),
        ("cnn", "seed.x: {int: [1, 2]}", r"seed is not a section"),
        ("cnn", "model.name: {choice: [cnn, lightgbm]}", r"are searched apart"),
        ("cnn", "model.name: {choice: [cnn, svm]}", r"model\.name must be one of"),
    ],
)
def test_a_space_that_does_not_fit_its_config_is_refused(tmp_path, name, space, message):
    plan = plan_of(tmp_path, f"space: {{{space}}}")
    with pytest.raises(ValueError, match=message):
        check_space(load_config(CONFIGS / f"{name}.yaml"), plan)


@pytest.mark.parametrize(
    ("plan", "classifier", "message"),
    [
        (SearchConfig("hyperband", max_epochs=9, max_trials=5), False, r"hyperband counts epochs"),
        (SearchConfig("hyperband"), True, r"a classifier has none"),
        (SearchConfig("random", max_trials=5, max_epochs=3), True, r"not trained by epochs"),
        (SearchConfig("bayesian"), False, r"bayesian needs an end"),
        (SearchConfig("random", max_trials=0), False, r"max_trials must be more than 0"),
        (SearchConfig("hyperband", max_epochs=9, factor=1), False, r"factor must be 2 or more"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused(plan, classifier, message):
    with pytest.raises(ValueError, match=message):
        check_budget(plan, classifier)


@pytest.mark.parametrize(
    ("low", "high", "step", "log", "expected"),
    [
        (0.1, 1.0, 0.1, False, 1.0),
        (0.0, 0.5, 0.1, False, 0.5),
        (0.0, 2.0, 0.5, False, 2.0),
        (0.001, 1.0, 10.0, True, 1.0),
        (0.1, 0.95, 0.1, False, 0.9),
    ],
)
def test_both_ends_of_a_stepped_range_can_be_drawn(low, high, step, log, expected):
    parameter = Parameter("model.x", "float", (low, high), log, step)
    (declared,) = hyperparameters([parameter]).space
    drawn = [rounded(parameter, declared.prob_to_value(p)) for p in (0.0, 1.0)]
    assert drawn == [low, expected]
