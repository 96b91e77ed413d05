"""How Sphinx builds the site. `make docs` gathers the sources first: see make_site.py."""

import re
from typing import Any

from docutils import nodes
from pygments.lexers import TextLexer
from sphinx.application import Sphinx

project = "Retention"
author = "the authors of retention"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

nb_execution_mode = "off"  # they come with their output
nb_merge_streams = True
myst_heading_anchors = 4  # links to headings, as GitHub names them

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_google_docstring = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

smartquotes = False  # terms and names stay as they are written

html_theme = "furo"
html_title = "Retention"
html_static_path = ["style.css"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False  # LICENSE says it
html_theme_options = {"navigation_with_keys": False}

ANCHOR = re.compile(r'<a id="([^"]+)">')
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
SIGN = re.compile(r"(?<!^)[*|]|(?<=\w)_(?!\w)")  # a star that begins a line makes a list
# of these, napoleon reads what stands before a colon in the first line as a type
VALUES = ("attribute", "data", "property")
EXAMPLE = re.compile(r"(?ms)^ *>>> .*?(?:\n\s*\n|\Z)")


def anchors(app: Sphinx, tree: nodes.document) -> None:
    """Make `<a id>` in Markdown a place that links of any page may lead to."""
    domain: Any = app.env.get_domain("std")
    for node in tree.findall(nodes.raw):
        for name in ANCHOR.findall(node.astext()):
            domain.anonlabels[name] = (app.env.docname, name)
            domain.labels[name] = (app.env.docname, name, name)


def plain(_app: Sphinx, what: str, _name: str, _of: Any, _options: Any, lines: list[str]) -> None:
    """Turn a docstring into reStructuredText, in place: what stands between backticks is code, no
    other sign means anything, and examples stay as they are.
    """
    text = "\n".join(lines)
    examples = EXAMPLE.findall(text)
    prose = [_prose(part) for part in EXAMPLE.split(text)]
    parts = [part for pair in zip(prose, [*examples, ""], strict=True) for part in pair]
    lines[:] = "".join(parts).split("\n")
    if what in VALUES:
        lines.insert(0, "")


def _prose(text: str) -> str:
    parts = CODE.split(text)
    parts[::2] = [SIGN.sub(r"\\\g<0>", part) for part in parts[::2]]
    parts[1::2] = [f"``{' '.join(part.split())}``" for part in parts[1::2]]
    return "".join(parts)


def setup(app: Sphinx) -> None:
    app.add_lexer("cron", TextLexer)  # no grammar is known for it
    app.connect("doctree-read", anchors)
    app.connect("autodoc-process-docstring", plain, priority=100)  # before napoleon
