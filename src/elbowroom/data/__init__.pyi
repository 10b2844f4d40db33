from ._load_data import load_data as load_data
from .dataset import Dataset as Dataset
from .dataset import Examples as Examples
from .dataset import describe as describe
from .named import DataRow as DataRow
from .named import fetch_data as fetch_data
from .named import list_data as list_data
