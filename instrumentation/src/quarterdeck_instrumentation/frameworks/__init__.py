"""One module for each framework or server: how to get hold of it, and nothing about what is measured.

Each function gets a freshly imported module and changes its classes in place.

Which route a request has is the template its framework matched. Where none matched (404) it is one value, the
contract's `UNMATCHED_ROUTE`. A wrong method (405) has the template where the router says which one refuses it (FastAPI,
Starlette, Django, Falcon, Tornado), and is unmatched where it does not (Flask, Quart, Litestar, aiohttp.server; Pyramid
calls it 404). Why a request failed is the exception, whether it escaped or the framework made a response of it; an
exception that is a response was chosen, so its status is the reason.
"""
