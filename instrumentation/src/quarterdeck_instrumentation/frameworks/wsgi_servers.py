"""WSGI servers of one process: waitress, werkzeug's (`flask run`), wsgiref's (`manage.py runserver`) and gevent's.

They call applications in threads or greenlets, and die of SIGTERM by its default action. So telemetry has to begin in
the main thread, where they are started: a handler can be set nowhere else.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from quarterdeck_instrumentation.frameworks import serving


def patch_waitress(module: Any) -> None:
    """Have `waitress.server.create_server` serve a measured application."""
    create = module.create_server

    @wraps(create)
    def creating(application: Any, *arguments: Any, **options: Any) -> Any:
        server = create(serving.wsgi(application), *arguments, **options)
        serving.begin(getattr(getattr(server, "adj", None), "threads", 0))
        return server

    module.create_server = creating


def patch_werkzeug(module: Any) -> None:
    """Have `werkzeug.serving.BaseWSGIServer` serve a measured application; not in the parent of its reloader."""
    _patch(module.BaseWSGIServer, "serve_forever", "app")


def patch_wsgiref(module: Any) -> None:
    """Have `wsgiref.simple_server.WSGIServer`, and so Django's, serve a measured application."""
    _patch(module.WSGIServer, "serve_forever", "application")


def patch_gevent(module: Any) -> None:
    """Have `gevent.pywsgi.WSGIServer` serve a measured application, from when it is started."""
    _patch(module.WSGIServer, "update_environ", "application")


def _patch(server: Any, method: str, attribute: str) -> None:
    """Have *method*, which is called once and before the first request, measure the application in *attribute*."""
    start = getattr(server, method)

    @wraps(start)
    def starting(self: Any, *arguments: Any, **options: Any) -> Any:
        setattr(self, attribute, serving.wsgi(getattr(self, attribute)))
        serving.begin()
        return start(self, *arguments, **options)

    setattr(server, method, starting)
