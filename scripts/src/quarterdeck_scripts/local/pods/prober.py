"""Ask a container what its probe asks: HTTP, a TCP connection, or a command. One call, one answer."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_scripts.local.pods.probes import HttpTarget, http_target, port_number
from quarterdeck_scripts.local.pods.processes import Launch, StartError, run

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json

_LINE_LIMIT = 8192
"""Bytes of a status line or header that are read."""
_BODY_LIMIT = 10 * 1024
"""Bytes of an answer's body that are read before hanging up: the kubelet's. A server whose answer is not taken
logs an error."""
_OUTPUT_LIMIT = 256
"""Characters of a failing command's output that go into the event."""
USER_AGENT = "kube-probe/1.36"
"""What the kubelet calls itself; services leave its requests out of their logs."""


async def ask(handler: Json, container: Json, address: str, launch: Launch, limit: float) -> tuple[bool, str]:
    """Carry out one probe, or one lifecycle hook that is not `sleep`.

    Args:
        handler: with one of `httpGet`, `tcpSocket`, `exec`.
        container: whose ports the handler may name.
        address: of the pod.
        launch: how a command is run beside the container.
        limit: seconds for the answer.

    Returns:
        Whether it passed, and what was wrong if not.
    """
    try:
        async with asyncio.timeout(limit):
            if "httpGet" in handler:
                return await _http(http_target(handler["httpGet"], container, address))
            if "tcpSocket" in handler:
                spec = handler["tcpSocket"]
                return await _tcp(spec.get("host") or address, port_number(spec["port"], container))
            if "exec" in handler:
                return await _exec(replace(launch, arguments=handler["exec"]["command"]), limit)
    except TimeoutError:
        return False, f"no answer within {limit:g} s"
    except UsageError as error:
        return False, str(error)
    kinds = ", ".join(kind for kind, spec in handler.items() if isinstance(spec, dict))
    return False, f"{kinds} is not supported by the local environment, which has httpGet, tcpSocket and exec"


async def _http(target: HttpTarget) -> tuple[bool, str]:
    context = None
    if target.tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # as the kubelet: a probe asks for health, not for identity
    try:
        reader, writer = await asyncio.open_connection(target.host, target.port, ssl=context, limit=_LINE_LIMIT)
    except OSError as error:
        return False, f'Get "{target.url}": {_reason(error)}'
    try:
        writer.write(_request(target))
        await writer.drain()
        status = await _status(reader)
        await _drained(reader)
    except (OSError, ValueError) as error:
        return False, f'Get "{target.url}": {_reason(error)}'
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    if status is None:
        return False, f'Get "{target.url}": malformed HTTP response'
    passed = 200 <= status < 400  # noqa: PLR2004 -- HTTP's own numbers; a redirect counts as an answer
    return passed, "" if passed else f"HTTP probe failed with statuscode: {status}"


def _request(target: HttpTarget) -> bytes:
    headers = {"Host": f"{target.host}:{target.port}", "User-Agent": USER_AGENT, "Accept": "*/*"}
    headers.update(target.headers)
    headers["Connection"] = "close"
    lines = [f"GET {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


async def _status(reader: asyncio.StreamReader) -> int | None:
    """Return the status of the answer; None when it is no HTTP."""
    parts = (await reader.readline()).split()
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():  # noqa: PLR2004 -- version, status
        return None
    return int(parts[1])


async def _drained(reader: asyncio.StreamReader) -> None:
    left = _BODY_LIMIT
    while left > 0 and (chunk := await reader.read(left)):
        left -= len(chunk)


async def _tcp(host: str, port: int) -> tuple[bool, str]:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return False, f"dial tcp {host}:{port}: {_reason(error)}"
    writer.close()
    return True, ""


async def _exec(launch: Launch, limit: float) -> tuple[bool, str]:
    try:
        code, output = await run(launch, limit)
    except StartError as error:
        return False, str(error)
    return code == 0, "" if code == 0 else output[:_OUTPUT_LIMIT] or f"exit code {code}"


def _reason(error: Exception) -> str:
    """Return what went wrong in the words of the kubelet's messages where there are such."""
    if isinstance(error, ConnectionRefusedError):
        return "connect: connection refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
