from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras", reason="training is not installed: pip install 'edge-digits[train]'")
pytest.importorskip("tensorflow", reason="training is not installed: pip install 'edge-digits[train]'")

import keras
import tiny
from keras import layers
from made_runs import Making, small_network

from edge_digits.errors import InputError, UsageError
from edge_digits_train.catalogue import MEASURED, list_recipes
from edge_digits_train.data import DataSet, Split
from edge_digits_train.networks import build_network, count_multiply_adds, predict
from edge_digits_train.recipe import EarlyStopping, Plateau, Recipe, find_recipe, load_recipe, recipe_names

PARAMETERS = {
    "logistic": 7_850,
    "dense-32": 25_450,
    "dense-deep": 12_587_950,
    "cnn-5x5": 454_922,
    "cnn-64-32": 65_194,
    "cnn-16": 27_210,
    "cnn-16-32": 83_322,
    "cnn-16-32-dropout": 83_322,
    "cnn-augmented": 1_716_202,
    "base": 106_779,
    "teacher": 106_779,
    "micro": 19_738,
    "nano": 7_278,
}
"""As the posts give them, and for those of the bundled models as counted by hand."""
LAYERS = {
    "logistic": "dense 10 softmax",
    "dense-32": "dense 32 relu, dense 10 softmax",
    "dense-deep": "dense 784 relu, dense 2500 relu, dense 2000 relu, dense 1500 relu, dense 1000 relu, dense 500 relu, "
    "dense 10 softmax",
    "cnn-5x5": "conv 5 32 same linear, pool 2, dropout 0.4, conv 5 64 same linear, pool 2, dropout 0.4, "
    "dense 128 relu, dropout 0.4, dense 10 softmax",
    "cnn-64-32": "conv 3 64 valid relu, conv 3 32 valid relu, pool 2, dense 10 softmax",
    "cnn-16": "conv 3 16 valid relu, pool 2, dense 10 softmax",
    "cnn-16-32": "conv 3 16 valid relu, conv 3 16 valid relu, pool 2, conv 3 32 valid relu, conv 3 32 valid relu, "
    "pool 2, dense 128 relu, dense 10 softmax",
    "cnn-16-32-dropout": "conv 3 16 valid relu, conv 3 16 valid relu, pool 2, dropout 0.25, conv 3 32 valid relu, "
    "conv 3 32 valid relu, pool 2, dropout 0.25, dense 128 relu, dropout 0.25, dense 10 softmax",
    "cnn-augmented": "conv 5 32 valid relu, conv 3 32 valid relu, pool 2, dropout 0.25, conv 3 64 valid relu, "
    "conv 3 64 valid relu, pool 2, dropout 0.25, dense 1024 relu, dropout 0.5, dense 1024 relu, dropout 0.5, "
    "dense 10 softmax",
}
"""The networks of the posts."""


def recipe_of(name: str) -> Recipe:
    return load_recipe(find_recipe(name))


@pytest.fixture(scope="module")
def networks() -> dict[str, keras.Model]:
    return {name: recipe_of(name).build() for name in recipe_names()}


# ---- The networks ----


def test_every_recipe_is_known_and_listed_with_what_it_costs(networks):
    assert set(recipe_names()) == set(PARAMETERS)
    for entry in list_recipes().entries:
        assert (entry.name, entry.parameters) == (entry.name, PARAMETERS[entry.name])
        assert entry.multiply_adds == count_multiply_adds(networks[entry.name])
        assert entry.name in list_recipes().text()


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_have_as_many_parameters_as_the_posts_say(networks, name):
    network = networks[name]
    assert network.count_params() == sum(int(np.prod(weight.shape)) for weight in network.weights) == PARAMETERS[name]
    said = [int(count.replace(",", "")) for count in re.findall(r"([\d,]+)(?: parameters| for the digit score)",
            find_recipe(name).read_text())]  # fmt: skip
    assert sum(said) == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_take_raw_tiles_and_give_ten_probabilities(networks, name, tiles):
    network = networks[name]
    assert (network.inputs[0].dtype, network.input_shape) == ("uint8", (None, 28, 28))
    answers = predict(network, tiles[:3]).probabilities
    assert answers.shape == (3, 10)
    np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)
    assert network.name == name == recipe_of(name).name


def in_words(layer: keras.Layer) -> str | None:
    """A layer as LAYERS writes it; None for those that only pass on."""
    if isinstance(layer, layers.Conv2D):
        (side, other), strides = layer.kernel_size, layer.strides
        assert side == other
        assert strides == (1, 1)
        return f"conv {side} {layer.filters} {layer.padding} {layer.activation.__name__}"
    if isinstance(layer, layers.MaxPooling2D):
        assert layer.padding == "valid"
        assert layer.pool_size == layer.strides == (2, 2)
        return "pool 2"
    if isinstance(layer, layers.Dropout):
        return f"dropout {layer.rate}"
    if isinstance(layer, layers.Dense):
        return f"dense {layer.units} {layer.activation.__name__}"
    passes_on = isinstance(layer, layers.InputLayer | layers.Rescaling | layers.Reshape | layers.Flatten)
    return None if passes_on else type(layer).__name__


