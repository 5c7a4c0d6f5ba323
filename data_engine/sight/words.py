"""What is written on screens: everyday words of user interfaces and of icons, strings of letters, and numbers."""

import string
from functools import cache

import numpy as np

from ..gelab.icons import IconSet

EVERYDAY = """a about above accept account action add address again agent all allow also an and answer any app apply are
area arrow as ask at back bar before below birthday black blank blue both bottom box brown button by call camera can
cancel change chat check choose city clear click close code color come complete confirm contact content continue copy
count country create current dark date day default delete details device different dialog do done double down download
drag each edit eight email empty enter error every example explain false field file find first five focus folder font
for form forget forgot four found four from full game get give go goal good gray green has have height hello help here
hide history home how if image in input instruction into is it item its join key keep label language large last later
left less level light line link list loading log login long look make many mark me menu message middle mobile more
most move music my name near need new next nine no none not note now number of off ok old on one only open option
or orange order other out over page paper password paste people phone photo picture pink place play please point
position post press previous profile purple put read red register remember remove reset right row same save say
screen screenshot scroll search second see select send set settings seven share shop short show sign six size
small so some start state step still stop submit sure switch tab table take tap target task ten text than that the
their then there these they this three time title to top true try turn two type under up update use user username
value video view wait want was way web welcome what when where which white who width will window with word work
world write wrong year yellow yes you your zero zip zoom""".split()
LENGTHS = range(3, 9)  # letters of a word or string


@cache
def words() -> tuple[str, ...]:
    """The words that may stand on a screen: 3 to 8 letters, lower case; none is the name of an icon."""
    icons = {icon.name for icon in IconSet().icons}
    candidates = {part for name in icons for part in name.split()}.union(EVERYDAY) - icons
    return tuple(sorted(word for word in candidates if len(word) in LENGTHS and word.isalpha()))


def word(generator: np.random.Generator) -> str:
    return words()[generator.integers(len(words()))]


def letters(generator: np.random.Generator, lengths: range = LENGTHS) -> str:
    """A string of random letters, 3 to 8 of them if nothing else is said, which nobody can guess."""
    return "".join(generator.choice(list(string.ascii_lowercase), generator.integers(lengths.start, lengths.stop)))


def sign(generator: np.random.Generator) -> str:
    """One or two letters, or one or two digits."""
    return letters(generator, range(1, 3)) if generator.random() < 0.7 else str(generator.integers(100))


def number(generator: np.random.Generator) -> str:
    """A number of 1 to 4 digits, each length as often."""
    return str(generator.integers(10 ** int(generator.integers(1, 5))))
