"""What of a question is worth looking for, and how each database is asked for it."""

import re
from collections.abc import Sequence

__all__ = ["for_postgres", "for_sqlite", "words_of"]

# Letters and digits: no operator, quote or comma of a query language is among them.
_WORD = re.compile(r"[^\W_]+")
_MOST = 32
_PREFIX_FROM = 4
# Words that nearly every sentence holds; with them a question would find them all.
_SMALL = """
a about above after again all also am an and any are as at be because been before being but by can
could did do does doing don down each few for from further get give go had has have having he her
here hers him his how i if in into is it its just know let like ll me mine more most my no nor not
now of off on once only or other our ours out over own please re same say said she should so some
such tell than that the their theirs them then there these they this those through to too under
until up us ve very was we were what when where which while who whom whose why will with would you
your yours aber alle als also am an auch auf aus bei bin bis bist da damit dann das dass dein
deine dem den denn der des die dies diese dir doch du ein eine einem einen einer es euch für hat
hatte ich ihm ihn ihr im in ist ja kann mein meine mich mir mit nach nicht noch nur ob oder sag
sich sie sind so und uns unser vom von vor war was weil wenn wer wie wir wird wo zu zum zur über
au aux avec ce ces cette dans de des du elle en est et eux il ils je la le les leur lui ma mais
mes moi mon même ne nos notre nous on ou où par pas pour qu que quel quelle qui sa se ses son sont
sur ta te tes toi ton tu un une vos votre vous al como con cual del donde el ella ellos era es
esta este esto está fue ha hay las lo los mi mis muy más o para pero por qué quien quién se si sin
sobre son su sus sí también tu tus una uno y ya yo
"""
_COMMON = frozenset(_SMALL.split())


def words_of(text: str) -> list[str]:
    """The words of ``text`` that tell it from others, once each, 32 at most.

    Of a longer one those at its beginning and at its end, where questions stand.
    """
    # In small letters as both databases make them: neither takes "ß" for "ss".
    found = dict.fromkeys(
        word
        for word in _WORD.findall(text.lower())
        if word not in _COMMON and (len(word) > 1 or ord(word) > 0x2E80) and len(word) <= 64
    )
    words = list(found)
    half = _MOST // 2
    return words if len(words) <= _MOST else words[:half] + words[-half:]


def _beginnings(words: Sequence[str]) -> list[tuple[str, bool]]:
    """Each word, and whether longer ones that begin with it count too: other forms of it do."""
    asked = []
    for word in words:
        if word.isdigit() or len(word) < _PREFIX_FROM:
            asked.append((word, False))
        else:
            plain = word[:-1] if word.endswith("s") and len(word) > _PREFIX_FROM else word
            asked.append((plain, True))
    return asked


def for_sqlite(words: Sequence[str]) -> str:
    """FTS5's query for any of them."""
    return " OR ".join(f'"{word}"{"*" * more}' for word, more in _beginnings(words))


def for_postgres(words: Sequence[str]) -> list[str]:
    """A ``tsquery`` for each of them, as text."""
    return [f"'{word}'{':*' * more}" for word, more in _beginnings(words)]
