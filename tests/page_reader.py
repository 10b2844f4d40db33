"""A page as a reader of HTML finds it."""

import html.parser


class Reader(html.parser.HTMLParser):
    """Collects tags, their attributes and text, and refuses a tag that closes nothing or stays open."""

    VOID = frozenset({"meta", "img", "input", "link", "br"})

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


def words_of(page):
    return " ".join(" ".join(Reader(page).text).replace("\u00a0", " ").split())