@pytest.mark.parametrize("name", LAYERS)
def test_networks_are_the_posts_layer_by_layer(networks, name):
    assert [word for layer in networks[name].layers if (word := in_words(layer))] == LAYERS[name].split(", ")


@pytest.mark.parametrize(
    ("name", "multiply_adds"),
    [
        ("logistic", 784 * 10),
        ("cnn-16", 26 * 26 * 9 * 16 + 13 * 13 * 16 * 10),
        ("cnn-5x5", 28 * 28 * 25 * 32 + 14 * 14 * 25 * 32 * 64 + 7 * 7 * 64 * 128 + 128 * 10),
    ],
)
def test_multiply_adds_are_those_counted_by_hand(networks, name, multiply_adds):
    assert count_multiply_adds(networks[name]) == multiply_adds


def test_multiply_adds_of_separable_and_nested_networks_are_counted(tiles):
    inner = keras.Sequential([keras.Input((28, 28, 4)), layers.SeparableConv2D(6, 3, name="separable")])
    body = [layers.DepthwiseConv2D(3, depth_multiplier=4, padding="same"), inner]
    network = build_network("mine", [*body, layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")])
    assert count_multiply_adds(network) == 28 * 28 * 9 * 4 + 26 * 26 * (9 * 4 + 4 * 6) + 6 * 10


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([layers.Dense(10)], r"the last layer gives \(None, 28, 28, 10\); ten probabilities are \(None, 10\)"),
        ([layers.Flatten(), layers.Conv2D(8, 3, name="conv")], "layer 'conv' does not fit"),
    ],
    ids=["not ten", "does not fit"],
)
def test_layers_that_make_no_digit_network_are_refused(body, reason):
    with pytest.raises(UsageError, match=f"recipe mine: {reason}"):
        build_network("mine", body)


# ---- The ways of training ----


def test_cnn_augmented_is_the_same_function_as_the_post_wrote_it(networks, tiles):
    """The post's own code, on pixels divided by 255 and given a channel."""
    posts = networks["cnn-augmented"]
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


@pytest.mark.parametrize(
    ("name", "optimizer", "rate", "batch", "split"),
    [
        ("logistic", "Adam", 1e-2, 64, Split(0.25, 2, sample=0.1, sample_seed=5)),
        ("dense-32", "RMSprop", 1e-3, 64, Split(0.05, how="last")),
        ("dense-deep", "Adam", 1e-3, 32, Split(0.25, 2, sample=0.1, sample_seed=5)),
        ("cnn-5x5", "Adam", 1e-3, 32, Split(0.25, 2)),
        ("cnn-64-32", "RMSprop", 1e-3, 32, Split(0.1, 27)),
        ("cnn-16", "Adam", 1e-3, 64, Split(0.1, 27)),
        ("cnn-16-32", "Adam", 1e-3, 64, Split(0.1, 27)),
        ("cnn-16-32-dropout", "Adam", 1e-3, 64, Split(0.1, 27)),
        ("cnn-augmented", "Adadelta", 1.0, 512, Split(0.1, 27)),
    ],
)
def test_recipes_train_as_their_posts_say(name, optimizer, rate, batch, split):
    recipe = recipe_of(name)
    found = recipe.optimizer(1000)
    assert (type(found).__name__, float(found.learning_rate)) == (optimizer, pytest.approx(rate))
    assert (recipe.batch, recipe.split) == (batch, split)


def test_only_two_of_the_posts_vary_their_tiles():
    varied = {
        name: {key: value for key, value in dataclasses.asdict(recipe_of(name).augmentation).items() if value}
        for name in LAYERS
    }
    for used in varied.values():
        used.pop("elastic_share")  # of an elastic field that is off
    black = {"fill": "black"}
    assert varied.pop("cnn-augmented") == {"rotation": 12, "shear": 0.075, "zoom": 0.05, "shift": 0.075, **black}
    assert varied.pop("cnn-64-32") == {
        "rotation": 10, "shear": pytest.approx(np.deg2rad(0.1), rel=1e-5), "zoom": 0.1, "shift": 0.1, "fill": "nearest",
    }  # fmt: skip
    assert all(used == black for used in varied.values())


def test_cnn_64_32_falls_after_three_passes_and_ends_after_ten():
    recipe = recipe_of("cnn-64-32")
    assert recipe.plateau is not None
    assert recipe.early_stopping is not None
    flat = [0.1] * 12
    assert [recipe.plateau.learning_rate(1e-3, flat[:n], 100) for n in (3, 4, 7)] == pytest.approx([1e-3, 1e-4, 1e-5])
    assert [recipe.early_stopping.ends(flat[:n], 100) for n in (0, 1, 10, 11)] == [False, False, False, True]


