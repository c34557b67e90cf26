"""The demo's service: a small shop's checkout. It knows nothing of telemetry, Quarterdeck or its own defects.

How often the payment provider fails is the release's own property, baked into its image like a bad dependency.
"""

from __future__ import annotations

import asyncio
import os
import random

from fastapi import FastAPI

app = FastAPI(title="checkout")

PAYMENT_FAILURES = float(os.environ.get("CHECKOUT_PAYMENT_FAILURES", "0"))
"""Share of payments that this release loses, 0 to 1."""

PAYMENT_SECONDS = 0.004
"""What a payment takes."""

_chance = random.Random()  # noqa: S311 -- which customer is unlucky is no secret


class PaymentLostError(Exception):
    """The payment provider's answer was thrown away."""


@app.get("/healthz")
async def health() -> dict[str, str]:
    """Say that the process serves."""
    return {"status": "ok"}


@app.get("/carts/{cart}")
async def cart(cart: int) -> dict[str, int]:
    """Show a cart."""
    return {"cart": cart, "items": cart % 7}


@app.post("/carts/{cart}/pay")
async def pay(cart: int) -> dict[str, int | str]:
    """Pay for a cart."""
    await asyncio.sleep(PAYMENT_SECONDS)
    if _chance.random() < PAYMENT_FAILURES:
        raise PaymentLostError(cart)
    return {"cart": cart, "status": "paid"}
