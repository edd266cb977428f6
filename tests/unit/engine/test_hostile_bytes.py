"""Whatever the bytes are, reading them ends in a workflow or in one DocumentError that says what is wrong."""

from __future__ import annotations

import json

import pytest

from graphcore import DocumentError, Registry, read_workflow
from graphcore.jsontext import check_json, parse_json
from tests.unit.engine.arithmetic import arithmetic

HOSTILE = {
    "nothing": (b"", "not-json"),
    "blanks": (b" \n\t", "not-json"),
    "a byte order mark alone": (b"\xef\xbb\xbf", "not-json"),
    "not JSON": (b"{nodes: 1}", "not-json"),
    "cut off": (b'{"graphcore": 1, "nodes": {', "not-json"),
    "two documents": (b"{} {}", "not-json"),
    "not UTF-8": (b'{"a": "\xff"}', "not-utf8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not-utf8"),
    "lists 10^5 deep": (b"[" * 10**5, "too-deep"),
    "lists 10^5 deep and closed": (b"[" * 10**5 + b"]" * 10**5, "too-deep"),
    "objects 10^5 deep": (b'{"a":' * 10**5, "too-deep"),
    "lists 300 deep": (b"[" * 300 + b"]" * 300, "too-deep"),
    "NaN": (b'{"a": NaN}', "not-finite"),
    "Infinity": (b'{"a": -Infinity}', "not-finite"),
    "1e400": (b'{"a": 1e400}', "not-finite"),
    "10^4 digits": (b'{"a": ' + b"9" * 10**4 + b"}", "integer-too-large"),
    "65 bits": (b'{"a": 18446744073709551616}', "integer-too-large"),
    "a key twice": (b'{"a": 1, "a": 2}', "duplicate-key"),
    "half a surrogate pair": (rb'{"a": "\ud800"}', "lone-surrogate"),
    "half a surrogate pair in a key": (rb'{"\udfff": 1}', "lone-surrogate"),
    "a list": (b"[]", "unknown-shape"),
    "null": (b"null", "unknown-shape"),
    "a number": (b"7", "unknown-shape"),
    "text": (b'"workflow"', "unknown-shape"),
    "an empty object": (b"{}", "unknown-shape"),
    "some other object": (b'{"name": "x", "version": 2}', "unknown-shape"),
    "a format from the future": (b'{"graphcore": 2, "nodes": {}}', "unknown-format-version"),
    "true as a version": (b'{"graphcore": true, "nodes": {}}', "unknown-format-version"),
    "no nodes": (b'{"graphcore": 1}', "missing-nodes"),
    "nodes that are text": (b'{"graphcore": 1, "nodes": "all"}', "missing-nodes"),
    "a picture's first bytes": (b"\x89PNG\r\n\x1a\n", "*"),
}


@pytest.mark.parametrize(("data", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_end_in_one_clear_error(data: bytes, code: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_workflow(data, Registry())
    assert code in ("*", caught.value.code)
    assert len(caught.value.message) < 300
    json.dumps(caught.value.as_json()).encode()


def test_too_many_bytes_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(DocumentError) as caught:
        parse_json(b"[" + b" " * 100 + b"]", max_bytes=50)
    assert caught.value.code == "document-too-large"


def test_a_byte_order_mark_is_no_fault() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert parse_json('\ufeff{"a": 1}') == {"a": 1}


def test_the_bounds_of_64_bits_are_numbers() -> None:
    assert parse_json(b"[-9223372036854775808, 18446744073709551615]") == [-(2**63), 2**64 - 1]


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert parse_json(rb'"\ud83d\ude00"') == "\U0001f600"


def test_a_parsed_document_is_held_to_the_same_rules() -> None:
    looped: list[object] = []
    looped.append(looped)
    for value, code in (
        ({1: 2}, "not-json"),
        ({"a": object()}, "not-json"),
        ({"a": b"bytes"}, "not-json"),
        ({"a": float("nan")}, "not-finite"),
        ({"a": 10**5000}, "integer-too-large"),
        ({"a": "\ud800"}, "lone-surrogate"),
        ({"a": looped}, "too-deep"),
    ):
        with pytest.raises(DocumentError) as caught:
            check_json(value)
        assert caught.value.code == code


def test_a_file_that_cannot_be_read_is_told_by_name(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DocumentError) as caught:
        read_workflow(tmp_path / "nowhere.json", arithmetic())
    assert caught.value.code == "unreadable-file"
    assert "nowhere.json" in caught.value.message
