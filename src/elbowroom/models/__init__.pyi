from ._build import build as build
from .recipe import Recipe as Recipe
from .recipe import goal as goal
from .words import known_words as known_words
from .words import label as label
from .zoo import Named as Named
from .zoo import named as named
from .zoo import zoo as zoo
