"""Models by their hub name: what is on this machine already, and whether a hub can be asked for the rest.

ms-swift asks ModelScope, or Hugging Face where USE_HF=1, and tries for minutes where there is no network.
"""

import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import httpx

from data_engine.dataset import DataError
from data_engine.model_folder import HUB_NAME, check_checkpoint

SECONDS = 5.0  # a hub's time to say anything at all
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def folder_of(name: str, download: Callable[[str], str], role: str = "") -> str:
    """The folder of a model: itself, a whole copy that was downloaded before, or what ``download`` gets of a hub.

    ``role`` heads the error: whose base it is. Raises DataError within seconds where no hub answers.
    """
    if Path(name).exists() or not HUB_NAME.fullmatch(name):
        return name
    kept = kept_copy(name)
    if kept:
        return kept
    reason = why_offline()
    if reason:
        fix = f"give a folder, or download it where there is a network: hf download {name}"
        raise DataError(f"{role}{name}: no folder here, and no hub to ask ({reason}); {fix}")
    return download(name)


def is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on", "y", "t")


def kept_copy(name: str) -> str | None:
    """The folder of a hub model that an earlier download left here, whole; None if there is none."""
    if is_set("USE_HF"):
        from huggingface_hub import snapshot_download
    else:
        from modelscope import snapshot_download
    repository, _, part = name.partition(":")
    try:
        folder = Path(snapshot_download(repository, local_files_only=True), part)
        check_checkpoint(folder)
    except Exception:  # the hubs' libraries say it in a dozen ways
        return None
    return str(folder)


def why_offline() -> str | None:
    """Why no hub can be asked; None if it can."""
    for name in OFFLINE:
        if is_set(name):
            return f"{name} is set"
    return None if answers(endpoint()) else f"{endpoint()} does not answer"


def endpoint() -> str:
    """The address of the hub that ms-swift asks."""
    if is_set("USE_HF"):
        return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    domain = os.environ.get("MODELSCOPE_DOMAIN") or "www.modelscope.cn"
    return os.environ.get("MODELSCOPE_ENDPOINT") or f"https://{domain}"


def answers(address: str) -> bool:
    """Does a server say anything, whatever it is? In a thread of its own: looking up a name may take minutes."""
    statuses: list[int] = []

    def ask() -> None:
        try:
            statuses.append(httpx.head(address, timeout=SECONDS).status_code)
        except (httpx.HTTPError, httpx.InvalidURL):
            pass

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return bool(statuses)
