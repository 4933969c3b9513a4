"""How every endpoint of the API is declared: its right, its problems, its headers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from litestar import Request, Response, delete, get, patch, post, put
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.access.domain import Right
from appliance.database.paging import DEFAULT_LIMIT, MAX_LIMIT
from appliance.database.revision import revision_of
from appliance.errors import InvalidInput
from console.web.form_errors import sentences

AnyRequest = Request[Any, Any, State]
_Handler = TypeVar("_Handler")
_Shown = TypeVar("_Shown", bound=BaseModel)
_Given = TypeVar("_Given", bound=BaseModel)

Cursor = Annotated[
    str | None,
    Parameter(query="cursor", max_length=300, description="`next_cursor` of the page before", required=False),
]
Limit = Annotated[
    int, Parameter(query="limit", ge=1, le=MAX_LIMIT, default=DEFAULT_LIMIT, description="Items on a page")
]
IfMatch = Annotated[
    str | None,
    Parameter(
        header="If-Match",
        max_length=100,
        description="The ETag that the change builds on; `*` overwrites whatever is there",
        required=False,
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Parameter(
        header="If-None-Match", max_length=100, description="Answers 304 for this ETag", required=False
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Parameter(
        header="Idempotency-Key",
        max_length=200,
        description="The same key within 24 hours gives the first answer again and does nothing",
        required=False,
    ),
]


class FieldProblem(BaseModel):
    field: str
    message: str


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["The call does not exist."])
    code: str = Field(examples=["not_found"])
    errors: list[FieldProblem] = Field(default_factory=list[FieldProblem])


_MEANINGS = {
    304: "Unchanged since that ETag",
    400: "The request cannot be read",
    401: "No key or token that holds",
    403: "The right is lacking; this is audited",
    404: "It does not exist, or not for this organization",
    409: "The present state forbids it, or the first request with this Idempotency-Key still runs",
    412: "It was changed since that ETag",
    413: "The body is too large",
    416: "The range lies beyond the end",
    422: "What was given cannot be meant",
    428: "If-Match is needed",
    429: "Too many requests; Retry-After says when",
    503: "A part of the box is away; Retry-After says when",
}
_ALWAYS = (400, 401, 403, 429, 503)


def problems(*more: int) -> dict[int, ResponseSpec]:
    """The problem documents that an endpoint may answer."""
    return {
        status: ResponseSpec(
            Problem,
            description=_MEANINGS[status],
            media_type="application/problem+json",
            generate_examples=False,
        )
        for status in sorted({*_ALWAYS, *more})
    }


def reads(path: str, *, right: Right, operation: str, one: bool = True, **more: Any) -> Callable[[Any], Any]:
    """GET. `one`: of a single thing, that may not exist."""
    return get(
        path,
        right=right,
        operation_id=operation,
        responses=problems(422, *((404,) if one else ())),
        **more,
    )


def creates(
    path: str, *, right: Right, operation: str, status: int = 201, **more: Any
) -> Callable[[Any], Any]:
    """POST, repeatable by an Idempotency-Key."""
    return post(
        path,
        right=right,
        operation_id=operation,
        status_code=status,
        responses=problems(404, 409, 413, 422),
        **more,
    )


def replaces(path: str, *, right: Right, operation: str, **more: Any) -> Callable[[Any], Any]:
    """PUT with If-Match."""
    return put(
        path, right=right, operation_id=operation, responses=problems(404, 409, 412, 413, 422, 428), **more
    )


def amends(path: str, *, right: Right, operation: str, **more: Any) -> Callable[[Any], Any]:
    """PATCH with If-Match."""
    return patch(
        path, right=right, operation_id=operation, responses=problems(404, 409, 412, 413, 422, 428), **more
    )


def deletes(path: str, *, right: Right, operation: str, **more: Any) -> Callable[[Any], Any]:
    """DELETE with If-Match where the thing has an ETag."""
    return delete(
        path, right=right, operation_id=operation, responses=problems(404, 409, 412, 422, 428), **more
    )


def understood(model: type[_Given], **given: Any) -> _Given:
    """What a query's parameters mean together; InvalidInput names the first that cannot be meant."""
    try:
        return model(**given)
    except ValidationError as error:
        field, sentence = next(iter(sentences(error).items()))
        raise InvalidInput(sentence, field=field) from error


def etag(revision: str) -> str:
    return f'"{revision}"'


def tagged(
    shown: _Shown, *, status: int = 200, if_none_match: str | None = None, location: str = ""
) -> Response[_Shown]:
    """One thing with its ETag; 304 without a body when the asker has it already."""
    tag = etag(revision_of(shown))
    headers = {"ETag": tag} | ({"Location": location} if location else {})
    if if_none_match is not None and tag in {part.strip() for part in if_none_match.split(",")}:
        unchanged: Any = Response(None, status_code=304, headers=headers)
        return unchanged
    return Response(shown, status_code=status, headers=headers)


def tagged_by_bytes(shown: _Shown, *, if_none_match: str | None = None) -> Response[_Shown]:
    """As `tagged`, for a large thing that nobody changes by its ETag: it is written once, and the ETag is of
    what was written."""
    body = shown.model_dump_json().encode()
    tag = etag(hashlib.sha256(body).hexdigest()[:16])
    known = if_none_match is not None and tag in {part.strip() for part in if_none_match.split(",")}
    answer: Any = Response(
        None if known else body,
        status_code=304 if known else 200,
        headers={"ETag": tag},
        media_type=None if known else "application/json",
    )
    return answer


def expected_revision(if_match: str | None) -> str | None:
    """The revision that a change builds on; None for `*`. 428 when nothing was said."""
    if if_match is None:
        raise HTTPException(
            status_code=428,
            detail="Say by If-Match which version this change builds on: the ETag that you read, or *.",
            extra={"code": "if_match_missing"},
        )
    if if_match.strip() == "*":
        return None
    return if_match.strip().removeprefix("W/").strip('"')
