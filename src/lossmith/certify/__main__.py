"""``python -m lossmith.certify`` holds the hosts that are installed here against the truth."""

import sys

from lossmith.certify.command import main

if __name__ == "__main__":
    sys.exit(main())