def test_early_stopping_counts_from_the_best_pass():
    stopping = EarlyStopping(patience=0.2)
    assert not stopping.ends([0.5, 0.4, 0.45], 10)
    assert stopping.ends([0.5, 0.4, 0.45, 0.4], 10)  # as good is not better
    assert not stopping.ends([0.5, 0.4, 0.45, 0.39], 10)


def test_cnn_augmented_is_trained_as_the_post_says():
    recipe = recipe_of("cnn-augmented")
    optimizer = recipe.optimizer(1000)
    assert (optimizer.rho, optimizer.epsilon, optimizer.use_ema) == (0.95, 1e-7, False)
    assert recipe.plateau == Plateau(factor=0.5, patience=2 / 32, floor=1e-4)


def test_a_full_training_of_cnn_augmented_waits_the_posts_32_passes():
    plateau = recipe_of("cnn-augmented").plateau
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


# ---- Names and files ----


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("cnn-augmentd", "cnn-augmented"),
        ("cnn_augmented", "cnn-augmented"),
        ("augmented", "cnn-augmented"),
        ("Base", "base"),
        ("bse", "base"),
        ("logisitc", "logistic"),
        ("dense-23", "dense-32"),
        ("cnn-16-32-drop", "cnn-16-32-dropout"),
    ],
)
def test_unknown_recipe_suggests_the_nearest(name, near):
    with pytest.raises(UsageError, match=rf"no recipe is called '{name}': did you mean {near}\?") as caught:
        find_recipe(name)
    assert caught.value.exit_code == 2


def test_recipe_like_no_other_lists_those_there_are():
    with pytest.raises(
        UsageError, match=r"there are base, cnn-16, .*, logistic, micro, nano, teacher, and files that end in \.py"
    ):
        find_recipe("zzz")


def test_recipe_of_ones_own_is_a_file(tmp_path):
    path = tiny.write_recipe(tmp_path, more="plateau=Plateau(0.5, 0.1, 1e-3)")
    recipe = load_recipe(find_recipe(path))
    assert (recipe.name, recipe.batch, recipe.plateau) == ("tiny", 50, Plateau(0.5, 0.1, 1e-3))
    assert json.loads(json.dumps(recipe.describe()))["plateau"] == {"factor": 0.5, "patience": 0.1, "floor": 1e-3}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import keras\nRECIPE = (", r"line 2: SyntaxError"),
        ("\n\nimport kears", r"line 3: ModuleNotFoundError: No module named 'kears'"),
        ("def f():\n    return 1 / 0\nf()", r"line 2: ZeroDivisionError"),
        ("x = 1", r"sets no RECIPE = Recipe\(\.\.\.\)"),
        ("RECIPE = 5", r"sets no RECIPE"),
    ],
    ids=["syntax", "import", "in a function", "no RECIPE", "another RECIPE"],
)
def test_recipe_file_that_fails_is_told_with_its_line(tmp_path, text, reason):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"mine\.py: {reason}"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"batch": 0}, "batch=0"),
        ({"more": "split=Split(validation=1.0)"}, "validation=1.0: it must be more than 0 and less than 1"),
        ({"more": "split=Split(sample=0)"}, "sample=0"),
    ],
    ids=["batch", "validation", "sample"],
)
def test_recipe_file_with_a_number_that_makes_no_sense_is_refused(tmp_path, parts, reason):
    with pytest.raises(InputError, match=reason):
        load_recipe(Path(tiny.write_recipe(tmp_path, **parts)))


