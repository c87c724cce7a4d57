"""The page around everything, by Jinja2."""
import os

import jinja2

TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(os.path.dirname(os.path.abspath(__file__))), autoescape=True,
                               trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)


def whole_page(title, body="", pages=()):
    """The page as text: `body` is HTML already; `pages` are the dictionaries that pages.page_of makes."""
    return TEMPLATES.get_template("page.html").render(title=title, body=jinja2.utils.markupsafe.Markup(body), pages=pages)
