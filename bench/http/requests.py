"""Requests as programs and as browsers send them, with the headers that they bring along."""

PATH = "/resources/{number}"
COOKIE = "token"
_PROGRAM = """\
GET {path} HTTP/1.1\r
Host: 127.0.0.1:8000\r
Accept: */*\r
Accept-Encoding: gzip, deflate\r
Connection: keep-alive\r
User-Agent: python-httpx/0.28.1\r
Authorization: Bearer {token}\r
\r
"""
_BROWSER = """\
GET {path} HTTP/1.1\r
Host: 127.0.0.1:8000\r
Connection: keep-alive\r
Accept: application/json, text/plain, */*\r
Accept-Language: en-GB,en;q=0.9\r
Accept-Encoding: gzip, deflate, br, zstd\r
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r
Referer: http://127.0.0.1:8000/home\r
Sec-Fetch-Dest: empty\r
Sec-Fetch-Mode: cors\r
Sec-Fetch-Site: same-origin\r
Cookie: theme=dark; {cookie}={token}; seen=1\r
\r
"""


def by_header(number: int, token: str) -> bytes:
    """A program's request, with six headers: the token is in `Authorization`."""
    return _PROGRAM.format(path=PATH.format(number=number), token=token).encode()


def by_cookie(number: int, token: str) -> bytes:
    """A browser's request, with eleven headers: the token is one of three cookies."""
    return _BROWSER.format(path=PATH.format(number=number), token=token, cookie=COOKIE).encode()
