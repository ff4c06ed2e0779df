"""Reading the language: from a text to layers, or to a sentence that says what to write instead."""

import functools
import re
from collections import deque
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from core.convnets import branches, layers, norms, vocabulary
from core.convnets.branches import JOINED, Branches, Join
from core.convnets.counting import Chain, Layer, LayerError
from core.convnets.pasted import phrases_of_calls
from core.convnets.vocabulary import FROM_ZERO, NO_NUMBERS, NOT_COUNTED, OPTIONS, PAIRS, SAME, WORDS, Word
from core.knobs import clip

MAX_NUMBER = 65_536  # of any number in a layer
MAX_NESTED = 6  # brackets in brackets
MAX_LAYERS = 1_000  # repetitions written out: torchvision's longest network has some 750
MAX_WORDS = 4  # of a layer's name: "squeeze and excitation 8"

SEPARATORS = ",;\n"
ARROWS = re.compile(r"->|→|=>|>|\|>")
TIMES = re.compile(r"(\d+)\s*x\s*(?=[a-z(]|$)")
TIMES_AFTER = re.compile(r"x\s*(\d+)$")
REPEAT_BY_STAR = re.compile(r"(^|[(|+,;\n])(\s*\d+)\s*\*\s*(?=[a-z(])")


@functools.lru_cache(maxsize=64)
def read(text: str) -> Chain:
    """The layers that a text describes. Raises `LayerError`."""
    tokens = deque(_tokens(text))
    chain = _chain(tokens, 0)
    if tokens:
        raise LayerError(
            f"“{tokens[0]}” stands outside of brackets; branches are written ( conv 8 1x1 | conv 8 3x3 pad 1 )"
        )
    if not chain:
        raise LayerError("a network needs a layer; write one on a line, such as conv 16 5x5")
    return chain


def _tokens(text: str) -> list[str]:
    """Phrases and signs, in lower case, without remarks."""
    text = re.sub(r"(#|//).*", "", phrases_of_calls(text)).lower().replace("×", "x").replace("·", "*")
    text = ARROWS.sub(",", text.translate(str.maketrans("[]{}", "()()")))
    text = re.sub(r"(?<=\d)\s*[x*]\s*(?=\d)", "x", text)  # 5 × 5, 5*5
    text = REPEAT_BY_STAR.sub(r"\1\2x ", text)
    return [token.strip() for token in re.findall(r"[()|+*]|[^()|+*,;\n]+", text) if token.strip()]


def _chain(tokens: deque[str], depth: int) -> Chain:
    chain: list[Layer] = []
    while tokens and tokens[0] not in (")", *JOINED):
        times, phrase = _times(tokens.popleft())
        if phrase == "" and tokens and tokens[0] == "(":
            phrase = tokens.popleft()
        some = _brackets(tokens, depth + 1) if phrase == "(" else _layer(phrase)
        after = TIMES_AFTER.fullmatch(tokens[0]) if tokens and phrase == "(" else None
        if after is not None:
            times *= int(after[1])
            tokens.popleft()
        if len(chain) + times * size(some) > MAX_LAYERS:
            raise LayerError(f"written out, the network has more than {MAX_LAYERS:,} layers; repeat less")
        chain += some * times
    return tuple(chain)


def size(chain: Sequence[Layer]) -> int:
    """How many layers it has, those in branches among them."""
    return sum(1 + sum(map(size, each.chains)) if isinstance(each, Branches) else 1 for each in chain)


def _times(token: str) -> tuple[int, str]:
    """How often, and what: "3 x conv 8 3x3", or "3 x" ahead of a bracket."""
    found = TIMES.match(token)
    number = found[1] if found is not None else token
    if found is None and not token.isdecimal():
        return 1, token
    if not 1 <= int(number[:9]) <= MAX_LAYERS:
        raise LayerError(f"{clip(token)}: {clip(number)} repetitions are outside 1 … {MAX_LAYERS:,}")
    return int(number), token[found.end() :] if found is not None else ""


def _brackets(tokens: deque[str], depth: int) -> Chain:
    """What stands in brackets: branches, or a chain that may be repeated."""
    if depth > MAX_NESTED:
        raise LayerError(f"brackets stand in brackets more than {MAX_NESTED} deep; fewer will do")
    chains: list[Chain] = [_chain(tokens, depth)]
    signs: set[Join] = set()
    while tokens and tokens[0] != ")":
        sign = tokens.popleft()
        signs.update(join for join in JOINED if join == sign)
        chains.append(_chain(tokens, depth))
    if not tokens:
        raise LayerError("a bracket is opened and never closed; end its last branch with )")
    tokens.popleft()
    if len(signs) > 1:
        raise LayerError(
            "the branches in a bracket are parted by | to lie side by side, by + to be added or by * to be multiplied, "
            "by one of them"
        )
    return (Branches(tuple(chains), signs.pop()),) if signs else chains[0]


def _layer(phrase: str) -> Chain:
    """The layer that a phrase describes; nothing for what holds no numbers."""
    name = clip(" ".join(phrase.split()))
    if name == "":
        raise LayerError("a number of repetitions stands ahead of nothing; write 3 × ( conv 16 3x3 pad 1 )")
    words = re.sub(r"[=:'\"]", " ", phrase).split()
    if re.fullmatch(r"\d+(x\d+)?", words[0]) and len(words) > 1:  # 3x3 conv 64, as papers have it
        found = _word(words[1:])
        words = [*words[1 : 1 + found[1]], words[0], *words[1 + found[1] :]]
    word, length = _word(words)
    if word in NO_NUMBERS:
        return ()
    known = WORDS[word]
    values = _values(name, word, known, deque(_joined(words[length:])))
    return (CLASSES[known.layer](**known.preset, **values),)


