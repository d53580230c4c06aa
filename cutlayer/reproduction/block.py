"""What a page is made of: text, tables and figures, as Markdown and as HTML."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Text:
    """A paragraph; in it, *slanted*, **strong** and `code`."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of texts under heads."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A drawing and what it shows."""

    name: str
    """Of its file, without an ending."""
    caption: str
    data: bytes
    kind: str = "svg"
    """``svg`` or ``png``."""


Block = Text | Table | Figure
_STRONG, _SLANTED = re.compile(r"\*\*(.+?)\*\*"), re.compile(r"(?<!\*)\*([^*]+)\*(?!\*)")
_CODE = re.compile(r"`([^`]+)`")


def markdown(block: Block, place: Callable[[Figure], str]) -> str:
    """The block as Markdown; ``place`` puts a figure somewhere and says where."""
    if isinstance(block, Text):
        return block.text
    if isinstance(block, Figure):
        return f"![{block.caption}]({place(block)})\n\n*{block.caption}*"
    lines = [f"| {' | '.join(row)} |" for row in (block.heads, *block.rows)]
    return "\n".join([lines[0], "|" + "---|" * len(block.heads), *lines[1:]])


def html(block: Block) -> str:
    """The block as HTML, with figures in it."""
    if isinstance(block, Text):
        slanted = _SLANTED.sub(r"<em>\1</em>", _CODE.sub(r"<code>\1</code>", escape(block.text)))
        return "<p>" + _STRONG.sub(r"<strong>\1</strong>", slanted) + "</p>"
    if isinstance(block, Figure):
        kind = "svg+xml" if block.kind == "svg" else block.kind
        address = f"data:image/{kind};base64,{base64.b64encode(block.data).decode()}"
        caption = escape(block.caption)
        return f'<figure><img src="{address}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    heads = "".join(f"<th>{escape(head)}</th>" for head in block.heads)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in block.rows)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
