"""Where a worker process begins: `python -P …/runtime/workers/__main__.py DESCRIPTOR`."""

import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parent.parent.parent)
if _ROOT not in sys.path:
    sys.path.append(_ROOT)  # a checkout that is not installed

if __name__ == "__main__":
    from runtime.workers.worker import main

    main(int(sys.argv[1]))
