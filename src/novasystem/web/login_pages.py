"""The way in where keys are set: a key for a session in a cookie, and the way out."""

from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from novasystem.errors import BodyTooLarge, NovaError, Unauthenticated
from novasystem.http.errors import status_of
from novasystem.http.keys import COOKIE, SESSION_S, Guesses, Keys, sessions_in
from novasystem.web.rendering import render
from novasystem.web.view_models.login import LoginView

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_MOST_BYTES = 8 * 1024
_log = structlog.get_logger(__name__)


@router.get("/login")
async def login_page(request: Request) -> Response:
    """Whoever is in already, or needs no key, goes on to where they wanted to."""
    keys: Keys = request.app.state.keys
    wanted = _own_path(request.query_params.get("next", ""))
    inside = any(map(keys.session_owner, sessions_in(request.headers.get("cookie", ""))))
    if inside or not keys:
        return _onward(request, wanted)
    return render(request, "login.html", LoginView(wanted))


@router.post("/login")
async def login(request: Request) -> Response:
    """Answers 401 for a wrong key, and 429 after many of them."""
    keys: Keys = request.app.state.keys
    guesses: Guesses = request.app.state.guesses
    address = request.client.host if request.client is not None else ""
    wanted = ""
    try:
        given = await _form(request)
        wanted = _own_path(given.get("next", ""))
        guesses.check(address)
        owner = keys.owner(given.get("key", "").strip())
        if owner is None:
            guesses.wrong(address)
            await _log.awarning("a wrong key at the login", client=address)
            raise Unauthenticated(
                "This key is not known.", hint="Check it for a missing character."
            )
    except NovaError as error:
        request.scope["nova.error_code"] = error.code
        answer = render(
            request, "login.html", LoginView(wanted, str(error)), status=status_of(error)
        )
        if (retry_after_s := getattr(error, "retry_after_s", None)) is not None:
            answer.headers["retry-after"] = str(retry_after_s)
        return answer
    answer = _onward(request, wanted)
    _set_cookie(request, answer, keys.new_session(owner), SESSION_S)
    return answer


@router.post("/logout")
async def logout(request: Request) -> Response:
    answer = RedirectResponse(f"{_root(request)}/login", 303, {"cache-control": "no-store"})
    _set_cookie(request, answer, "", 0)
    return answer


def _set_cookie(request: Request, answer: Response, value: str, max_age_s: int) -> None:
    # Without a proxy that says so there is no TLS; who lies about it gains a stricter cookie.
    by_tls = "https" in {request.url.scheme, request.headers.get("x-forwarded-proto", "")}
    answer.set_cookie(
        COOKIE,
        value,
        max_age=max_age_s,
        path=_root(request) or "/",
        secure=by_tls,
        httponly=True,
        samesite="strict",
    )


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form as browsers send it; of two of one name the first counts."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BYTES:
            raise BodyTooLarge("This is too long for a key.")
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10)
    return {name: values[0] for name, values in fields.items()}


def _own_path(wanted: str) -> str:
    """``wanted`` where it is a path of this server; otherwise the first page."""
    plain = wanted.isprintable() and "\\" not in wanted
    own = plain and wanted.startswith("/") and not wanted.startswith("//")
    return wanted if own and not wanted.startswith(("/login", "/logout")) else "/"


def _onward(request: Request, wanted: str) -> Response:
    return RedirectResponse(f"{_root(request)}{wanted}", 303, {"cache-control": "no-store"})


def _root(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")
