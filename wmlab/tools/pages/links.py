"""The links of a folder of pages: what they name must be there, and nothing may be fetched from
elsewhere.
"""

import re
from urllib.parse import unquote, urlsplit

import bs4

FETCHED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}
HOST = re.compile(r"[\w-]+(\.[\w-]+)+(:\d+)?|localhost(:\d+)?")


def broken(folder):
    """What is wrong with the links of the pages in `folder`, a sentence each. Addresses elsewhere
    are only checked for form.
    """
    pages = {}
    for path in sorted(folder.glob("*.html")):
        pages[path.name] = bs4.BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    anchors = {name: {tag["id"] for tag in soup.select("[id]")} for name, soup in pages.items()}
    complaints = []
    for name, soup in pages.items():
        for tag in soup.select("[href], [src]"):
            fetched = FETCHED.get(tag.name)
            address = tag.get(fetched or "href", "")
            fault = _fault(address, fetched, name, anchors, folder)
            if fault:
                complaints.append(f"{name}: {fault}")
    return list(dict.fromkeys(complaints))


def _fault(address, fetched, page, anchors, folder):
    parts = urlsplit(address)
    if parts.scheme == "data" and fetched:
        return None
    if parts.scheme or parts.netloc:
        if fetched:
            return f"{address} would be fetched from elsewhere, so bring it along"
        known = (
            parts.scheme in ("http", "https")
            and HOST.fullmatch(parts.netloc)
            and " " not in address
        )
        return None if known else f"{address} is no address"
    target = unquote(parts.path) or page
    if not (folder / target).is_file() or (folder / target).resolve().parent != folder.resolve():
        return f"there is no {target}, which a link names"
    if parts.fragment and not {parts.fragment, unquote(parts.fragment)} & anchors.get(
        target, set()
    ):
        return f"there is no section {unquote(parts.fragment)} in {target}, which a link names"
    return None
