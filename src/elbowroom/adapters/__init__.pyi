from ._from_modules import from_modules as from_modules
