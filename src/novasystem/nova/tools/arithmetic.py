"""Arithmetic from text, exact and bounded: a grammar of its own, and nothing is executed.

::

    sum     = product (("+" | "-") product)*
    product = signed (("*" | "/" | "//" | "%" | "mod") signed)*
    signed  = ("+" | "-") signed | power
    power   = value (("^" | "**") signed)?
    value   = number | name | name "(" sum ("," sum)* ")" | "(" sum ")"

Numbers are fractions of whole numbers, so that 0.1 + 0.2 is 0.3. What has no exact value, such as
most roots, is calculated with 50 digits.
"""

import decimal
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

__all__ = ["calculate"]

_MAX_CHARS = 1_000
_MAX_DEPTH = 40
# Longer numbers than Python itself would write.
_MAX_BITS = 13_000
_MAX_EXPONENT = 10_000
_EXACT_DIGITS = 40
_ROUGH_DIGITS = 15
_DECIMALS = decimal.Context(prec=50)

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?)"
    r"|(?P<name>[a-zA-Z]\w*)|(?P<sign>\*\*|//|[-+*/%^(),]))",
    re.ASCII,
)
# As they are printed: multiplication signs, the division sign, minus, a dash, and pi.
_SAME = str.maketrans({0xD7: "*", 0xB7: "*", 0xF7: "/", 0x2212: "-", 0x2013: "-", 0x3C0: "pi"})


def calculate(expression: str) -> str:
    """The value of ``expression``, as a decimal number: exact where it has at most 40 digits behind
    the point, and otherwise with 15 significant ones.

    Raises ``ValueError`` that says what is wrong with it, in words for whoever wrote it.
    """
    if len(expression) > _MAX_CHARS:
        msg = f"an expression has at most {_MAX_CHARS} characters, not {len(expression)}"
        raise ValueError(msg)
    return _shown(_Parser(expression.translate(_SAME)).value())