MADE_ONCE = """
SAME = [layers.Flatten(), layers.Dense(10, activation='softmax')]
def network():
    return SAME
def unused"""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("return [", "1 / 0; return ["), r"line \d+: ZeroDivisionError: division by zero"),
        (("return [", "return None; ["), r"network\(\) must return a list of layers, not NoneType"),
        (("return [", "return keras.Sequential(); ["), r"network\(\) must return a list of layers, not Sequential"),
        (("return [", "return ['dense']; ["), r"network\(\) must return layers: number 1 is 'dense'"),
        (("def network", MADE_ONCE), "must make new layers each time it is called"),
        (("layers.ReLU()", "layers.ReLU(name='a'), layers.ReLU(name='a')"), "two layers are called 'a'"),
        (("layers.ReLU()", "layers.ReLU(name='tiles')"), r"two layers are called 'tiles'; .* are the network's own"),
        (("layers.Flatten()", "layers.Conv2D(8, 99, name='wide')"), "recipe tiny: layer 'wide' does not fit"),
        (('name="tiny"', 'name="a/b"'), "name='a/b': it must be letters, digits"),
        (('name="tiny"', 'name="a b"'), "name='a b': it must be letters, digits"),
        (('name="tiny"', "name=None"), "name=None: it must be a text"),
        (("return keras", "return None; keras"), r"optimizer\(steps\) must return a Keras optimizer, not None"),
        (("return keras", "return undefined; keras"), r"line \d+: NameError: name 'undefined' is not defined"),
        (("passes=3", "passes=3, split={}"), r"split=\{\}: it must be a Split\(\.\.\.\)"),
        (
            ("augmentation=Aug", "augmentation={'rotation': 5}, notes=Aug"),
            "augmentation=.*: it must be an Aug",
        ),
        (("passes=3", "passes=3, plateau=0.1"), r"plateau=0\.1: it must be a Plateau\(\.\.\.\)"),
        (("passes=3", "passes=3, early_stopping=3"), "early_stopping=3: it must be an EarlyStopping"),
        (("passes=3", "passes=3, split=Split(how='random')"), "how='random': it must be 'stratified' or 'last'"),
        (("passes=3", "passes=3, split=Split(seed='x')"), "seed='x': it must be 0 or more"),
        (("rotation=5", "rotation='far'"), r"mine\.py: \w*Error"),
        (("rotation=5", "fill='white'"), "fill='white': it must be 'black' or 'nearest'"),
        (("import keras", "import sys, keras; sys.exit(0)"), "line 2: SystemExit: 0"),
    ],
    ids=lambda value: value[1][:40].strip() if isinstance(value, tuple) else "",
)
def test_mistake_in_a_recipe_file_is_told_in_one_line(tmp_path, change, reason):
    text = Path(tiny.write_recipe(tmp_path)).read_text()
    assert change[0] in text
    path = tmp_path / "mine.py"
    path.write_text(text.replace(*change, 1))
    with pytest.raises(InputError, match=reason) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_plateau_and_a_schedule_do_not_go_together(tmp_path):
    path = tiny.write_recipe(tmp_path, optimizer=tiny.AVERAGED, more="plateau=Plateau(0.5, 0.1, 1e-3)")
    with pytest.raises(InputError, match="plateau does not go with a learning rate that has a schedule of its own"):
        load_recipe(Path(path))


# ---- What was measured ----


def test_docs_say_what_the_list_says():
    measured = json.loads(MEASURED.read_text())
    docs = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in docs.splitlines() if line[:3] == "| `"]
    table = {row[0].strip("`"): row for row in rows if len(row) == 9}
    assert set(table) == set(measured) == set(recipe_names())
    listed = {entry.name: entry for entry in list_recipes().entries}
    for name, (_, parameters, multiply_adds, _, post, best, _, n, minutes) in table.items():
        entry, found = listed[name], measured[name]
        accuracy = next(word for word in best.split() if word.startswith("0."))
        assert (parameters, multiply_adds) == (f"{entry.parameters:,}", f"{entry.multiply_adds:,}")
        assert post in (entry.post.replace("validation", "val"), "–")
        assert accuracy == f"{found['accuracy']:.{len(accuracy) - 2}f}"
        assert (n, minutes.split(" + ")[0]) == (f"{found['n']:,}", f"{found['minutes']:.1f}")


def test_measuring_some_recipes_keeps_what_is_known_of_the_others(tmp_path, tiles, labels, monkeypatch, capsys):
    path = Path(__file__).parents[1] / "benchmarks" / "recipes.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_recipes", path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    rows = DataSet("train.csv", tiles[::10], labels[::10].astype(np.uint8))
    run = Making(rows, small_network(0, tiles[1::10], labels[1::10], 1), recipe="logistic").write(tmp_path / "run")
    run.write_metrics({**run.metrics(), "last": {"accuracy": 0.5}})
    (tmp_path / "measured.json").write_text('{"base": {"minutes": 46.5}}')
    monkeypatch.setattr(benchmark, "MEASURED", tmp_path / "measured.json")
    monkeypatch.setattr(sys, "argv", ["recipes.py", str(run.folder)])
    benchmark.main()
    found = json.loads((tmp_path / "measured.json").read_text())
    assert found["base"] == {"minutes": 46.5}
    assert found["logistic"]["last_pass_accuracy"] == 0.5
    assert "no run of cnn-16, " in capsys.readouterr().err


def recipes_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_digits", "recipes", *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_command_lists_every_recipe_and_prints_one():
    done = recipes_command()
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == sorted(
        recipe_names(), key=[entry.name for entry in list_recipes().entries].index
    )
    assert recipes_command("cnn-5x5").stdout == find_recipe("cnn-5x5").read_text()
    assert len(find_recipe("cnn-augmented").read_text().splitlines()) < 60  # a screen
    assert recipes_command("cnn-5").returncode == 2
