from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("keras", reason="training is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tensorflow", reason="training is not installed: pip install 'edge-digits[train]'")

import keras
from keras import layers

from edge_digits.errors import UsageError
from edge_digits_train.recipes import RECIPES, Plateau, find_recipe


@pytest.fixture(scope="module")
def posts() -> keras.Model:
    return RECIPES["cnn-augmented"].network()


@pytest.mark.parametrize(("name", "parameters"), [("cnn-augmented", 1_716_202), ("base", 82_786)])
def test_networks_have_as_many_parameters_as_they_say(name, parameters):
    recipe = RECIPES[name]
    network = recipe.network()
    assert network.count_params() == sum(int(np.prod(weight.shape)) for weight in network.weights) == parameters
    assert f"{parameters:,}" in recipe.summary


@pytest.mark.parametrize("name", list(RECIPES))
def test_networks_take_raw_tiles_and_give_ten_probabilities(name, tiles):
    network = RECIPES[name].network()
    assert (network.inputs[0].dtype, network.input_shape) == ("uint8", (None, 28, 28))
    answers = network.predict(tiles[:3], verbose=0)
    assert answers.shape == (3, 10)
    np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)
    assert network.name == name == RECIPES[name].name


def test_cnn_augmented_is_the_posts_network_layer_by_layer(posts):
    found = []
    for layer in posts.layers:
        if isinstance(layer, layers.Conv2D):
            assert (layer.padding, layer.strides, layer.activation.__name__) == ("valid", (1, 1), "relu")
            found.append(("conv", *layer.kernel_size, layer.filters))
        elif isinstance(layer, layers.MaxPooling2D):
            assert layer.padding == "valid"
            found.append(("pool", *layer.pool_size))
        elif isinstance(layer, layers.Dropout):
            found.append(("dropout", layer.rate))
        elif isinstance(layer, layers.Dense):
            found.append(("dense", layer.units, layer.activation.__name__))
        elif not isinstance(layer, layers.InputLayer | layers.Rescaling | layers.Reshape | layers.Flatten):
            found.append((type(layer).__name__,))
    assert found == [
        ("conv", 5, 5, 32),
        ("conv", 3, 3, 32),
        ("pool", 2, 2),
        ("dropout", 0.25),
        ("conv", 3, 3, 64),
        ("conv", 3, 3, 64),
        ("pool", 2, 2),
        ("dropout", 0.25),
        ("dense", 1024, "relu"),
        ("dropout", 0.5),
        ("dense", 1024, "relu"),
        ("dropout", 0.5),
        ("dense", 10, "softmax"),
    ]


def test_cnn_augmented_is_the_same_function_as_the_post_wrote_it(posts, tiles):
    """The post's own code, on pixels divided by 255 and given a channel."""
    theirs = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, (5, 5), activation="relu"),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.25),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(1024, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1024, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    theirs.set_weights(posts.get_weights())
    expected = theirs.predict(tiles[:20, :, :, np.newaxis] / np.float32(255), verbose=0)
    np.testing.assert_allclose(posts.predict(tiles[:20], verbose=0), expected, atol=1e-6)


def test_cnn_augmented_is_trained_as_the_post_says():
    recipe = RECIPES["cnn-augmented"]
    optimizer = recipe.optimizer(1000)
    assert isinstance(optimizer, keras.optimizers.Adadelta)
    assert float(optimizer.learning_rate) == 1.0
    assert (optimizer.rho, optimizer.epsilon, optimizer.use_ema) == (0.95, 1e-7, False)
    assert (recipe.batch, recipe.validation, recipe.split_seed) == (512, 0.1, 27)
    used = {key: value for key, value in dataclasses.asdict(recipe.augmentation).items() if value}
    used.pop("elastic_share")  # of an elastic field that is off
    assert used == {"rotation": 12, "shear": 0.075, "zoom": 0.05, "shift": 0.075}
    assert recipe.plateau == Plateau(factor=0.5, patience=2 / 32, floor=1e-4)


def test_a_full_training_of_cnn_augmented_waits_the_posts_32_passes():
    plateau = RECIPES["cnn-augmented"].plateau
    assert plateau is not None
    flat = [0.1] * 34  # the first is the best; 32 passes without a better one follow
    assert plateau.learning_rate(1.0, flat[:32], 512) == 1.0
    assert plateau.learning_rate(1.0, flat[:33], 512) == 0.5


def with_keras(plateau: Plateau, start: float, losses: list[float], passes: int) -> list[float]:
    """The learning rate after each pass, as Keras' own callback sets it."""
    network = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    network.compile(keras.optimizers.SGD(start))
    callback = keras.callbacks.ReduceLROnPlateau(
        "val_loss",
        factor=plateau.factor,
        patience=max(1, round(plateau.patience * passes)),
        min_lr=plateau.floor,
        min_delta=0,
        mode="min",
    )
    callback.set_model(network)
    callback.on_train_begin()
    rates = []
    for number, loss in enumerate(losses):
        callback.on_epoch_end(number, {"val_loss": loss})
        rates.append(float(keras.ops.convert_to_numpy(network.optimizer.learning_rate)))
    return rates


def test_plateau_is_keras_own_on_random_losses():
    rng = np.random.default_rng(0)
    reductions = 0
    for _ in range(60):
        passes = int(rng.integers(1, 60))
        plateau = Plateau(
            factor=float(rng.choice([0.1, 0.5, 0.9])),
            patience=float(rng.choice([1 / 16, 1 / 8, 0.3])),
            floor=float(rng.choice([1e-4, 0.03, 0.4])),
        )
        start = float(rng.choice([1.0, 0.05, 1e-3]))
        losses = np.round(np.exp(rng.normal(0, 0.3, passes) - 0.02 * np.arange(passes)), 1).tolist()  # with ties
        found = [plateau.learning_rate(start, losses[: i + 1], passes) for i in range(passes)]
        assert found == pytest.approx(with_keras(plateau, start, losses, passes), rel=1e-5)
        reductions += len(set(found)) - 1
    assert reductions > 60


def test_plateau_never_changes_a_rate_that_starts_below_its_floor():
    assert Plateau(0.5, 0.1, floor=1e-2).learning_rate(1e-3, [1.0] * 20, 10) == 1e-3


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("cnn-augmentd", "cnn-augmented"),
        ("cnn_augmented", "cnn-augmented"),
        ("augmented", "cnn-augmented"),
        ("Base", "base"),
        ("bse", "base"),
    ],
)
def test_unknown_recipe_suggests_the_nearest(name, near):
    with pytest.raises(UsageError, match=rf"no recipe is called '{name}': did you mean {near}\?") as caught:
        find_recipe(name)
    assert caught.value.exit_code == 2


def test_recipe_like_no_other_lists_those_there_are():
    with pytest.raises(UsageError, match="there are cnn-augmented, base"):
        find_recipe("zzz")
    assert all(find_recipe(name) is recipe for name, recipe in RECIPES.items())
