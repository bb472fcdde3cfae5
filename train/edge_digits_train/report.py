"""What a run folder shows to people: five pictures, the mistakes as a table, and a page with all of it."""

from __future__ import annotations

import numpy as np

from edge_digits.metrics import Evaluation
from edge_digits.outputs import open_output
from edge_digits_train.augment import Augmentation
from edge_digits_train.data import DataSet
from edge_digits_train.facts import RunFacts, errors_of
from edge_digits_train.grids import Answers, draw_augmented, draw_mistakes, draw_predictions
from edge_digits_train.mistakes import write_mistakes
from edge_digits_train.networks import load_network, predict
from edge_digits_train.page import Picture, render_page
from edge_digits_train.plots import draw_confusion, draw_curves, draw_sentence, png, style
from edge_digits_train.runs import Run

_NOTHING_HELD_OUT = "trained on all rows: nothing was held out"

_CURVES = (
    "Each point is one pass over the training rows. Blue counts: digits that the network does not learn from. Orange "
    "may well lie below it, as training rows are varied and parts of the network switched off meanwhile. Where the "
    "blue loss rises again while orange falls, the rows are being learned by heart. The accuracy axis is stretched "
    "towards 100 %."
)
_CURVES_ALL = "Each point is one pass over the training rows. The accuracy axis is stretched towards 100 %."
_CONFUSION = "Each line is a digit as it is in truth, each column what it was read as. Coloured squares are mistakes."
_VARIED = (
    "In blue a training image of each digit, beside it what the network is shown in its place. To your eye, too, each "
    "should still be that digit."
)
_AS_THEY_ARE = "Some training images of each digit. This recipe shows them to the network as they are."
_PREDICTIONS = "Under each digit stands what was read and how surely. A red frame marks what was read wrong."
_MISTAKES = (
    "Under each digit stands how likely the network held what it said, and how likely the truth. The first are "
    "those whose truth it held least likely. Some are hard for anyone; a few may be labelled wrong."
)


def write_report(run: Run, augmentation: Augmentation, training: DataSet, validation: DataSet) -> None:
    """Writes curves.png, confusion.png, augmented.png, predictions.png, mistakes.png, mistakes.csv and report.html.

    `training` and `validation` are the rows of the run, those of validation none where it was trained on all. What is
    there already is replaced. The same run gives the same files.

    Raises InputError where the run has no finished pass or its files are damaged, OutputError where it takes no more.
    """
    facts = RunFacts.read(run.folder)
    answers = Answers(validation, _predict(run, validation)) if len(validation) else None
    with style():
        curves = png(draw_curves(facts))
        augmented, varied = draw_augmented(training, augmentation)
        pictures = [
            Picture("curves", "How it learned", _CURVES if answers else _CURVES_ALL, curves),
            _confusion(facts, answers),
            *_answers(answers),
            Picture("augmented", "What it learned from", _VARIED if varied else _AS_THEY_ARE, png(augmented)),
        ]
        sentence = png(draw_sentence(_NOTHING_HELD_OUT))
    for picture in pictures:
        with open_output(str(run.folder / f"{picture.name}.png"), force=True, binary=True) as image:
            image.write(picture.png or sentence)
    if answers:
        write_mistakes(run.folder, answers)
    with open_output(str(run.report), force=True) as page:
        page.write(render_page(facts, pictures))


def _predict(run: Run, data: DataSet) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """What the best network says: probabilities (n, 10)."""
    network = load_network(run.best, training=False)
    return predict(network, data.tiles).probabilities


def _confusion(facts: RunFacts, answers: Answers | None) -> Picture:
    heading = "What it takes for what"
    if answers:
        found, rows = Evaluation.from_probabilities(answers.probabilities, answers.data.labels), "held-out rows"
    elif facts.test is not None:
        found, rows = facts.test, "test rows"
    else:
        return Picture("confusion", heading, f"{_NOTHING_HELD_OUT}.".capitalize(), None)
    return Picture("confusion", heading, f"{_CONFUSION} {_most_often(found)}", png(draw_confusion(found, rows)))


def _most_often(found: Evaluation) -> str:
    """The commonest mistake, as a sentence."""
    errors = errors_of(found)
    truth, said = np.unravel_index(errors.argmax(), errors.shape)
    most = int(errors.max())
    if not most:
        return "There is none."
    again = int((errors == most).sum()) - 1
    others = f", and {again} other pair{'s' if again > 1 else ''} as often" if again else ""
    return f"The commonest: {truth} read as {said} ({'once' if most == 1 else f'{most:,} times'}{others})."


def _answers(answers: Answers | None) -> list[Picture]:
    if answers is None:
        why = f"{_NOTHING_HELD_OUT}.".capitalize()
        return [Picture("predictions", "What it says", why, None), Picture("mistakes", "Its worst mistakes", why, None)]
    mistakes = png(draw_mistakes(answers, "held-out rows"))
    caption = _MISTAKES if len(answers.mistakes()) else "It made none."
    return [
        Picture("predictions", "What it says", _PREDICTIONS, png(draw_predictions(answers, "held-out rows"))),
        Picture("mistakes", "Its worst mistakes", caption, mistakes),
    ]
