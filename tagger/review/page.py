"""The page of ``tagger review here``: one paper at a time, answered with single keys."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware

from tagger._util.rendering import content_policy, render
from tagger.errors import TaggerError
from tagger.model import ReviewRule, TaggerModel
from tagger.papers import split_sentences
from tagger.review.backend import LOOPBACK, refuse_request
from tagger.review.desk import Answer, ReviewDesk
from tagger.review.evidence import Evidence, find_evidence
from tagger.review.interface import HOTKEYS
from tagger.review.tasks import TaskError

_TWICE = "This paper was answered in another window; nothing was saved twice."


def make_review_page(
    desk: ReviewDesk,
    model: TaggerModel,
    rule: ReviewRule,
    token: str,
    estimate: Callable[[], Sequence[str]],
) -> FastAPI:
    """Return the web application.

    Every request carries ``token``: the request for the page in its address, all others in a
    header. ``estimate`` returns lines that help to decide when to stop; it is called again when
    answers to papers of the audit sample have changed.
    """
    worker = ThreadPoolExecutor(1, "evidence")
    # In the order in which the papers are shown. The end waits for the paper that is explained.
    evidence = {
        number: worker.submit(find_evidence, chosen.paper, model, rule)
        for number, chosen in desk.papers.items()
        if chosen.explained
    }
    lines = lru_cache(1)(lambda _audited: [*estimate()])

    app = _guarded_app(token, worker)

    @app.get("/")
    def page() -> HTMLResponse:
        return _page(desk.taxonomy.name)

    @app.get("/paper")
    def current() -> dict[str, Any]:
        return _view(desk)

    @app.post("/answer")
    def answer(given: Answer) -> dict[str, Any]:
        if given.number not in desk.papers:
            raise HTTPException(404, "there is no such paper")
        return _view(desk, "Saved." if desk.answer(given) else _TWICE)

    @app.post("/skip")
    def skip(number: Annotated[int, Body(embed=True)]) -> dict[str, Any]:
        return _view(desk, "Skipped: it comes again at the end." if desk.skip(number) else _TWICE)

    @app.post("/undo")
    def undo() -> dict[str, Any]:
        return _view(desk, "Taken back." if desk.undo() else "There is nothing to take back.")

    @app.get("/evidence")
    def sentences(number: int) -> Evidence:
        return evidence[number].result() if number in evidence else {}

    @app.get("/estimate")
    def measured() -> list[str]:
        return lines(desk.audited)

    return app


def _guarded_app(token: str, worker: ThreadPoolExecutor) -> FastAPI:
    """Return an application for holders of the token; its end is the end of the worker."""

    @asynccontextmanager
    async def until_the_end(_app: FastAPI) -> AsyncIterator[None]:
        yield
        worker.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=until_the_end)
    app.middleware("http")(partial(_guard, token))
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK], www_redirect=False)
    app.exception_handler(RequestValidationError)(refuse_request)

    @app.exception_handler(TaggerError)
    @app.exception_handler(TaskError)
    def failed(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    return app


def _page(name: str) -> HTMLResponse:
    style, script = render("review/page.css"), render("review/page.js")
    policy = content_policy(style, script)
    policy += "; connect-src 'self'; img-src data:; frame-ancestors 'none'"
    page = render("review/page.html", name=name, style=style, script=script)
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})


def _view(desk: ReviewDesk, message: str = "") -> dict[str, Any]:
    """Return the paper to answer next and the one after it, the progress, and a message."""
    first, second = (*desk.upcoming(2), None, None)[:2]
    following = {"number": second, "html": _paper(desk, second)}
    return {
        "number": first,
        "html": _paper(desk, first),
        "next": following if first else None,
        "done": desk.done,
        "total": len(desk.papers),
        "message": message,
    }


def _paper(desk: ReviewDesk, number: int | None) -> str:
    """Return a paper as HTML with what is filled in: an earlier answer, or the suggestion."""
    if number is None:
        return ""
    paper, decision, _, reason, shown = desk.papers[number]
    draft = desk.drafts.get(number)
    names = [(facet.name, tag.name) for facet in desk.taxonomy.facets for tag in facet.tags]
    return render(
        "review/paper.html",
        paper=paper,
        sentences=split_sentences(paper.abstract),
        why=reason,
        shown=shown,
        facets=desk.taxonomy.facets,
        keys=dict(zip(names, HOTKEYS, strict=False)),
        confidence=decision.confidence if shown else {},
        checked=draft.tags if draft else decision.tags if shown else {},
        outcome=draft.outcome if draft else "tagged",
        note=(draft.note if draft else "") or "",
    )


async def _guard(token: str, request: Request, answer: RequestResponseEndpoint) -> Response:
    """Refuse requests without the token; keep answers out of caches and other pages."""
    given = request.headers.get("x-token") or request.query_params.get("token", "")
    if not secrets.compare_digest(given.encode(), token.encode()):
        response: Response = JSONResponse(
            {"detail": "Open the address that 'tagger review here' has printed."}, 403
        )
    else:
        response = await answer(request)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
