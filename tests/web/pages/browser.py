"""A browser without JavaScript: it keeps cookies, says where its forms come from, and sees what a page holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any, Self
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

ORIGIN = "https://pages.example"
VOID = {"meta", "link", "input", "br", "img", "hr"}
Values = Mapping[str, str | Sequence[str]]


@dataclass
class Element:
    """An element, with everything in it."""

    tag: str
    attributes: dict[str, str]
    children: "list[Element | str]" = field(default_factory=list)

    @property
    def text(self) -> str:
        """What it reads, with single spaces."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> list[str]:
        return [piece for child in self.children for piece in ([child] if isinstance(child, str) else child._texts())]

    def all(self, tag: str | None = None, **attributes: str) -> "list[Element]":
        """Elements inside, in order; `for_` and `class_` mean `for` and `class`, `aria_label` means `aria-label`."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        found: list[Element] = []
        for child in self.children:
            if isinstance(child, Element):
                fits = all(child.attributes.get(name) == value for name, value in wanted.items())
                found += [child] if fits and tag in {None, child.tag} else []
                found += child.all(tag, **attributes)
        return found

    def one(self, tag: str | None = None, **attributes: str) -> "Element":
        """The only one."""
        found = self.all(tag, **attributes)
        assert len(found) == 1, (tag, attributes, [one.attributes for one in found])
        return found[0]

    def find(self, tag: str | None = None, **attributes: str) -> "Element | None":
        """The only one, or none."""
        return self.one(tag, **attributes) if self.all(tag, **attributes) else None


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute of {tag} came twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> ends <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    @classmethod
    def read(cls, text: str) -> Element:
        """A whole document, in which every element that is opened is closed."""
        parser = cls()
        parser.feed(text)
        parser.close()
        assert len(parser._open) == 1, f"<{parser._open[-1].tag}> is never closed"
        return parser.root


class Page:
    """An answer as somebody sees it."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.status = response.status_code
        self.headers = response.headers
        self.path = response.request.url.raw_path.decode()
        self.root = _Parser.read(response.text)

    @property
    def heading(self) -> str:
        """The h1."""
        return self.root.one("h1").text

    @property
    def problem(self) -> str:
        """The sentence of the alert; empty if there is none."""
        found = self.root.find(role="alert")
        return "" if found is None else found.one("strong").text

    @property
    def notice(self) -> str:
        """What was done; empty if nothing is told."""
        found = self.root.find(role="status")
        return "" if found is None else found.text

    @property
    def wrong(self) -> list[str]:
        """The names of the inputs that are marked as wrong."""
        return [one.attributes["name"] for one in self.root.all("input", aria_invalid="true")]

    def value(self, name: str) -> str:
        """What stands in an input."""
        return self.root.one("input", name=name).attributes.get("value", "")

    def ticked(self, name: str) -> list[str]:
        """The values of the boxes of that name that are ticked."""
        boxes = self.root.all("input", name=name, type="checkbox")
        return [box.attributes["value"] for box in boxes if "checked" in box.attributes]

    def form(self, action: str, method: str | None = None) -> Element:
        """The form that is sent to an address that begins so, and with that method."""
        forms = self.root.all("form") if method is None else self.root.all("form", method=method)
        found = [form for form in forms if form.attributes["action"].startswith(action)]
        assert len(found) == 1, [form.attributes for form in self.root.all("form")]
        return found[0]

    def links(self) -> dict[str, str]:
        """Words → address, inside the main part."""
        return {link.text: link.attributes["href"] for link in self.root.one("main").all("a")}


class Browser:
    """It follows redirects of its own site, and refuses to leave it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []
        """The Set-Cookie headers of the last visit, those of its redirects included."""
        self.path: list[str] = []
        """Where the last visit led, one address after the other."""

    def copy(self) -> Self:
        """Another window's browser with the same cookies from now on."""
        other = type(self)(self.http)
        other.cookies = dict(self.cookies)
        return other

    async def get(self, path: str, *, follow: bool = True) -> Page:
        """Open a page."""
        self.set_cookies, self.path = [], [path]
        return await self._follow(await self._send("GET", path, {"Sec-Fetch-Site": "none"}), follow=follow)

    async def post(
        self, path: str, values: Values, *, headers: Mapping[str, str] | None = None, follow: bool = True
    ) -> Page:
        """Send a form from a page of the site."""
        self.set_cookies, self.path = [], [path]
        own = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
        content = urlencode(values, doseq=True)
        given = own if headers is None else {"Content-Type": own["Content-Type"], **headers}
        return await self._follow(await self._send("POST", path, given, content), follow=follow)

    async def fill(
        self,
        page: Page,
        action: str,
        values: Values | None = None,
        *,
        press: str | None = None,
        method: str | None = None,
        follow: bool = True,
    ) -> Page:
        """Send one of the page's forms with these values in place of those that stand in it.

        Args:
            page: where the form is.
            action: how its address begins.
            values: by the names of inputs; a list ticks exactly these boxes.
            method: `get` or `post`, where two forms go to one address.
            press: the value of the button named `do`; None: the first one, as the Enter key does.
            follow: whether to follow redirects.
        """
        form = page.form(action, method)
        sent: dict[str, Any] = {}
        for element in form.all():
            name = element.attributes.get("name")
            if element.tag == "input" and name:
                box = element.attributes.get("type") == "checkbox"
                if not box or "checked" in element.attributes:
                    sent.setdefault(name, []).append(element.attributes.get("value", "on" if box else ""))
            elif element.tag == "select" and name:
                options = element.all("option")
                chosen = [one for one in options if "selected" in one.attributes] or options[:1]
                sent[name] = [chosen[0].attributes["value"]]
        buttons = [one for one in form.all("button", type="submit") if one.attributes.get("name") == "do"]
        if buttons:
            presses = [one.attributes["value"] for one in buttons]
            assert press is None or press in presses, presses
            sent["do"] = press if press is not None else presses[0]
        unknown = (values or {}).keys() - {element.attributes.get("name") for element in form.all()}
        assert not unknown, f"the form has no {unknown}"
        sent |= values or {}
        if form.attributes.get("method", "get") == "get":
            return await self.get(f"{form.attributes['action']}?{urlencode(sent, doseq=True)}")
        return await self.post(form.attributes["action"], sent, follow=follow)

    async def log_in(self, username: str, password: str, *, path: str = "/auth/login/") -> Page:
        """As somebody does who comes by."""
        page = await self.get(path)
        return await self.fill(page, "/auth/login/", {"username": username, "password": password})

    async def _send(
        self, method: str, path: str, headers: dict[str, str], content: str | None = None
    ) -> httpx.Response:
        self.http.cookies.clear()  # those of each browser are its own
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        response = await self.http.request(method, path, headers=headers, content=content)
        for text in response.headers.get_list("set-cookie"):
            self.set_cookies.append(text)
            ((name, morsel),) = SimpleCookie(text).items()
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value
        return response

    async def _follow(self, response: httpx.Response, *, follow: bool) -> Page:
        while follow and response.is_redirect:
            target = urlsplit(urljoin(str(response.request.url), response.headers["location"]))
            assert f"{target.scheme}://{target.netloc}" == ORIGIN, f"led away to {target.geturl()}"
            path = f"{target.path}?{target.query}" if target.query else target.path
            self.path.append(path)
            response = await self._send("GET", path, {"Sec-Fetch-Site": "same-origin"})
        return Page(response)