class _Parser:
    """Reads one expression from left to right; each rule of the grammar is a method."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._place = 0
        self._depth = 0

    def value(self) -> Fraction:
        if not self._tokens:
            raise ValueError("the expression is empty")
        found = self._sum()
        if self._next is not None:
            msg = f"'{self._next}' is not expected after '{self._tokens[self._place - 1]}'"
            raise ValueError(msg)
        return found

    @property
    def _next(self) -> str | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _taken(self, *tokens: str) -> str | None:
        if self._next in tokens:
            self._place += 1
            return self._tokens[self._place - 1]
        return None

    def _need(self, token: str) -> None:
        if self._taken(token) is None:
            msg = f"'{token}' is missing" + (f" before '{self._next}'" if self._next else "")
            raise ValueError(msg)

    def _sum(self) -> Fraction:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
        found = self._product()
        while sign := self._taken("+", "-"):
            other = self._product()
            found = _bounded(found + other if sign == "+" else found - other)
        self._depth -= 1
        return found

    def _product(self) -> Fraction:
        found = self._signed()
        while sign := self._taken("*", "/", "//", "%", "mod"):
            other = self._signed()
            if sign == "*":
                found = _bounded(found * other)
            elif not other:
                raise ValueError("division by zero")
            elif sign == "/":
                found = _bounded(found / other)
            else:
                found = Fraction(found // other) if sign == "//" else found % other
        return found

    def _signed(self) -> Fraction:
        negative = False
        while sign := self._taken("+", "-"):
            negative ^= sign == "-"
        found = self._power()
        return -found if negative else found

    def _power(self) -> Fraction:
        base = self._value()
        if self._taken("^", "**"):
            self._depth += 1
            if self._depth > _MAX_DEPTH:
                raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
            base = _raised(base, self._signed())
            self._depth -= 1
        return base

    def _value(self) -> Fraction:
        token = self._next
        if token is None:
            raise ValueError("it ends where a number is expected")
        self._place += 1
        if token == "(":
            found = self._sum()
            self._need(")")
            return found
        if token[0].isdigit() or token[0] == ".":
            return _bounded(Fraction(token))
        if token.casefold() in _CONSTANTS:
            return _CONSTANTS[token.casefold()]
        function = _FUNCTIONS.get(token.casefold())
        if function is None:
            known = ", ".join([*_FUNCTIONS, *_CONSTANTS])
            what = f"'{token}' is not known" if token[0].isalpha() else f"'{token}' is no number"
            raise ValueError(f"{what}; there are numbers, + - * / // % ^ and {known}")
        return self._called(token, function)

    def _called(self, name: str, function: Callable[..., Fraction]) -> Fraction:
        self._need("(")
        arguments = [self._sum()]
        while self._taken(","):
            arguments.append(self._sum())
        self._need(")")
        try:
            return function(*arguments)
        except TypeError:
            raise ValueError(f"{name} does not take {len(arguments)} numbers") from None


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    place = 0
    text = text.rstrip().removesuffix("=").rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"'{text[place:].strip()[:20]}' cannot be read")
        number = match["number"]
        if number and re.fullmatch(r".*[eE][+-]?\d{4}", number):
            raise ValueError("a number is too long")
        found.append(match.group().strip())
        place = match.end()
    return found


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
        raise ValueError(f"a number has more than {int(_MAX_BITS * math.log10(2)):,} digits")
    return value


def _raised(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator == 1:
        power = int(exponent)
        if not base and power < 0:
            raise ValueError("division by zero")
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if abs(base.numerator) <= 1 and base.denominator == 1:
            if not power:
                return Fraction(1)
            return base if power % 2 else base * base
        if abs(power) > _MAX_EXPONENT or (bits - 1) * abs(power) > _MAX_BITS:
            raise ValueError("a power is too large a number")
        return _bounded(Fraction(base**power))
    if base < 0:
        raise ValueError("a negative number has no such power")
    root = _exact_root(base, exponent)
    return (
        root if root is not None else _roughly(lambda: _DECIMALS.power(_dec(base), _dec(exponent)))
    )


def _exact_root(base: Fraction, exponent: Fraction) -> Fraction | None:
    """For square roots, the most frequent ones; ``None`` where there is none."""
    if exponent != Fraction(1, 2):
        return None
    above, below = math.isqrt(base.numerator), math.isqrt(base.denominator)
    exact = above * above == base.numerator and below * below == base.denominator
    return Fraction(above, below) if exact else None


def _dec(value: Fraction) -> decimal.Decimal:
    return _DECIMALS.divide(decimal.Decimal(value.numerator), decimal.Decimal(value.denominator))


def _roughly(work: Callable[[], decimal.Decimal]) -> Fraction:
    try:
        return _bounded(Fraction(work()))
    except (decimal.DecimalException, OverflowError):
        raise ValueError("a number is too large") from None


def _round(value: Fraction, digits: Fraction = Fraction(0)) -> Fraction:
    """Half away from zero, as taught in schools."""
    if digits.denominator != 1 or abs(digits) > _EXACT_DIGITS:
        raise ValueError(f"a number is rounded to between 0 and {_EXACT_DIGITS} digits")
    scale = Fraction(10) ** int(digits)
    whole = math.floor(abs(value) * scale + Fraction(1, 2))
    return Fraction(whole if value >= 0 else -whole) / scale


def _log(value: Fraction, base: Fraction | None = None) -> Fraction:
    if value <= 0 or (base is not None and (base <= 0 or base == 1)):
        raise ValueError("it has no logarithm")
    if base is None:
        return _roughly(lambda: _DECIMALS.ln(_dec(value)))
    return _roughly(lambda: _DECIMALS.divide(_DECIMALS.ln(_dec(value)), _DECIMALS.ln(_dec(base))))


_CONSTANTS: Mapping[str, Fraction] = {
    "pi": Fraction("3.14159265358979323846264338327950288419716939937511"),
    "e": Fraction("2.71828182845904523536028747135266249775724709369996"),
}
_FUNCTIONS: Mapping[str, Callable[..., Fraction]] = {
    "sqrt": lambda x: _raised(x, Fraction(1, 2)),
    "abs": lambda x: abs(x),
    "round": _round,
    "floor": lambda x: Fraction(math.floor(x)),
    "ceil": lambda x: Fraction(math.ceil(x)),
    "min": lambda *all_of: min(all_of),
    "max": lambda *all_of: max(all_of),
    "log": _log,
    "ln": lambda x: _log(x),
    "log10": lambda x: _log(x, Fraction(10)),
}


def _shown(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    # A fraction ends where its denominator has no other prime factors than 2 and 5.
    twos = (value.denominator & -value.denominator).bit_length() - 1
    rest, fives = value.denominator >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest == 1 and places <= _EXACT_DIGITS:
        scaled = value.numerator * 10**places // value.denominator
        sign, digits = ("-" if scaled < 0 else ""), str(abs(scaled)).rjust(places + 1, "0")
        return f"{sign}{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")
    rough = decimal.Context(prec=_ROUGH_DIGITS)
    shown = rough.divide(decimal.Decimal(value.numerator), decimal.Decimal(value.denominator))
    plain = f"{shown:f}" if -10 < shown.adjusted() < _ROUGH_DIGITS else f"{shown:E}"
    digits, mark, exponent = plain.partition("E")
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) + mark + exponent
