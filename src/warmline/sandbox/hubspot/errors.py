"""HubSpot's error bodies: status, message, correlationId, category, context, errors."""

from __future__ import annotations

import json
import uuid
from typing import Any

from warmline.sandbox.hubspot.contacts import ConflictError
from warmline.sandbox.hubspot.properties import PropertyError


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(
        self,
        status: int,
        category: str,
        message: str,
        *,
        context: dict[str, Any] | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.context = context
        self.errors = errors

    def body(self) -> dict[str, Any]:
        """The body as the vendor writes it."""
        body: dict[str, Any] = {
            "status": "error",
            "message": str(self),
            "correlationId": str(uuid.uuid4()),
            "category": self.category,
        }
        if self.context is not None:
            body["context"] = self.context
        if self.errors is not None:
            body["errors"] = self.errors
        return body

    def item(self, **context: Any) -> dict[str, Any]:
        """The same as one entry of a batch answer's errors."""
        merged = {**(self.context or {}), **{k: v for k, v in context.items() if v}}
        return {
            "status": "error",
            "id": str(uuid.uuid4()),
            "category": self.category,
            "message": str(self),
            "context": merged,
            "errors": self.errors or [],
        }


def invalid(bad: PropertyError) -> ApiError:
    """400 for a value that a property does not take."""
    message = f"Property values were not valid: {json.dumps([bad.as_json()])}"
    detail = {
        "message": str(bad),
        "code": bad.code,
        "context": {"propertyName": [bad.name]},
    }
    return ApiError(400, "VALIDATION_ERROR", message, errors=[detail])


def conflict(bad: ConflictError) -> ApiError:
    """409 for an address that is taken."""
    return ApiError(409, "CONFLICT", str(bad), context={"existingId": [str(bad.existing_id)]})


def not_found(key: str) -> ApiError:
    """404 for a record that is not there."""
    return ApiError(
        404, "OBJECT_NOT_FOUND", f"Object not found.  objectId are usually numeric: {key}"
    )


def rate_body(policy: str) -> dict[str, Any]:
    """The body of a 429."""
    word = {"TEN_SECONDLY_ROLLING": "ten_secondly_rolling", "SECONDLY": "secondly"}[policy]
    return {
        "status": "error",
        "message": f"You have reached your {word} limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": str(uuid.uuid4()),
        "policyName": policy,
        "requestId": uuid.uuid4().hex,
        "category": "RATE_LIMITS",
    }
