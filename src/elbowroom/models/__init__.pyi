from ._build import build as build
from .recipe import Recipe as Recipe
from .recipe import goal as goal
from .words import known_words as known_words
from .words import label as label
