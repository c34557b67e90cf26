"""The view of the Django service, and its route."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView


class Item(models.Model):
    """What is asked for."""

    name = models.TextField()

    class Meta:
        """Where it is kept."""

        app_label = "shop"
        db_table = "shop_item"

    def __str__(self) -> str:
        return self.name


class ItemView(APIView):
    """Answers with one item."""

    def get(self, request: Any, item: int) -> Response:
        """Read it from the database."""
        return Response({"item": item, "name": Item.objects.get(pk=item).name})


urlpatterns = [path("items/<int:item>/", ItemView.as_view())]
