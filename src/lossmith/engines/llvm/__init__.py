"""The compiled engine: programs become vector kernels, by LLVM."""
