"""Change fields of a configuration: `--set FIELD=VALUE` and `--config FILE`.

A file holds the JSON that `--dry-run` prints, or some of its fields; the preset gives the others. `seed` is used where
the command line gives none. `config_sha256` must be the hash of the file's fields, so an edited file goes without it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from gan_denoise.errors import GanDenoiseError, InputError, UsageError
from gan_denoise.export.run_folder import DENOISER, GAN, JOINT, RunFolder
from gan_denoise.options import MAX_SEED
from gan_denoise.study.config import (
    SIZE_FIELDS,
    BlindDenoiserConfig,
    ConditionalGanConfig,
    Config,
    DepthwiseUNetShape,
    DnCNNShape,
    JointConfig,
    Preset,
    UNetShape,
    config_sha256,
    to_json,
)

Fields = Config | Preset | UNetShape | DnCNNShape | DepthwiseUNetShape  # dataclasses whose fields can be set
SomeFields = TypeVar("SomeFields", bound=Fields)
SomeConfig = TypeVar("SomeConfig", bound=Config)
STAGES = (GAN, DENOISER, JOINT)  # of the study
MAX_SUFFIX = 100  # characters of the changes in a folder's name


def set_fields(config: SomeFields, assignments: Iterable[str]) -> SomeFields:
    """The configuration with each `FIELD=VALUE` applied, such as `batch=32`, `widths=64,64` or `network.widths=32,64`.

    Raises UsageError if there is no such field, or its value has another type or is out of range.
    """
    return _merge(config, _tree(assignments), "--set ", UsageError)


def set_preset_fields(preset: Preset, assignments: Iterable[str]) -> Preset:
    """The preset with each `STAGE.FIELD=VALUE` applied; changes of `gan` and `denoiser` reach joint training too.

    Raises UsageError as `set_fields` does.
    """
    values = _tree(assignments)
    for stage in values:
        if stage not in STAGES:
            raise UsageError.expected("--set", f"STAGE.FIELD=VALUE, STAGE one of {', '.join(STAGES)}", stage)
    joint = {"joint": values.pop("joint")} if "joint" in values else {}
    changed = _merge(preset, values, "--set ", UsageError)
    gan, denoiser = changed.gan, changed.denoiser
    if changed.joint and isinstance(gan, ConditionalGanConfig) and isinstance(denoiser, BlindDenoiserConfig):
        together = dataclasses.replace(changed.joint, gan=gan, denoiser=denoiser)
        changed = dataclasses.replace(changed, joint=together)
    return _merge(changed, joint, "--set ", UsageError)


def with_trained_sizes(config: JointConfig, run: RunFolder) -> JointConfig:
    """The configuration with the network sizes of the run's stages, where these have networks of the same kinds.

    Raises InputError if the metadata of a stage is damaged.
    """
    current = to_json(config)
    for stage, fields in SIZE_FIELDS.items():
        meta = run.stage(stage).meta
        trained = run.stage(stage).read_fingerprint()["config"] if meta.exists() else {}
        sizes = {name: trained[name] for name in fields if name in trained}
        if all(_same_fields(sizes.get(name), current[stage][name]) for name in fields):
            config = _merge(config, {stage: sizes}, f"{meta}: ", InputError)
    return config


def _same_fields(one: Any, other: Any) -> bool:
    """Whether two values from JSON are objects with the same fields, or of the same other type."""
    return one.keys() == other.keys() if isinstance(one, dict) and isinstance(other, dict) else type(one) is type(other)


def read_config(path: Path, preset: SomeConfig) -> tuple[SomeConfig, int | None]:
    """The configuration in a file, its missing fields taken from `preset`, and the file's seed if it has one.

    Raises InputError if the file is unreadable, a field is unknown or wrong, or `config_sha256` does not match.
    """
    try:
        values = json.loads(path.read_text("utf-8-sig"))  # Windows editors write the signature
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: unreadable ({reason})", "--dry-run prints a configuration") from error
    if not isinstance(values, dict):
        raise InputError.expected(path, "a JSON object", type(values).__name__, "--dry-run prints one")
    seed, sha256 = values.pop("seed", None), values.pop("config_sha256", None)
    if seed is not None and not (_is_int(seed) and 0 <= seed <= MAX_SEED):
        raise InputError.expected(f"{path}: seed", f"a whole number from 0 to {MAX_SEED}", seed)
    config = _merge(preset, values, f"{path}: ", InputError)
    if sha256 is not None and sha256 != (actual := config_sha256(config)):
        hint = "remove config_sha256 from an edited file, and give the --preset that the file was made with"
        raise InputError.expected(f"{path}: config_sha256", f"{actual}, the hash of the fields", sha256, hint)
    return config, seed


def changed_fields(before: Fields, after: Fields, prefix: str = "") -> dict[str, str]:
    """The fields of `after` with other values than in `before`: dotted name to the text that `--set` takes."""
    changes: dict[str, str] = {}
    for field in dataclasses.fields(after):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if dataclasses.is_dataclass(new) and type(old) is type(new):
            changes |= changed_fields(old, new, f"{prefix}{field.name}.")  # type: ignore[arg-type]
        elif old != new:
            changes[prefix + field.name] = _text(new)
    repeated = {name for name, text in changes.items() if changes.get(f"joint.{name}") == text}  # by joint training
    return {name: text for name, text in changes.items() if name.removeprefix("joint.") not in repeated - {name}}


def run_name(preset: str, changes: dict[str, str]) -> str:
    """The preset's name followed by the changes: `paper-learning_rate=0.001`; a hash stands for a long list of them."""
    suffix = "".join(f"-{name}={text}" for name, text in changes.items())
    if len(suffix) > MAX_SUFFIX:
        suffix = f"-{hashlib.sha256(suffix.encode()).hexdigest()[:12]}"
    return preset + suffix


