"""The kubelet's log endpoint: what makes `kubectl logs` and the API's `pods/log` work.

The API server asks `GET /containerLogs/NAMESPACE/POD/CONTAINER` of the node's address and port, with a client
certificate of our authority.
"""

from __future__ import annotations

import ssl
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from quarterdeck_scripts.local.bootstrap import KUBELET_CLIENT
from quarterdeck_scripts.local.logs import container_log, pod_folders, previous_log, read

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_scripts.local.pods.settings import RunnerSettings
    from quarterdeck_scripts.local.state import Layout

_UNSUPPORTED = ("sinceSeconds", "sinceTime", "timestamps")
"""Parameters that need a time for every line. Our logs are what the processes themselves write."""
_TIMEOUT = 60.0
"""Seconds a connection may stall before its thread is given back."""


def serve(settings: RunnerSettings, layout: Layout) -> None:
    """Serve logs on every node's address from now on, in threads that end with the process."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=settings.authority)
    context.load_cert_chain(settings.kubelet_certificate, settings.kubelet_key)
    context.verify_mode = ssl.CERT_REQUIRED
    for node in settings.nodes:
        server = _Server((node.address, settings.kubelet_port), layout.pods, context)
        threading.Thread(target=server.serve_forever, name=f"logs {node.name}", daemon=True).start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], pods: Path, context: ssl.SSLContext) -> None:
        super().__init__(address, _Handler)
        self.pods = pods
        # The handshake waits for the handler's thread: a client that never speaks must not stop the others.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    connection: ssl.SSLSocket
    timeout = _TIMEOUT

    def do_GET(self) -> None:
        """Answer with a log, or with the reason why not."""
        if not self._is_api_server():
            self._refuse(HTTPStatus.FORBIDDEN, "only the API server may ask")
            return
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.split("/")]
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        if len(parts) != 5 or parts[1] != "containerLogs" or any("/" in part for part in parts):  # noqa: PLR2004 -- "", containerLogs, namespace, pod, container
            self._refuse(HTTPStatus.NOT_FOUND, f"{url.path} is not served by the local environment")
        elif asked := [name for name in _UNSUPPORTED if query.get(name) not in {None, "false"}]:
            self._refuse(HTTPStatus.BAD_REQUEST, f"{asked[0]}: logs of the local environment have no times")
        else:
            self._send_log(parts[2], parts[3], parts[4], query)

    def _send_log(self, namespace: str, pod: str, container: str, query: dict[str, str]) -> None:
        for folder in pod_folders(self.server.pods, namespace, pod):
            log = container_log(folder, container)
            log = previous_log(log) if query.get("previous") == "true" else log
            if log.is_file():
                break
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, f"container {container} of {namespace}/{pod} has no such log")
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        left = int(query["limitBytes"]) if "limitBytes" in query else None
        tail = int(query["tailLines"]) if "tailLines" in query else None
        for chunk in read(log, tail=tail, follow=query.get("follow") == "true"):
            self.wfile.write(chunk if left is None else chunk[:left])
            self.wfile.flush()
            left = None if left is None else left - len(chunk)
            if left is not None and left <= 0:
                return

    def _is_api_server(self) -> bool:
        subject = (self.connection.getpeercert() or {}).get("subject", ())
        return (("commonName", KUBELET_CLIENT),) in subject

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(f"{message}\n".encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the names are http.server's
        """Say nothing: a line for every request would bury what the runner has to say."""