def key(spelled: str) -> str:
    """A name as the tables have it: without its module, hyphens, underscores and "2d"."""
    return re.sub(r"[-_ ]", "", spelled.rpartition(".")[2]).removesuffix("2d")


def _word(words: Sequence[str]) -> tuple[str, int]:
    """The canonical word, and how many of those typed it takes: "max pool" takes two."""
    for length in range(min(MAX_WORDS, len(words)), 0, -1):
        spelled = key("".join(words[:length]))
        word = SAME.get(spelled, spelled)
        if word in WORDS or word in NO_NUMBERS:
            return word, length
        if spelled in NOT_COUNTED:
            raise LayerError(f"{clip(' '.join(words[:length]))}: {NOT_COUNTED[spelled]}")
    near = get_close_matches(key(words[0]), [*WORDS, *SAME], n=1)
    ask = (
        f"did you mean {SAME.get(near[0], near[0])}?"
        if near
        else f"write {', '.join(list(WORDS)[:-1])} or {list(WORDS)[-1]}"
    )
    raise LayerError(f"{clip(words[0])} is no layer here; {ask}")


def _joined(words: Sequence[str]) -> list[str]:
    """Options under one name each: "no bias" and its like in one word, activations left out."""
    text = " ".join(words)
    text = re.sub(r"\b(no|without|use|with)[ _]?bias\b", lambda found: f"{found[1]}_bias", text)
    text = re.sub(r"\b(?:no|without)_bias\b|\b(?:use_)?bias (?:false|none|off)\b", "nobias", text)
    text = re.sub(r"\b(?:with|use)_bias\b(?: true)?|\bbias true\b", "", text)
    text = re.sub(r"\b(?:pad|padding|p) (same|valid)\b", r"\1", text)
    text = re.sub(r"\bceil[_ ]?(?:mode)?(?: true)?\b", "ceil", text).replace("ceil false", "")
    text = re.sub(r"\b(activation|valid|filters?|units|of|and|with|x)\b(?!\s*=)", " ", text)
    text = re.sub(r"\boutput[_ ]padding\b", "extra", text)
    return [word for word in text.split() if key(word) not in NO_NUMBERS]


def _values(name: str, word: str, known: Word, left: deque[str]) -> dict[str, Any]:
    """What the phrase says of each number, option and flag."""
    values: dict[str, Any] = {}
    unnamed = deque((*known.numbers, *known.more))
    like = f"write it like {known.example}"
    while left:
        token = left.popleft()
        option = OPTIONS.get(key(token), token)
        flag = {"nobias": "bias"}.get(option, option)
        if option == "nobias" and "no bias" in known.flags:
            title, value = "bias", False
        elif option in known.flags:
            title, value = flag, True
        elif option in (*known.options, *known.numbers, *known.more):
            if not left:
                raise LayerError(f"{name} lacks its {option}; {like}")
            title, value = option, _number(name, option, left.popleft(), like)
        elif (expected := _expected(token, unnamed, known)) is not None:
            title, value = expected, _number(name, expected, token, like)
        else:
            raise LayerError(f"{name}: “{token}” is no part of {word}; {like}")
        if title in values:
            said = "no bias" if title == "bias" else title
            raise LayerError(f"{name} says {said} twice; say it once")
        values[title] = value
        if title in unnamed:
            unnamed.remove(title)
    for title in known.numbers:
        if title not in values:
            raise LayerError(f"{name} lacks its {title}; {like}")
    return values


def _expected(token: str, unnamed: deque[str], known: Word) -> str | None:
    """Which number a token without a name is: the next, or the first that may differ between rows and columns."""
    if not unnamed or (unnamed[0] not in known.numbers and not token[0].isdecimal()):
        return None
    pairs = [title for title in unnamed if title in PAIRS]
    return pairs[0] if re.fullmatch(r"\d+x\d+", token) and pairs else unnamed[0]


def _number(name: str, title: str, token: str, like: str) -> Any:
    """A number, or two for rows and columns: 5, 5x5 or 1x7."""
    parts = token.split("x") if title in PAIRS else [token]
    if not 1 <= len(parts) <= 2 or not all(re.fullmatch("[0-9]+", part) for part in parts):
        what = "a number or two, such as 5, 5x5 or 1x7" if title in PAIRS else "a whole number"
        raise LayerError(f"{name}: its {title}, “{clip(token)}”, is not {what}; {like}")
    least = 0 if title in FROM_ZERO else 1
    for part in parts:
        if len(part) > 9 or not least <= int(part) <= MAX_NUMBER:
            raise LayerError(f"{name}: {title} = {clip(part)} is outside {least} … {MAX_NUMBER}; {like}")
    numbers = [int(part) for part in parts]
    return (numbers[0], numbers[-1]) if title in PAIRS else numbers[0]


CLASSES: dict[str, Any] = {
    known.layer: next(vars(module)[known.layer] for module in (layers, norms, branches) if known.layer in vars(module))
    for known in vocabulary.WORDS.values()
}
