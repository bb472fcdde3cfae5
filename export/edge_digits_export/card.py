"""A model's card: what a person wants to know before using it."""

from __future__ import annotations

import textwrap
from typing import Any

_MNIST = {"train.csv", "mnist", "mnist.npz", "mnist-5k"}
"""Names of data whose rows are MNIST's, in one order or another."""
_WORST = 3
"""Mistakes that are told, the most frequent first."""


def card(name: str, entry: dict[str, Any], parity: dict[str, Any]) -> str:
    """The card in Markdown, from a model's entry in the manifest and the parity of its proof."""
    return f"{_head(name, entry)}\n\n{_list(_facts(entry, parity))}\n"


def renew_card(name: str, entry: dict[str, Any], before: str) -> str:
    """The card of a model whose files were made anew, from that `before`: what was measured of its answers stays."""
    _, start, facts = before.partition("\n- **Trained**: ")
    kept = f"{start}{facts}".strip().partition("\n- **Licence**: ")[0]
    return f"{_head(name, entry)}\n\n{kept}\n{_list(_made_by(entry))}\n"


def _head(name: str, entry: dict[str, Any]) -> str:
    """What it is, and how large, good and fast its files are."""
    data, latency = entry.get("measured", entry["source"]["data"]), entry["latency"]
    refit = ""
    if entry["source"].get("refit") and data["compared_rows_were"] == "held out":
        refit = f" from the same training on the other {data['training_rows']:,}, which came before this one on all"
    rows = [_file_row(entry, precision) for precision in entry["files"]]
    parts = [
        f"# {name} {entry['version']}",
        _fill(
            "Reads one handwritten digit, 0 to 9, on a 28 × 28 tile framed as MNIST frames its digits: ink bright on "
            "black, the longest side 20 pixels, the centre of mass in the middle. "
            f"{entry['parameters']:,} parameters, {entry['multiply_adds']:,} multiply-adds for a tile. "
            f"`{name}` alone means `{name}-{entry['prefers']}`."
        ),
        "\n".join(["| file | bytes | right (95 % interval) | µs a tile |", "| --- | --- | --- | --- |", *rows]),
        _fill(
            f"Measured on {data['compared_rows']:,} rows of {data['name']}, {data['compared_rows_were']}{refit}. Times "
            "are the median for one tile on one thread, where it was exported: the ratio "
            f"{latency['ratio_fp32_to_int8']:.2f} of fp32 to int8 is worth more than the microseconds."
        ),
    ]
    return "\n\n".join(parts)


def _list(facts: dict[str, str]) -> str:
    return "\n".join(
        textwrap.fill(f"- **{heading}**: {text}", 120, subsequent_indent="  ", **_WHOLE_WORDS)
        for heading, text in facts.items()
    )


_WHOLE_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def _fill(text: str) -> str:
    return textwrap.fill(text, 120, **_WHOLE_WORDS)


def _facts(entry: dict[str, Any], parity: dict[str, Any]) -> dict[str, str]:
    differ = parity["fp32_int8"]
    return {
        "Trained": _training(entry["source"]),
        "Confidence": _confidence(entry),
        "int8 against fp32": (
            f"another digit on {differ['different_digits']:,} of {differ['rows']:,} rows; a probability differs by "
            f"{differ['max_difference']:.2g} at most, by {differ['mean_difference']:.2g} on average."
        ),
        "No digit": _rejection(entry),
        "Bad at": (
            f"{_mistakes(parity[entry['prefers']])} It knows tiles framed as above alone: a digit that is cut off, "
            "turned over or touched by another is read badly."
        ),
        **_made_by(entry),
    }


def _made_by(entry: dict[str, Any]) -> dict[str, str]:
    return {
        "Licence": f"MIT. {_data_licence(entry['source']['data']['name'])}",
        "Tools": ", ".join(f"{tool} {number}" for tool, number in entry["tools"].items()) + ".",
    }


def _file_row(entry: dict[str, Any], precision: str) -> str:
    file, figure = entry["files"][precision], entry["files"][precision]["accuracy"]
    low, high = (100 * end for end in figure["interval"])
    return (
        f"| `{file['file']}` | {file['bytes']:,} | {100 * figure['accuracy']:.2f} % ({low:.2f} to {high:.2f}, "
        f"n = {figure['n']:,}) | {entry['latency'][f'{precision}_us']:.0f} |"
    )


