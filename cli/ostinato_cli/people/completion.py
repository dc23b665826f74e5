"""Names of crons for the shell's completion: quick, or none."""

import os

from ostinato_cli.people.talking import URL

SECONDS = 2.0  # a shell does not wait longer
MOST = 1000


def complete_cron(incomplete: str) -> list[str]:
    """The names that begin so, and ids if at least four of their digits are there."""
    import httpx  # noqa: PLC0415 - `--help` is quick without

    key = os.environ.get("OSTINATO_API_KEY")
    url = os.environ.get("OSTINATO_URL", URL).rstrip("/")
    body = {"limit": MOST, "select": ["cron_id", "metadata"]}
    try:
        headers = {"x-api-key": key} if key else {}
        answer = httpx.post(f"{url}/runs/crons/search", json=body, headers=headers, timeout=SECONDS)
        crons = answer.raise_for_status().json()
        words = [str(cron["metadata"].get("name") or cron["cron_id"]) for cron in crons]
        ids = [cron["cron_id"] for cron in crons] if len(incomplete) >= 4 else []  # noqa: PLR2004 - as above
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError):
        return []
    return sorted({word for word in (*words, *ids) if word.startswith(incomplete)})
