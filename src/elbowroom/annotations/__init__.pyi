from ._annotate import annotate as annotate
