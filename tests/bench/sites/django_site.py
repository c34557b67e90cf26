"""Settings of a Django service whose one view asks the database one thing; `BENCH_SETUP` adds what peers need."""

from __future__ import annotations

import os

_PROMETHEUS = os.environ.get("BENCH_SETUP") == "prometheus"

DEBUG = False
SECRET_KEY = "of no use"  # noqa: S105 -- it guards nothing
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "django_views"
USE_TZ = True
INSTALLED_APPS = ["rest_framework", *(["django_prometheus"] if _PROMETHEUS else [])]
REST_FRAMEWORK = {
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
if _PROMETHEUS:
    MIDDLEWARE = [
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        *MIDDLEWARE,
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ]
DATABASES = {
    # A connection that stays, as in production: the query is measured, not Django's set-up of a connection.
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BENCH_DATABASE"], "CONN_MAX_AGE": None},
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
