from ._compress import compress as compress
from ._compress_lossy import CompressedLossy as CompressedLossy
from ._compress_lossy import compress_lossy as compress_lossy
from ._decompress import decompress as decompress
from ._rounded import rounded as rounded
from .compressed import Compressed as Compressed
