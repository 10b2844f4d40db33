from ._compress import Compressed as Compressed
from ._compress import compress as compress
from ._decompress import decompress as decompress
from ._rounded import rounded as rounded
