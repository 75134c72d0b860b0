"""
An account as Markdown, for a ticket or a chat.
"""

import re
from collections.abc import Mapping
from typing import Any

from collector.printable import printable
from collector.query.timelines.explanation import SECTIONS, Explanation, Sentence

# Characters that could start markup, a link or a mention inside a name that a sender chose.
# An underscore inside a word starts nothing and stays readable.
_BREAKS = re.compile(r"[\t\n\r\v\f]+")
_SPECIAL = re.compile(r"([\\`*\[\]<>|~]|(?<!\w)_|_(?!\w))")


def write_explanation(account: Explanation) -> str:
    """Return the account with a heading per section; each statement ends in its rule and ids."""
    lines = [f"# {_escape(account.title)}", ""]
    lines.append(f"Request `{_code(account.id)}`, {account.state}, revision {account.revision}.")
    for section, heading in SECTIONS.items():
        told = [sentence for sentence in account.sentences if sentence.section == section]
        if not told:
            continue
        lines += ["", f"## {heading}", ""]
        for sentence in told:
            basis = " ".join(f"`{_code(word)}`" for word in (sentence.rule, *sentence.refs))
            lines.append(f"- {_escape(sentence.text)} ({basis})")
    return "\n".join(lines) + "\n"


def read_explanation(document: Mapping[str, Any]) -> Explanation:
    """Return the account of a document of `GET /api/v1/requests/{id}/explain`."""
    return Explanation(
        id=document["id"],
        title=document["title"],
        state=document["state"],
        revision=document["revision"],
        sentences=tuple(
            Sentence(each["section"], each["text"], each["rule"], tuple(each["refs"]))
            for each in document["sentences"]
        ),
    )


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", _one_line(text))


def _code(text: str) -> str:
    return _one_line(text).replace("`", "'")


def _one_line(text: str) -> str:
    return printable(_BREAKS.sub(" ", text))
