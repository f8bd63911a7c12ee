"""Text to unit-length vectors by any Hugging Face encoder or decoder. torch and transformers, no Spark.

The same class runs in a Spark task, in a test and in a notebook, and gives the same vectors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from interest_model.config import Encoder
from interest_model.encoding.model_files import encoder_version, model_folder, weight_files
from interest_model.encoding.onednn import use_onednn

_LOADED: dict[tuple, "TextEncoder"] = {}
_MAX_ERROR_LENGTH = 300


@dataclass
class Encoded:
    """Vectors of n texts: vectors (n, d) float32, unit length; valid (n,); errors, None where there is none.

    A text that is null or blank is not valid and has no error; a text that failed is not valid and has one. Rows of
    `vectors` that are not valid are zero.
    """

    vectors: np.ndarray
    valid: np.ndarray
    errors: list[str | None] = field(default_factory=list)


def encoder_for(settings: Encoder, device: str = "cpu") -> "TextEncoder":
    """The process's encoder for these settings on this device: loaded once, shared by all later calls."""
    key = (encoder_version(settings), settings.batch_tokens, settings.window_texts, device)
    if key not in _LOADED:
        _LOADED[key] = TextEncoder(settings, device)
    return _LOADED[key]


def cut_batches(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Positions grouped into batches with n * longest <= batch_tokens, longest texts first.

    A text longer than the budget has a batch of its own. `lengths` (n,) in tokens. Longest first, so that the largest
    allocation comes first and is used again by all others.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), 1)
        stop = start + max(1, batch_tokens // longest)
        yield order[start:stop]
        start = stop


class TextEncoder:
    """A Hugging Face model with its pooling, as the settings state it.

    float16 is a GPU's precision: on a CPU such a model computes in float32, whose vectors differ from it by rounding.
    """

    def __init__(self, settings: Encoder, device: str = "cpu"):
        self.settings = settings
        self.device = torch.device(device)
        self.version = encoder_version(settings)
        folder = model_folder(settings.model)
        transformers_logging.disable_progress_bar()
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = _load_model(folder, _dtype(settings.precision, self.device)).to(self.device)
        if self.device.type == "cpu":
            self._model = use_onednn(self._model)
        pads = (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id, 0)  # masked, so any will do
        self._pad = next(one for one in pads if one is not None)
        positions = getattr(self._model.config, "max_position_embeddings", None) or settings.max_tokens
        self._max_tokens = min(settings.max_tokens, positions, self._tokenizer.model_max_length)
        self._budget = settings.batch_tokens

    @property
    def dimension(self) -> int:
        """d, the length of a vector."""
        return self._model.config.hidden_size

    def encode(self, texts: Sequence[str | None]) -> Encoded:
        """Vectors of n texts in their order, shape (n, d). A text that fails costs only its own row."""
        n = len(texts)
        result = Encoded(np.zeros((n, self.dimension), np.float32), np.zeros(n, bool), [None] * n)
        wanted = [row for row, text in enumerate(texts) if text and text.strip()]
        for start in range(0, len(wanted), self.settings.window_texts):
            self._encode_window(texts, wanted[start : start + self.settings.window_texts], result)
        return result

    def _encode_window(self, texts: Sequence[str | None], rows: list[int], result: Encoded) -> None:
        """Fill `result` at `rows`: tokenise, cut batches by the token budget, run, scatter back."""
        tokens = self._tokenise(texts, rows, result.errors)
        rows = list(tokens)
        done: list[tuple[list[int], torch.Tensor]] = []
        pending = [[rows[i] for i in batch] for batch in self._cut([len(tokens[row]) for row in rows])]
        pending.reverse()
        while pending:
            batch = pending.pop()
            try:
                done.append((batch, self._forward([tokens[row] for row in batch])))
            except Exception as error:
                self._after_failure(batch, error, tokens, result.errors)
                pending.extend(_halves(batch))
        if done:
            _scatter(done, result)

    def _cut(self, lengths: list[int]) -> Iterator[np.ndarray]:
        return cut_batches(np.asarray(lengths, dtype=np.int64), self._budget)

    def _after_failure(self, batch: list[int], error: Exception, tokens: dict[int, list[int]], errors: list) -> None:
        """Lower the budget where memory ran out; blame a text that failed alone.

        Later windows get half of what did not fit, but room for one text. A text is blamed only if a harmless one still
        goes through: otherwise the model or the device is broken, and the task must fail instead of caching errors.
        """
        if _is_out_of_memory(error):
            half = len(batch) * max(len(tokens[row]) for row in batch) // 2
            self._budget = max(min(self._budget, half), self._max_tokens)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        if len(batch) > 1:
            return
        try:
            self._forward(self._token_ids(["a"]))
        except Exception:
            raise error from None
        errors[batch[0]] = f"{type(error).__name__}: {error}"[:_MAX_ERROR_LENGTH]

    def _tokenise(self, texts: Sequence[str | None], rows: list[int], errors: list[str | None]) -> dict[int, list[int]]:
        """Token ids by row; rows the tokenizer refuses (such as lone surrogates) get their error and are left out."""
        try:
            tokens = dict(zip(rows, self._token_ids([texts[row] for row in rows]), strict=True))
        except Exception:
            tokens = {}
            for row in rows:
                try:
                    tokens[row] = self._token_ids([texts[row]])[0]
                except Exception as error:
                    errors[row] = f"{type(error).__name__}: {error}"[:_MAX_ERROR_LENGTH]
        for row in [row for row, ids in tokens.items() if not ids]:
            errors[row] = "the tokenizer finds no token in it"
            del tokens[row]
        return tokens

    def _token_ids(self, texts: list[str]) -> list[list[int]]:
        prefixed = [self.settings.prefix + text for text in texts] if self.settings.prefix else texts
        cut = {"truncation": True, "max_length": self._max_tokens}
        return self._tokenizer(prefixed, return_attention_mask=False, **cut)["input_ids"]

    @torch.inference_mode()
    def _forward(self, tokens: list[list[int]]) -> torch.Tensor:
        """Unit-length vectors (n, d) float32 on the device, of n texts given as token ids, padded on the right."""
        lengths = np.array([len(ids) for ids in tokens])
        mask = np.arange(lengths.max()) < lengths[:, None]
        padded = np.full(mask.shape, self._pad, dtype=np.int64)
        padded[mask] = np.concatenate(tokens)
        inputs = {"input_ids": padded, "attention_mask": mask.astype(np.int64)}
        inputs = {name: torch.from_numpy(array).to(self.device) for name, array in inputs.items()}
        hidden = self._model(**inputs).last_hidden_state.float()
        return torch.nn.functional.normalize(_pool(hidden, inputs["attention_mask"], self.settings.pooling), dim=1)


def _halves(batch: list[int]) -> list[list[int]]:
    """What to try again after a failure: both halves, to be popped from the end; nothing of a single text."""
    middle = len(batch) // 2
    return [batch[middle:], batch[:middle]] if middle else []


def _pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """(n, d) from hidden states (n, t, d) and mask (n, t): mean over real tokens, the first, or the last real one."""
    if pooling == "mean":
        weights = mask.unsqueeze(2).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)
    if pooling == "cls":
        return hidden[:, 0]
    return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]


def _scatter(done: list[tuple[list[int], torch.Tensor]], result: Encoded) -> None:
    """Put the batches' vectors at their rows with one copy off the device; what is not finite becomes an error."""
    rows = np.concatenate([np.asarray(batch) for batch, _ in done])
    vectors = torch.cat([vectors for _, vectors in done]).cpu().numpy()
    good = np.isfinite(vectors).all(axis=1) & (np.abs(vectors).max(axis=1) > 0)
    result.vectors[rows[good]] = vectors[good]
    result.valid[rows[good]] = True
    for row in rows[~good]:
        result.errors[row] = "the model gives no finite vector"


def _load_model(folder: Path, dtype: torch.dtype) -> torch.nn.Module:
    """The model without its head, for inference; of an encoder-decoder only the encoder. Runs no code of the folder."""
    safe = weight_files(folder)[0].suffix == ".safetensors"
    model = AutoModel.from_pretrained(
        folder, dtype=dtype, local_files_only=True, use_safetensors=safe, weights_only=True, trust_remote_code=False
    )
    return (model.get_encoder() if model.config.is_encoder_decoder else model).eval()


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision == "float16" and device.type == "cpu":
        return torch.float32
    return getattr(torch, precision)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
