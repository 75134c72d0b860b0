"""
Finds and masks secrets: under the names of keys, by their shape, and inside text and JSON.
"""

import bisect
import itertools
import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from collector.decode.redaction.findings import Findings, is_mark
from collector.decode.redaction.names import (
    LEFT,
    NUMERIC_LONG,
    NUMERIC_SHORT,
    PARAMETERS,
    SHORT,
    Names,
    compile_pattern,
)
from collector.decode.redaction.sentences import looks_random
from collector.decode.redaction.texts import Texts, find_in_command, is_plain

# the length of a value in 1 to 4 bytes, then the tag of a text, array, list or bytes AnyValue
_LENGTH = r"[\x80-\xff]{0,3}[\x00-\x7f]"
_KEY_END = r"[-\w.]*\x12"
_PAIR_NAMES = ("name", "key", "header", "field", "k", "parameter")
PAIR_VALUES = frozenset(("value", "val", "v", "values", "content", "data"))
# the private parts of a JSON Web Key (RFC 7518)
_JWK_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "k"))
# what Kubernetes keeps in a Secret, and MongoDB's proof of a password
_MANIFEST = frozenset(("data", "stringData"))
_SASL = frozenset(("payload",))
# an argument of GraphQL and the variable that is given for it
_ARGUMENT = re.compile(r"(\w+)\s*:\s*\$(\w+)")
_HALF = re.compile("[\\ud800-\\udfff]")
_MAX_JSON_CHARS = 1024 * 1024
_MAX_COMMAND_BYTES = 64 * 1024


