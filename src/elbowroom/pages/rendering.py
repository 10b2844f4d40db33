"""A template and its content as one page of HTML, with nothing fetched and nothing run but a few lines of script."""

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["rendered"]

_OPTION = re.compile(r"(?<=\s)(--[a-z][a-z-]*)")  # which no line is to break after its first dash
_TEMPLATES = Path(__file__).parent / "templates"


def rendered(template: str, content: Mapping[str, Any]) -> str:
    """A page.

    Parameters
    ----------
    template : str
        Name of a file in the folder of templates.
    content : mapping of str to Any
        What the template names.

    Returns
    -------
    str
        HTML.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup, escape

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # The figures escape their own text; everything else is escaped by the template.
    environment.filters["svg"] = Markup
    environment.filters["command"] = lambda text: Markup(
        _OPTION.sub(r'<span class="whole">\1</span>', str(escape(text)))
    )
    page = environment.get_template(template).render(
        style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}", **content
    )
    # A value stays on one line with its error and with its per cent.
    return re.sub(r"(?<=\d) %", "\u00a0%", page.replace(" ± ", "\u00a0±\u00a0"))
