"""Whose a request is: rows of another owner do not exist for it."""

from starlette.requests import HTTPConnection

__all__ = ["LOCAL", "owner_of"]

LOCAL = "local"
"""The only owner where no keys are set."""


def owner_of(request: HTTPConnection) -> str:
    """What ``Guard`` found out: the owner of the key that was sent."""
    owner: str = request.scope.get("nova.owner", LOCAL)
    return owner
