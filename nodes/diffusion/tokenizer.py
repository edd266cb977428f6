"""CLIP's byte-pair tokenizer, from wherever its vocabulary is to be had without a network.

Searched in this order: the checkpoint's header (`graphcore.tokenizer`: {"vocab", "merges"}); a `tokenizer` folder
beside the checkpoint or in the diffusers folder; the `tokenizers` model folders; the file in the PyPI package
openai-clip, which is found but never imported. A vocabulary of another size than the text encoder's is passed over.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from graphcore.errors import ModelFileError
from nodes.diffusion.model_config import read_text

TOKENIZER_KEY = "graphcore.tokenizer"
T5_TOKENIZER_KEY = "graphcore.tokenizer_t5"
START, END = "<|startoftext|>", "<|endoftext|>"
VOCABULARY_FILE = "bpe_simple_vocab_16e6.txt.gz"
CLIP_MERGES = 49152 - 256 - 2
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""CLIP's pattern of words: letters together, digits one by one, the rest together."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipTokenizer:
    """Text to token numbers. `start` and `end` frame a chunk; `size` is the number of tokens."""

    bpe: Tokenizer
    start: int
    end: int
    size: int

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without start and end."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self.bpe.encode(clean, add_special_tokens=False).ids
        return ids

    def is_comma(self, token: object) -> bool:
        """True for the token of a comma between words."""
        return token == self.bpe.token_to_id(",</w>")


def build_tokenizer(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> ClipTokenizer:
    """A tokenizer from its vocabulary and merges. Raises ValueError if they do not fit each other."""
    if START not in vocabulary or END not in vocabulary:
        raise ValueError("the vocabulary has no start or end token")
    try:
        model = models.BPE(
            vocab=dict(vocabulary),
            merges=list(merges),
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            unk_token=END,
        )
    except Exception as error:
        raise ValueError(str(error)) from error
    bpe = Tokenizer(model)
    bpe.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.add_special_tokens([START, END])
    return ClipTokenizer(bpe, vocabulary[START], vocabulary[END], len(vocabulary))


def find_tokenizer(
    checkpoint: Path, metadata: Mapping[str, str], *, size: int, folders: Sequence[Path] = ()
) -> ClipTokenizer:
    """The tokenizer for a text encoder of `size` tokens; `folders` are the `tokenizers` model folders.

    Raises ModelFileError that names every place searched.
    """
    seen: list[str] = []
    for place, tokenizer in _candidates(checkpoint, metadata, folders):
        if tokenizer is not None and tokenizer.size == size:
            return tokenizer
        seen.append(place if tokenizer is None else f"{place} ({tokenizer.size} tokens)")
    raise ModelFileError(
        f"No tokenizer for {checkpoint.name}, whose text encoder knows {size} tokens: searched {', '.join(seen)}; put "
        "vocab.json and merges.txt into one of these folders, or 'pip install openai-clip'.",
        code="tokenizer-missing",
        location=str(checkpoint),
    )


def find_t5_tokenizer(
    checkpoint: Path, metadata: Mapping[str, str], *, folders: Sequence[Path] = ()
) -> Tokenizer:
    """The tokenizer of a T5 encoder: a tokenizer.json, since no small package brings its vocabulary.

    Searched: the header's metadata `graphcore.tokenizer_t5`, `tokenizer_3` beside the checkpoint or in the folder,
    and `t5` in the `tokenizers` model folders. Raises ModelFileError that names them.
    """
    home = checkpoint if checkpoint.is_dir() else checkpoint.parent
    places = [home / "tokenizer_3", *(folder / "t5" for folder in folders)]
    texts = [metadata[T5_TOKENIZER_KEY]] if T5_TOKENIZER_KEY in metadata else []
    texts += [read_text(place / "tokenizer.json") for place in places if (place / "tokenizer.json").is_file()]
    if not texts:
        searched = ", ".join(str(place) for place in places)
        raise ModelFileError(
            f"No tokenizer for the T5 text encoder of {checkpoint.name}: searched {searched}; put T5's tokenizer.json "
            "into one of these folders, or load the model's CLIP text encoders alone.",
            code="tokenizer-missing",
            location=str(checkpoint),
        )
    try:
        found = Tokenizer.from_str(texts[0])
    except Exception as error:
        raise ModelFileError(
            f"The T5 tokenizer of {checkpoint.name} is damaged ({error}); replace its tokenizer.json.",
            code="tokenizer-damaged",
            location=str(checkpoint),
        ) from error
    found.no_padding()
    found.no_truncation()
    return found


def _candidates(
    checkpoint: Path, metadata: Mapping[str, str], folders: Sequence[Path]
) -> Iterator[tuple[str, ClipTokenizer | None]]:
    yield f"the header's '{TOKENIZER_KEY}'", _from_metadata(checkpoint, metadata.get(TOKENIZER_KEY))
    home = checkpoint if checkpoint.is_dir() else checkpoint.parent
    beside = (home / f"{checkpoint.stem}.tokenizer", home / "tokenizer", home / "tokenizer_2")
    for folder in (*beside, *(inner for root in folders for inner in (root / "clip", root))):
        yield str(folder), _from_folder(folder)
    yield "the package openai-clip", _from_package()


def _from_metadata(checkpoint: Path, text: str | None) -> ClipTokenizer | None:
    if text is None:
        return None
    try:
        return _from_json(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFileError(
            f"The tokenizer in the header of {checkpoint.name} is damaged ({error}); get the file again.",
            code="tokenizer-damaged",
            location=str(checkpoint),
        ) from error


def _from_json(value: Mapping[str, Any]) -> ClipTokenizer:
    vocabulary = {str(word): int(number) for word, number in value["vocab"].items()}
    return build_tokenizer(vocabulary, [_pair(merge) for merge in value["merges"]])


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second


def _from_folder(folder: Path) -> ClipTokenizer | None:
    vocabulary, merges, fast, packed = (
        folder / name for name in ("vocab.json", "merges.txt", "tokenizer.json", VOCABULARY_FILE)
    )
    try:
        if vocabulary.is_file() and merges.is_file():
            lines = merges.read_text(encoding="utf-8").splitlines()
            pairs = [line for line in lines if line and not line.startswith("#version")]
            return _from_json({"vocab": json.loads(vocabulary.read_text(encoding="utf-8")), "merges": pairs})
        if fast.is_file():
            saved = json.loads(fast.read_text(encoding="utf-8"))
            added = {token["content"]: token["id"] for token in saved.get("added_tokens", ())}
            return _from_json({"vocab": saved["model"]["vocab"] | added, "merges": saved["model"]["merges"]})
        if packed.is_file():
            return _from_vocabulary_file(packed)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFileError(
            f"The tokenizer in {folder} is damaged ({error}); replace it.",
            code="tokenizer-damaged",
            location=str(folder),
        ) from error
    return None


def _from_package() -> ClipTokenizer | None:
    found = importlib.util.find_spec("clip")
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / VOCABULARY_FILE
        if path.is_file():
            return _from_vocabulary_file(path)
    return None


def _from_vocabulary_file(path: Path) -> ClipTokenizer:
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    merges = [_pair(line) for line in lines[1 : CLIP_MERGES + 1]]
    symbols = byte_symbols()
    words = [
        *symbols,
        *(f"{symbol}</w>" for symbol in symbols),
        *("".join(pair) for pair in merges),
        START,
        END,
    ]
    return build_tokenizer({word: number for number, word in enumerate(words)}, merges)


def byte_symbols() -> list[str]:
    """The printable characters that stand for the 256 bytes, in CLIP's order (Radford et al. 2019)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(code) for code in plain] + [chr(256 + place) for place in range(256 - len(plain))]