def _training(source: dict[str, Any]) -> str:
    data = source["data"]
    how = "a network that was trained elsewhere"
    if "recipe" in source:
        how = f"recipe `{source['recipe']}`, seed {source['seed']}, {source['passes']} passes"
    rows = f"{data['training_rows']:,} rows of {data['name']}"
    text = f"{how}, on {rows} (SHA-256 of its pixels and labels `{data['sha256']}`)."
    if source.get("start"):
        text += f" It began as the network of recipe `{source['start']}`."
    if source.get("start_file"):
        text += f" It began as the network in `{source['start_file']}`."
    if taught := source.get("teaching"):
        rows = "" if source.get("refit") else " on the same rows"
        by = f"{rows} by recipe `{taught['recipe']}` ({taught['networks']} of its networks)"
        if "teacher_file" in source:
            by = f" by `{source['teacher_file']}`"
        text += f" Taught{by}."
    if source.get("refit"):
        return f"{text} Nothing was held out, and the network after the last pass is the one."
    if source.get("pass"):
        if source.get("keep") == "last":
            return text
        text += f" Pass {source['pass']} did best on the rows held out and was kept"
        text += ", so their figure is a little kind." if data["compared_rows_were"] == "held out" else "."
    return text


def _confidence(entry: dict[str, Any]) -> str:
    text = "as trained, not calibrated."
    if entry["temperature"].get("rows"):
        text = f"calibrated by the temperature {_tempered(entry['temperature'], 'rows')}."
    of_pictures = (entry.get("digit_score") or {}).get("picture_temperature") or {}
    if of_pictures.get("rows"):
        own = entry["reader"][entry["prefers"]]["picture_temperature"]
        before = "" if own == of_pictures["value"] else f"{own:g}; that of the training that was measured is "
        found = _tempered(of_pictures, "digits on tiles of synthetic ones")
        text += f" In pictures the reader tempers it once more, by {before}{found}."
    return text


def _tempered(temperature: dict[str, Any], on: str) -> str:
    return (
        f"{temperature['value']:.4g}, fitted on {temperature['rows']:,} {on}: their loss went from "
        f"{temperature['loss_before']:.4g} to {temperature['loss_after']:.4g} nats"
    )


def _mistakes(found: dict[str, Any]) -> str:
    """The most frequent of its mistakes, from the confusion matrix."""
    pairs = [
        (count, truth, answer)
        for truth, counts in enumerate(found["confusion"])
        for answer, count in enumerate(counts)
        if truth != answer and count
    ]
    if not pairs:
        return f"it made no mistake on these {found['n']:,} rows, which says little."
    worst = [
        f"a {truth} read as {answer} ({count} of {sum(found['confusion'][truth]):,})"
        for count, truth, answer in sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:_WORST]
    ]
    return f"{found['n'] - found['correct']:,} of these {found['n']:,} rows, most often {', '.join(worst)}."


def _data_licence(name: str) -> str:
    if name in _MNIST:
        return (
            "The rows are MNIST's (train.csv has them as re-dealt for Kaggle's digit-recognizer); MNIST (Y. LeCun, C. "
            "Cortes) is available under CC BY-SA 3.0."
        )
    return f"The rows of {name} have terms of their own."


def _rejection(entry: dict[str, Any]) -> str:
    found = entry.get("digit_score")
    if found is None:
        return "what is none it reads as one all the same, often with confidence: it has no `digit_score`."
    scored, own = found["models"][entry["prefers"]], entry["reader"][entry["prefers"]]["reject_below"]
    before = "" if own == scored["threshold"] else f"; of the training that was measured, below {scored['threshold']:g}"
    text = (
        f"`digit_score` says how sure it is that a tile shows a digit at all. Below {own:g} the reader takes it for "
        f"none{before}: {100 * scored['kept_rows']:.2f} % of {found['rows']:,} rows are kept"
    )
    if found["others"]:
        text += (
            f", {100 * scored['kept_digits']:.2f} % of {found['digits']:,} digits on tiles of synthetic pictures, and "
            f"{100 * scored['rejected_others']:.1f} % of {found['others']:,} other things there are rejected"
        )
    return text + "."
