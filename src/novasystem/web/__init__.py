"""The web pages: what a browser shows of the same services that the APIs answer from.

How to write a page ``things``:

1. ``things_pages.py`` holds a ``router``; :mod:`novasystem.web.router` lists it. A handler calls a
   service, builds a view and returns ``render(request, "things.html", view)``.
2. ``view_models/things.py`` holds the view: a frozen dataclass of ready texts and flags, so that
   the template needs no logic. Paths in it stand without the prefix: ``{{ url("/things") }}``.
3. ``templates/things.html`` extends ``layout.html`` and fills ``content``. A part that is asked for
   alone is a named block of it: ``render_block(request, "things.html", "rows", view)``.
4. ``static/things.js`` is an ES module, named in the block ``scripts``. It imports ``dom.js``
   (elements, announcements, messages), ``fetch.js`` (JSON, with the server's own sentence where it
   refuses) and ``sse.js`` (events that are taken up again after a lost connection). Styles are
   classes of ``app.css``: neither scripts nor styles may stand in the page itself.

What a model wrote goes through :func:`novasystem.web.markdown.render_markdown`, or into
``textContent``.
"""
