from .files import append_line as append_line
from .files import write_atomic as write_atomic
from .progress import Progress as Progress
from .recipes import Described as Described
from .recipes import build as build
from .recipes import described as described
from .recipes import recipe_of as recipe_of
