"""Every number of this set that was chosen for its speed, with its unit and its reason.

None of them has been measured on a GPU yet: all are estimated, from the figures of an H200 (132
processors, 4.3 TB/s, 47 TFLOP/s in float32) or from what kernels of this kind commonly use.
`python -m benchmarks gpu` measures the kernels that depend on them. Where a source states a number
too, the comment says so; sides, depths and rows stand on the variant lines of the .cu files, and
the launcher refuses others.
"""
# ---- all files -----------------------------------------------------------------------------------

# Threads of a block, where each has one element, or a few, of its own.
THREADS = 256

# ---- products: products.cu, conv.cu --------------------------------------------------------------

# Threads of a block: THREADS in tile.cuh.
TILE_THREADS = 256
# Rows and columns of c that a block computes: as many sums as its threads' registers hold.
TILE_SIDE = {"float32": 128, "float64": 64}
# Numbers of a step along k: two steps of a and of b fit into 48 KB of shared memory.
TILE_DEPTH = {"fp32": 16, "tf32": 16, "bf16": 32}

# Blocks that fill a GPU, two for each of 132 processors. With fewer tiles than that, sums are cut
# by split-K; on every GPU alike, so that they round alike.
GPU_BLOCKS = 264
# Steps of a part of a sum at least: beside fewer, adding the parts up would weigh.
SPLIT_K_STEPS = 8

# Filters of a group from which im2col and cuBLAS beat implicit GEMM. A number of the columns is
# written and read once, 8 bytes, for 2 · filters operations of the product: that adds 44 / filters
# to the product's time.
IM2COL_FILTERS = 128
# Bytes of the columns of the images that are done at once.
IM2COL_BYTES = 2**30

# Rows of a linear layer up to which a warp computes a feature of all of them: ROWS in linear.cu.
FEW_ROWS = 8

# ---- sums and rows: epilogue.cu, activation.cu, loss.cu ------------------------------------------

# Threads of a block: columns, and rows that are summed side by side; WARP, STRIPE in epilogue.cu.
COLUMN_SUM_BLOCK = 32, 8
# Blocks of the first stage, about: the same on every GPU, so that sums round alike.
COLUMN_SUM_BLOCKS = 1024
# Threads of the block that a row of softmax or of the loss has, at most.
ROW_THREADS = 256

# ---- the update: update.cu -----------------------------------------------------------------------

# Tensors of a launch: those that the kernels have parameters for.
UPDATE_TENSORS = 8
# Threads of a block.
UPDATE_THREADS = 256
# Blocks at most: further threads would only wait in line, and each goes on to the next numbers.
UPDATE_BLOCKS = 2048
