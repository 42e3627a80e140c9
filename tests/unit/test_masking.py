"""What may be recorded of a handshake and of an event: the same for Python and Node.js."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from rtstt_core.masking import mask_headers, mask_json, mask_query

VECTORS = Path(__file__).parents[1] / "vectors" / "masking.json"
CASES = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=json.dumps)
def test_secrets_are_masked_as_in_the_vectors(case: dict[str, Any]) -> None:
    if "headers" in case:
        assert mask_headers(map(tuple, case["headers"])) == case["masked"]
    elif "query" in case:
        assert mask_query(parse_qs(case["query"], keep_blank_values=True)) == case["masked"]
    else:
        assert mask_json(case["json"]) == case["masked"]
