"""The words captions are made of: for each meaning, the ways it is said."""

from __future__ import annotations

COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "red", "red", "crimson", "scarlet"),
    "orange": ("orange", "orange", "orange", "tangerine"),
    "yellow": ("yellow", "yellow", "yellow", "golden"),
    "green": ("green", "green", "green", "emerald"),
    "blue": ("blue", "blue", "blue", "azure"),
    "purple": ("purple", "purple", "purple", "violet"),
    "pink": ("pink", "pink", "pink", "rose"),
    "white": ("white", "white", "white", "ivory"),
    "black": ("black", "black", "black", "ebony"),
    "gray": ("gray", "grey"),
}
KIND_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "circle", "disc", "dot"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "heart": ("heart",),
    "diamond": ("diamond", "rhombus"),
    "ring": ("ring", "ring", "hoop"),
    "cross": ("cross", "cross", "plus"),
    "house": ("house", "house", "house", "cottage", "home"),
    "tree": ("tree", "tree", "oak"),
    "boat": ("boat", "boat", "sailboat", "ship"),
    "car": ("car", "car", "automobile"),
    "cat": ("cat", "cat", "kitten"),
    "balloon": ("balloon", "balloon", "hot air balloon"),
    "flower": ("flower", "flower", "blossom"),
    "mushroom": ("mushroom", "mushroom", "toadstool"),
    "castle": ("castle", "castle", "fortress"),
    "skull": ("skull",),
}
SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("small", "small", "little", "tiny"),
    "plain": ("",),
    "large": ("large", "big", "big", "huge"),
}
COLUMN_WORDS: dict[int, tuple[str, ...]] = {
    0: ("on the left", "on the left", "on the left side", "at the left", "to the left"),
    1: ("in the middle", "in the middle", "in the center", "in the centre"),
    2: ("on the right", "on the right", "on the right side", "at the right", "to the right"),
}
ROW_NAMES = ("top", "middle", "bottom")
COLUMN_NAMES = ("left", "middle", "right")
SKY_WORDS: dict[str, tuple[str, ...]] = {
    "day": ("by day", "at noon", "in daylight", "under a blue sky", "on a sunny day", "blue sky", "daytime"),
    "sunset": (
        "at sunset",
        "at sunset",
        "at dusk",
        "in the evening",
        "under an orange sky",
        "sunset",
        "evening",
    ),
    "night": ("at night", "at night", "by night", "under a starry sky", "under a dark sky", "night", "stars"),
}
GROUND_WORDS: dict[str, tuple[str, ...]] = {
    "grass": ("on the grass", "in a meadow", "in a green field", "on a lawn", "grass", "meadow"),
    "sand": ("in the desert", "on the sand", "on a beach", "in a sandy desert", "desert", "sand"),
    "snow": ("in the snow", "in winter", "on snow", "in a snowy field", "snow", "winter"),
    "sea": ("on the sea", "on the water", "at sea", "on the ocean", "sea", "water"),
}
LIGHT_WORDS: dict[str, tuple[str, ...]] = {
    "sun": ("the sun", "a yellow sun", "sun"),
    "moon": ("the moon", "a full moon", "moon"),
}
CLOUD_WORDS = ("with clouds", "cloudy sky", "clouds", "some clouds")
MOUNTAIN_WORDS = (
    "with mountains",
    "mountains behind",
    "in front of mountains",
    "mountains",
    "hills in the distance",
)
STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "pencil": ("pencil drawing", "pencil sketch", "a pencil drawing of"),
    "pixel": ("pixel art", "8 bit pixel art", "pixel art of"),
    "woodcut": ("woodcut", "woodcut print", "a woodcut of"),
    "plain": ("",),
}
COUNT_WORDS: dict[int, tuple[str, ...]] = {2: ("two", "a pair of", "2"), 3: ("three", "3"), 4: ("four", "4")}
OPENINGS = (
    "",
    "",
    "",
    "a picture of",
    "a photo of",
    "an image of",
    "a painting of",
    "a drawing of",
    "there is",
    "illustration of",
    "a scene with",
    "we see",
)
FILLER = (
    "masterpiece",
    "best quality",
    "high quality",
    "detailed",
    "beautiful",
    "hd",
    "sharp focus",
    "simple",
    "colorful",
    "cute",
    "nice",
    "very detailed",
    "clean",
    "artstation",
    "cinematic",
    "award winning",
)
GRAMMAR = (
    "a an the of and with in on at to from by under over next beside between near left right above below "
    "background backdrop sky lit photo photograph sitting standing floating flying sailing parked growing is are "
    "no not blurry ugly low worst quality brown cyan gold silver dark bright light snowy sandy grassy starry "
    "plural houses trees boats cars cats balloons flowers mushrooms castles skulls circles squares triangles "
    "hearts diamonds rings crosses skeleton bone corner upper lower side half dog bird person man woman girl boy "
    "sketch print art style anime render realistic portrait landscape sepia watercolor oil canvas texture "
    "upscale edges one five many few"
)

PLURALS: dict[str, str] = {
    kind: "crosses" if kind == "cross" else f"{kind}s"
    for kind in ("circle", "square", "triangle", "star", "heart", "diamond", "ring", "cross")
}


def all_words() -> list[str]:
    """Every word of the grammar once, in a fixed order: each becomes one token."""
    tables = (
        COLOUR_WORDS,
        KIND_WORDS,
        SIZE_WORDS,
        COLUMN_WORDS,
        SKY_WORDS,
        GROUND_WORDS,
        LIGHT_WORDS,
        STYLE_WORDS,
        COUNT_WORDS,
    )
    phrases = [phrase for table in tables for said in table.values() for phrase in said]
    phrases += [*ROW_NAMES, *COLUMN_NAMES, *CLOUD_WORDS, *MOUNTAIN_WORDS, *OPENINGS, *FILLER, GRAMMAR]
    phrases += PLURALS.values()
    words = {word for phrase in phrases for word in phrase.split()}
    return sorted(words)
