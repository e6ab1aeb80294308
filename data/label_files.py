"""Labels of image files from a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gan_denoise.data.image_files import check_regular, normalize
from gan_denoise.errors import InputError

MAX_BYTES = 64 * 1024**2
FILE_COLUMNS = ("file", "filename", "file_name", "filepath", "image", "path", "name")
LABEL_COLUMNS = ("label", "labels", "class", "category", "target")
HINT = "the first line names the columns: file,label or file,label,split"


class LabelRow(NamedTuple):
    """One line: its number, a file, its label, and a split in lower case, empty where there is no such column."""

    line: int
    file: str
    label: str
    split: str


def read_label_rows(path: Path) -> list[LabelRow]:
    """The lines of a CSV file with a column of files and one of labels, in any of the usual names.

    Cells are separated by commas, semicolons or tabs. Raises InputError, which names the line, for missing columns and
    empty cells.
    """
    check_regular(path)
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InputError.expected(path, f"at most {MAX_BYTES:,} bytes", f"{size:,}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            delimiter = next((mark for mark in (";", "\t") if mark in header and "," not in header), ",")
            rows = list(_parse_rows(csv.DictReader(file, delimiter=delimiter, skipinitialspace=True), path))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError.expected(path, "a CSV file in UTF-8", f"another file ({error})", HINT) from error
    if not rows:
        raise InputError.expected(path, "a line for each image", "none", HINT)
    return rows


def _parse_rows(reader: csv.DictReader[str], path: Path) -> Iterator[LabelRow]:
    columns = {name.strip().lower(): name for name in reader.fieldnames or ()}
    file, label = (_first(names, columns) for names in (FILE_COLUMNS, LABEL_COLUMNS))
    if file is None or label is None:
        raise InputError.expected(path, "columns file and label", ", ".join(columns) or "none", HINT)
    for cells in reader:
        values = [(cells.get(name) or "").strip() if name else "" for name in (file, label, columns.get("split"))]
        if not values[0] or not values[1]:
            raise InputError.expected(f"{path}, line {reader.line_num}", "a file and a label", "an empty cell", HINT)
        yield LabelRow(reader.line_num, values[0], normalize(values[1]), values[2].lower())


def _first(names: tuple[str, ...], columns: dict[str, str]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)
