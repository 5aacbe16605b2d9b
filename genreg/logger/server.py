"""The W&B server, asked without its client: does it take this key, and how far has a run come there?"""

import base64
import json
import netrc
import os
import time
from pathlib import Path
from socket import gaierror
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from genreg.errors import GenregError

PATIENCE = 5.0  # seconds that a question is repeated for
PAUSE = 0.5  # seconds between questions
AGAIN = 600.0  # seconds until a server that refused is asked once more

VIEWER = "query Viewer { viewer { id } }"
PROGRESS = """query RunResumeStatus($entity: String, $project: String, $name: String!) {
    model(name: $project, entityName: $entity) { bucket(name: $name, missingOk: true) { historyTail } }
}"""

_refused: dict[str, tuple[float, str]] = {}  # by URL: when, and why


def url() -> str:
    return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").rstrip("/")


def key() -> str:
    """The W&B key of WANDB_API_KEY, or of the server's line in the netrc file; empty if there is none."""
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        found = netrc.netrc(path).authenticators(urlparse(url()).hostname or "")
    except (OSError, netrc.NetrcParseError):
        found = None
    return os.environ.get("WANDB_API_KEY") or (found[2] if found else "")


def refused() -> str:
    """The reason why the server took nothing some minutes ago, empty if it did."""
    when, why = _refused.get(url(), (-AGAIN, ""))
    return why if time.monotonic() - when < AGAIN else ""


def remember(why: str) -> str:
    """Let the runs that follow in this process, or in one forked from it, not wait for the server anew."""
    _refused[url()] = (time.monotonic(), why)
    return why


def refusal() -> str:
    """The reason why the server takes nothing from here, empty if it does."""
    if why := refused():
        return why
    try:
        known = _ask(VIEWER).get("viewer")
    except GenregError as error:
        return remember(str(error))
    return "" if known else remember(f"no account of {url()} has this key")


def last_step(entity: str | None, project: str, run: str) -> int:
    """The last step of a run that the server has, -1 if none. Raises GenregError if it does not say."""
    given = {"entity": entity, "project": project, "name": run}
    bucket = ((_ask(PROGRESS, given).get("model") or {}).get("bucket")) or {}
    rows = [json.loads(row) for row in json.loads(bucket.get("historyTail") or "[]")]
    return int(rows[-1].get("_step", -1)) if rows else -1


def _ask(query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    """The server's answer to a GraphQL query, repeated where that may help. Raises GenregError."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return _post({"query": query, "variables": variables or {}}, end - time.monotonic())
        except HTTPError as error:
            why = f"HTTP {error.code} {error.reason} from {url()}"
            lasting = error.code < 500 and error.code != 429
        except (OSError, ValueError) as error:
            cause = getattr(error, "reason", error)
            why = f"no answer from {url()}: {cause or type(error).__name__}"
            lasting = isinstance(cause, ConnectionRefusedError | gaierror)
        if lasting or time.monotonic() + PAUSE > end:
            raise GenregError(why)
        time.sleep(PAUSE)


def _post(question: dict[str, Any], seconds: float) -> dict[str, Any]:
    secret = base64.b64encode(f"api:{key()}".encode()).decode()
    headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json"}
    request = Request(f"{url()}/graphql", json.dumps(question).encode(), headers)
    with urlopen(request, timeout=max(seconds, PAUSE)) as answer:
        found = json.load(answer).get("data")
    return found if isinstance(found, dict) else {}
