"""The page of a reproduction: every exhibit's tables and figures, as one HTML file or as Markdown with files beside."""

from __future__ import annotations

from html import escape
from pathlib import Path

from cutlayer.record import write_atomically
from cutlayer.reproduction.block import Figure, Text, html, markdown
from cutlayer.reproduction.found import Found
from cutlayer.reproduction.paper import Exhibit, Paper

_STYLE = """
:root { color-scheme: light dark; --line: #d6dde4; --soft: #51606e; --card: #fff; }
@media (prefers-color-scheme: dark) { :root { --line: #2b3845; --soft: #9db0c0; --card: #161e27; } }
body { font: 15px/1.55 system-ui, sans-serif; max-width: 1440px; margin: 0 auto; padding: 24px; }
h1, h2 { font-family: Charter, Georgia, serif; } h2 { margin-top: 2.2em; } p { max-width: 90ch; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); } figure { margin: 18px 0; } figcaption { color: var(--soft); font-size: 13px; }
img { background: #fff; padding: 6px; max-width: 100%; border-radius: 6px; }
"""


def write_html(path: Path, paper: Paper, found: Found, lead: str) -> None:
    """One self-contained file; ``lead`` says what was run."""
    parts = [f"<h1>{escape(paper.citation)}, measured anew</h1>", html(Text(lead))]
    parts += _paragraphs(paper.text)
    for exhibit in paper.exhibits:
        parts += [f"<h2>{escape(_title(exhibit))}</h2>", *_paragraphs(exhibit.text)]
        parts += [html(block) for block in exhibit.blocks(found)]
    head = f'<meta charset="utf-8"><title>{escape(paper.citation)}</title><style>{_STYLE}</style>'
    width = '<meta name="viewport" content="width=device-width">'
    body = "\n".join(parts)
    write_atomically(path, f"<!doctype html><html lang=en><head>{width}{head}</head><body>{body}</body></html>\n")


def write_markdown(path: Path, paper: Paper, found: Found, lead: str) -> None:
    """``path`` and, in a folder of the same name beside it, its figures."""

    def place(figure: Figure) -> str:
        name = f"{path.stem}/{figure.name}.{figure.kind}"
        write_atomically(path.parent / name, figure.data)
        return name

    parts = [f"# {paper.citation}, measured anew", lead, paper.text]
    for exhibit in paper.exhibits:
        parts += [f"## {_title(exhibit)}", exhibit.text]
        parts += [markdown(block, place) for block in exhibit.blocks(found)]
    write_atomically(path, "\n\n".join(part.strip() for part in parts if part.strip()) + "\n")


def _title(exhibit: Exhibit) -> str:
    return f"{exhibit.name.capitalize()}: {exhibit.title}"


def _paragraphs(text: str) -> list[str]:
    return [html(Text(part)) for part in text.split("\n\n")]
