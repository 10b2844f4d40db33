from ._rounded import rounded as rounded
