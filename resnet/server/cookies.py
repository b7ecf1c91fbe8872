"""Signed cookies, out of reach of scripts and other sites."""

from __future__ import annotations

import secrets
import time
from http.cookies import CookieError, SimpleCookie

from itsdangerous import BadSignature, TimestampSigner

from resnet.server.visit import Scope


class Cookie:
    """One cookie: a random token, signed with a secret that ends with the process.

    Args:
        name: told apart by port too, because cookies are not.
        path: under which the page is shown; "" for the whole host.
        hours: after which a value is refused.
        framed: the page may be shown inside another site's, where a browser sends no `Lax` cookie;
            behind TLS it is then one for that place alone.  `own_page` still keeps others out.
    """

    def __init__(self, name: str, path: str, hours: float, framed: bool = False):
        self._name, self._framed = name, framed
        self._path = path or "/"
        self._seconds = 3600 * hours
        self._signer = TimestampSigner(secrets.token_bytes(32), salt=name)

    def new(self, scope: Scope) -> tuple[str, str]:
        """A new token of 256 bits, and the `Set-Cookie` that hands it over."""
        token = secrets.token_urlsafe(32)
        value = self._signer.sign(token).decode()
        return token, self._written(scope, value, int(self._seconds))

    def read(self, scope: Scope) -> str | None:
        """The token of a request; None if there is none, or it is forged or too old."""
        jar: SimpleCookie = SimpleCookie()
        for key, value in scope["headers"]:
            if key == b"cookie":
                try:
                    jar.load(value.decode("latin-1"))
                except CookieError:
                    continue
        found = jar.get(self._full_name(scope))
        if found is None:
            return None
        try:
            token, when = self._signer.unsign(found.value, return_timestamp=True)
        except BadSignature:
            return None
        # A clock that was set back makes ages negative: such a cookie is young, not forged.
        return token.decode() if time.time() - when.timestamp() <= self._seconds else None

    def end(self, scope: Scope) -> str:
        """The `Set-Cookie` that takes it away."""
        return self._written(scope, "", 0)

    def _full_name(self, scope: Scope) -> str:
        # With these prefixes a browser takes it over TLS only, and no neighbour can plant one.
        if scope["scheme"] != "https":
            return self._name
        return ("__Host-" if self._path == "/" else "__Secure-") + self._name

    def _written(self, scope: Scope, value: str, age: int) -> str:
        written = f"{self._full_name(scope)}={value}; Path={self._path}; Max-Age={age}; HttpOnly"
        if scope["scheme"] != "https":
            return f"{written}; SameSite=Lax"
        site = "None; Partitioned" if self._framed else "Lax"
        return f"{written}; SameSite={site}; Secure"