def _tree(assignments: Iterable[str]) -> dict[str, Any]:
    """`gan.batch=32` as {"gan": {"batch": 32}}; of two values for one field the last counts."""
    tree: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError.expected("--set", "FIELD=VALUE", assignment, "--set batch=32")
        *parents, name = path.strip().split(".")
        branch = tree
        for parent in parents:
            if not isinstance(branch.get(parent), dict):
                branch[parent] = {}
            branch = branch[parent]
        branch[name] = _parse(text.strip())
    return tree


def _parse(text: str) -> Any:
    """The boolean, number or list of numbers that the text is, or else the text."""
    if "," in text:
        return [_parse(part) for part in text.removesuffix(",").split(",")]
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _merge(config: SomeFields, values: dict[str, Any], where: str, error: type[GanDenoiseError]) -> SomeFields:
    """The dataclass with `values`, which may be nested, in place of its own; `where` stands before a field's name."""
    kinds = typing.get_type_hints(type(config))
    source, _, prefix = where.rpartition(" ")
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in kinds:
            hint = f"fields: {', '.join(prefix + field for field in kinds)}"
            raise error.expected(source.rstrip(":"), f"a field of {type(config).__name__}", prefix + name, hint)
        current = getattr(config, name)
        if current is None:
            raise error.expected(where + name, "a preset with this stage", "one without it", "--preset best has it")
        if not dataclasses.is_dataclass(current):
            changes[name] = _typed(kinds[name], value, where + name, error)
        elif isinstance(value, dict):
            changes[name] = _merge(current, value, f"{where}{name}.", error)  # type: ignore[type-var]
        else:
            hint = f"fields: {', '.join(f'{prefix}{name}.{field.name}' for field in dataclasses.fields(current))}"
            raise error.expected(where + name, "one of its fields", value, hint)
    try:
        return dataclasses.replace(config, **changes)
    except UsageError as refused:
        raise error(where + refused.message, refused.hint) from refused


def _typed(kind: Any, value: Any, what: str, error: type[GanDenoiseError]) -> Any:
    """The value as the field's type: bool, int, float (a whole number will do) or a tuple of ints (one will do)."""
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and _is_int(value):
        return value
    if kind is float and (_is_int(value) or isinstance(value, float)) and abs(value) <= sys.float_info.max:
        return float(value)
    sizes = typing.get_args(kind)
    if sizes:
        numbers = value if isinstance(value, list) else [value]
        if all(map(_is_int, numbers)) and (sizes[-1] is ... or len(numbers) == len(sizes)):
            return tuple(numbers)
        count = "" if sizes[-1] is ... else f"{len(sizes)} "
        raise error.expected(what, f"{count}whole numbers such as {_text((64,) * len(sizes))}", _text(value))
    names = {bool: "true or false", int: "a whole number", float: "a number"}
    raise error.expected(what, names[kind], _text(value))


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, tuple | list):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
