"""How a model is made int8: a choice that can be written down and made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from edge_digits.errors import InputError, UsageError

Method = Literal["minmax", "entropy", "percentile"]
Activation = Literal["uint8", "int8"]
Weight = Literal["int8", "uint8"]
WeightBits = Literal[7, 8]


@dataclass(frozen=True)
class QuantizationChoice:
    """How an fp32 model is made int8. Raises ValueError for what cannot be."""

    calibration: int = 1000
    """Training tiles that the ranges are measured on, the same number of each digit."""
    method: Method = "minmax"
    """From the values seen to a range: all of them, the range that loses least information, or all but the outermost
    hundred-thousandth."""
    activation: Activation = "uint8"
    """What layers pass on."""
    weight: Weight = "int8"
    weight_bits: WeightBits = 7
    """With 8, AVX2 processors without VNNI answer wrongly, as two products of uint8 and int8 overflow their 16 bits."""
    per_channel: bool = True
    """Each output of a layer has a scale of its own for its weights."""
    float_layers: tuple[str, ...] = ()
    """Layers left in float, by their names in the graph."""
    blocks: bool = True
    """The first convolutions take 2 × 2 pixels at once, where they can: faster in onnxruntime, slower in OpenVINO."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            allowed = get_args(kind)
            if allowed and name != "float_layers" and getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not one of {', '.join(map(str, allowed))}")
        if self.calibration < 10:
            raise ValueError(f"calibration is {self.calibration!r}: there must be a tile of each digit at least")
        if (self.activation, self.weight) == ("int8", "uint8"):
            raise ValueError("no runtime multiplies int8 activations by uint8 weights")

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> QuantizationChoice:
        """From what `as_dict` gave. Raises ValueError where it is anything else."""
        try:
            kinds = {"calibration": int, "weight_bits": int, "per_channel": bool, "float_layers": list, "blocks": bool}
            if any(type(plain[name]) is not kind for name, kind in kinds.items() if name in plain):
                raise TypeError("a value of another type")
            return cls(**{**plain, "float_layers": tuple(plain.get("float_layers", ()))})
        except (TypeError, AttributeError) as error:
            raise ValueError(f"is no quantization choice: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "float_layers": list(self.float_layers)}

    def text(self) -> str:
        """In a few words."""
        weights = f"{self.weight} of {self.weight_bits} bits"
        parts = [f"{self.activation} × {weights}", "per channel" if self.per_channel else "per layer", self.method]
        parts += [f"{' + '.join(self.float_layers)} in float"] if self.float_layers else []
        return ", ".join([*parts, *([] if self.blocks else ["pixel by pixel"])])


def choose(proof: Path | None, calibration: int | None, method: str | None, search: bool) -> QuantizationChoice:
    """What the options --choice, --calibration, --method and --search come to. Raises UsageError and InputError."""
    if proof is not None and (calibration is not None or method is not None or search):
        raise UsageError("--choice gives a choice whole: leave --calibration, --method and --search away")
    if search and method is not None:
        raise UsageError("--search tries every method: leave --method away")
    if proof is not None:
        return read_choice(proof)
    asked = {"calibration": calibration, "method": method}
    try:
        return QuantizationChoice.from_dict({name: value for name, value in asked.items() if value is not None})
    except ValueError as error:
        raise UsageError(f"--{error}") from error


def read_choice(path: Path) -> QuantizationChoice:
    """The choice that an earlier export made, from its NAME.proof.json. Raises InputError where there is none."""
    try:
        proof = json.loads(path.read_text(encoding="utf-8"))
        return QuantizationChoice.from_dict(proof["quantization"]["choice"])
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(str(path), f"is no export's proof: {error}") from error
