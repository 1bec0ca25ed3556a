"""Every page's router; the first route that matches answers."""

from fastapi import APIRouter

from novasystem.web import (
    ask_pages,
    assets,
    assistants_pages,
    benchmarks_pages,
    chat_pages,
    compare_pages,
    history_pages,
    login_pages,
    system_pages,
)

__all__ = ["ROUTERS"]

ROUTERS: tuple[APIRouter, ...] = (
    assets.router,
    benchmarks_pages.router,
    history_pages.router,
    compare_pages.router,
    chat_pages.router,
    ask_pages.router,
    assistants_pages.router,
    login_pages.router,
    system_pages.router,
)