class Secrets:
    """
    The rules, with more exact key names and patterns of the operator's.

    `signs` is searched for first, in serialized messages: without one there is nothing to mask.
    The states of `in_otlp` and `in_records`, which tell that there is, and of which item, do not
    fit into a processor's cache: they take twice as long where bytes are new to them. In a request
    of 500 spans every other time a sign stands by chance: two random bytes that spell `pw`.
    """

    def __init__(
        self,
        extra_keys: Sequence[str] = (),
        allowed_keys: Sequence[str] = (),
        patterns: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.names = Names(extra_keys, allowed_keys)
        self._texts = Texts(self.names, patterns)
        exact, words = self.names.exact, self.names.words
        key = rf"(?:(?:{exact})\x12|(?:{words}){_KEY_END}|{LEFT}(?:{SHORT})\x12)"
        camel = r"(?-i:[a-z](?:Pass|Pw|Pin|Otp|Auth|Psk|Cvv|Cvc|Ssn|Creds))\x12"
        number = (
            rf"(?:(?:{NUMERIC_LONG}){_KEY_END}|{LEFT}(?:{NUMERIC_SHORT})\x12){_LENGTH}[\x18\x21]"
        )
        query = rf"query\x12{_LENGTH}\x0a{_LENGTH}(?:{PARAMETERS})="
        name = rf"(?:(?:{exact})|(?:{words})[-\w.]*)"
        pair = rf"(?:name|key)\x12{_LENGTH}\x0a{_LENGTH}[-\w.]*{name}"
        listed = rf"(?:{name}|-key)\x0a{_LENGTH}\x0a{_LENGTH}"
        shapes = self._texts.shapes
        self.signs = compile_pattern(*self._texts.signs, query, rf"-key\x0a{_LENGTH}\x0a")
        value = rf"(?:{key}|{camel}){_LENGTH}[\x0a\x2a\x32\x3a]"
        self.shapes = (value, number, query, pair, listed, *shapes)
        self.in_otlp = compile_pattern(*self.shapes)
        self.in_records = compile_pattern(key, camel, *shapes)
        self.in_text = compile_pattern(*shapes)

    def is_secret_key(self, key: str) -> bool:
        """Tell whether the value under *key* is a secret whatever it looks like."""
        return self.names.is_secret(key)

    def mask_text(self, text: str, found: Findings, key: str = "") -> str:
        """
        Mask the secrets inside *text*, the value of *key*, and count them by kind in *found*.

        A query parameter keeps its name and a URL its host. JSON is masked by its structure.
        """
        if key.endswith("query"):
            return self.mask_text("?" + text, found)[1:]
        data = text.encode("utf-8", "replace")
        if not self.in_text.search(data):
            return text
        if text.lstrip()[:1] in ("{", "[") and len(text) <= _MAX_JSON_CHARS:
            masked = self._mask_json(text, found)
            if masked is not None:
                return masked
        spans = self._texts.find(data, are_cards_ids=self.names.is_id(key))
        if not spans:
            return text
        parts: list[bytes] = []
        at = 0
        for start, end, kind in spans:
            parts += (data[at:start], found.hide(kind, data[start:end]).encode())
            at = end
        parts.append(data[at:])
        return b"".join(parts).decode("utf-8", "replace")

    def mask_value(self, text: str, found: Findings) -> str:
        """Mask *text*, which stands under a secret key."""
        if not text or is_mark(text) or text.lower() in ("true", "false"):
            return text
        return found.hide("key", text)

    def _mask_json(self, text: str, found: Findings) -> str | None:
        try:
            document = json.loads(text, object_pairs_hook=_read_object)
            masked = self.mask_document(document, found)
        except (ValueError, RecursionError):
            return None
        if masked == document:
            return text
        written = json.dumps(masked, ensure_ascii=False, separators=(",", ":"))
        # an escape such as \ud800 is half a character, which only an escape can spell
        return json.dumps(masked, separators=(",", ":")) if _HALF.search(written) else written

    def mask_document(self, value: Any, found: Findings, key: str = "") -> Any:
        """Return a JSON value, found under *key*, with its secrets masked."""
        if isinstance(value, str):
            return self.mask_text(value, found, key)
        if isinstance(value, list):
            return self._mask_list(value, found, key)
        if not isinstance(value, dict):
            return value
        value = self._mask_variables(value, found)
        hidden = _hidden_beside(value)
        is_pair = self.hides_pair(value)
        return {
            self.mask_text(name, found): self._mask_leaves(each, found, name)
            if name in hidden
            or (is_pair and name.lower() in PAIR_VALUES)
            or (self.is_secret_key(name) and not self._is_open(name, each))
            else self.mask_document(each, found, name)
            for name, each in value.items()
        }

    def _mask_variables(self, value: dict[str, Any], found: Findings) -> dict[str, Any]:
        """Mask variables of a GraphQL request that are given for arguments with secret names."""
        query, variables = value.get("query"), value.get("variables")
        if not isinstance(query, str) or not isinstance(variables, dict):
            return value
        hidden = {
            variable
            for argument, variable in _ARGUMENT.findall(query)
            if variable in variables and self.is_secret_key(argument)
        }
        masked = {name: self._mask_leaves(variables[name], found, name) for name in hidden}
        return {**value, "variables": {**variables, **masked}} if hidden else value

    def _is_open(self, name: str, value: Any) -> bool:
        """Tell whether *value* says of a secret what kind it is: `auth: {type: basic}`."""
        if not self.names.is_short(name):
            return False
        return isinstance(value, dict) or (isinstance(value, str) and is_plain(value))

    def hides_pair(self, value: dict[str, Any]) -> bool:
        """Tell whether an object is a name and a value, as some write headers, of a secret."""
        return any(
            isinstance(each, str)
            and (
                (name.lower() in _PAIR_NAMES and self.is_secret_key(each))
                or (name in ("type", "label") and self.names.is_numeric(each))
            )
            for name, each in value.items()
        )

    def _mask_list(self, values: list[Any], found: Findings, key: str) -> list[Any]:
        are_pairs = bool(values) and all(
            isinstance(each, list) and len(each) == 2 and isinstance(each[0], str)
            for each in values
        )
        hidden = self.find_hidden(values)
        masked = []
        for index, each in enumerate(values):
            if index in hidden:
                masked.append(self._mask_leaves(each, found, key))
            elif are_pairs and self.is_secret_key(each[0]):
                name = self.mask_text(each[0], found)
                masked.append([name, self._mask_leaves(each[1], found, each[0])])
            else:
                masked.append(self.mask_document(each, found, key))
        return masked

    def find_hidden(self, values: Sequence[Any]) -> frozenset[int]:
        """
        Return which of *values* are secrets because of what stands before them.

        `["--password", "x"]` is a command, `["Authorization", "x", "Accept", "y"]` are headers,
        name by name. A value that is a plain word is none: lists of names look like that.
        """
        hidden = set()
        for index, (name, value) in enumerate(zip(values, values[1:], strict=False)):
            if not isinstance(name, str) or len(name) > 80 or not isinstance(value, str | list):
                continue
            if name.startswith("-"):
                is_value = isinstance(value, str) and value[:1] != "-"
            else:
                is_place = index % 2 == 0 and len(values) % 2 == 0
                is_name = len(values) == 2 or self.names.is_header(name)
                is_value = is_place and is_name and not _is_word(value)
            is_random = name in ("-key", "--key") and looks_random(str(value).encode())
            if is_value and (is_random or self.is_secret_key(name.lstrip("-"))):
                hidden.add(index + 1)
        return frozenset(hidden | _find_in_command(values))

    def _mask_leaves(self, value: Any, found: Findings, key: str) -> Any:
        """Return a JSON value under a secret *key* with every text in it masked."""
        if isinstance(value, str):
            return self.mask_value(value, found)
        if isinstance(value, list):
            return [self._mask_leaves(each, found, key) for each in value]
        if isinstance(value, dict):
            return {
                self.mask_text(name, found): self._mask_leaves(each, found, key)
                for name, each in value.items()
            }
        if isinstance(value, int | float) and not isinstance(value, bool):
            return found.hide("key", str(value)) if self.names.is_numeric(key) else value
        return value


def _hidden_beside(value: dict[str, Any]) -> frozenset[str]:
    """Return the names in an object that are secrets because of what it says that it is."""
    if "kty" in value:
        return _JWK_PRIVATE
    if value.get("kind") == "Secret":
        return _MANIFEST
    return _SASL if "saslStart" in value or "saslContinue" in value else frozenset()


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError for a name that is there twice: the first value would go unseen."""
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a name is there twice")
    return read


def _find_in_command(values: Sequence[Any]) -> set[int]:
    """Return which of *values* are secrets if they are the words of a command."""
    if not any(isinstance(each, str) and each[:1] == "-" for each in values):
        return set()
    words = [each.encode("utf-8", "replace") if isinstance(each, str) else b"" for each in values]
    begins = list(itertools.accumulate((len(word) + 1 for word in words), initial=0))
    found = find_in_command(b" ".join(words)[:_MAX_COMMAND_BYTES])
    return {bisect.bisect_right(begins, start) - 1 for start, _ in found}


def _is_word(value: Any) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= 32
        and re.fullmatch("[A-Za-z_-]+", value) is not None
    )


@cache
def built_in() -> Secrets:
    """Return the rules without any of the operator's; building them takes 70 ms."""
    return Secrets()
