"""Read config.pbtxt by the schema of Triton: `triton_reader.py FILE...`, in the environment of `make` .tritonclient.

Prints a JSON list of the messages, with the fields that a file leaves out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2


def read_config(path: str) -> Any:
    """The message of a file. Raises ParseError for an unknown field, a wrong type or bad syntax."""
    config = text_format.Parse(Path(path).read_text(), model_config_pb2.ModelConfig())
    return json_format.MessageToDict(config, preserving_proto_field_name=True)


if __name__ == "__main__":
    print(json.dumps([read_config(path) for path in sys.argv[1:]]))
