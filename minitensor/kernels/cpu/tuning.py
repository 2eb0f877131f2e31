"""Every constant of the fast set that was chosen for speed, with the measurement that chose it.

Results depend on them in their last bits at most. Read them as `tuning.NAME`, so that a test or an
experiment can set them. Unless another unit is named, figures are milliseconds of processor time,
the best of several on one thread (NumPy 2.4, OpenBLAS 0.3.31, a processor with AVX-512 and 2 MB of
second-level cache a core), for float32. conv1, conv2, conv3 are AlexNet's at batch 16; `small` is
32 channels of 32 x 32 to as many, 3 x 3, at batch 64. "y" is the forward pass.
"""
# ---- memory --------------------------------------------------------------------------------------

# Bytes of a cache line, on x86 and on most ARM processors: a fact, not a choice.
LINE_BYTES = 64
# Scratch that a thread keeps between calls; what does not fit is allocated afresh. Not measured:
# more than AlexNet asks for at batch 128.
SCRATCH_BYTES = 256 * 2**20
# Smaller results are left to NumPy. 1 MB allocated and touched over and over: 0.059 by NumPy, 0.070
# by ours, so that keeping pays only where NumPy's allocator gives memory back in between.
KEPT_RESULT_BYTES = 2**20
# Kept memory is given to a result if it is at most so many times as large. Not measured.
LOOSEST_FIT = 1.25

# ---- elementwise kernels, normalisation, update, max-pool's gradient -----------------------------

# Elements of a block. 2^16, 2^18, 2^20: normalisation of (32, 96, 55, 55) 32, 36, 43; update of
# 2^24 weights 25, 29, 34; tanh' 13.6, 14.1, 15.0; max-pool's gradient 22.8, 22.9, 28.8. Not 2^16:
# calls should be long enough for threads to pay.
BLOCK_ELEMENTS = 2**18

# Numbers of a wide row of batch normalisation. 2^18 numbers of 16 channels: their sums take 0.29 in
# rows of 16, 0.02 in rows of 2048, a channel's value subtracted 0.11 and 0.06.
WIDE_ROW = 2048

# ---- pools, forward ------------------------------------------------------------------------------

# Elements of the images of a block. 2^18, 2^20, 2^22, max-pool 3/2 of (32, 96, 55, 55): 13.8, 17.7,
# 18.6. But two threads take 13.3 ms at 2^18 and 9.9 at 2^20: they wait less for the GIL.
POOL_BLOCK_ELEMENTS = 2**20
# A batch has at least so many blocks, if it has that many images: work for threads. Not measured.
POOL_TASKS = 4

# ---- matrix products -----------------------------------------------------------------------------

# Rows of w (columns in the input gradient) of a task. 128, 512, 4096: fc7 at batch 128 46, 39, 39,
# backward 93, 85, 80; on two threads 23, 20, 39 and 47, 44, 79 ms.
LINEAR_ROWS = 512
# Multiply-adds of a task, about a millisecond. 2^24, 2^26, all in one: (512, 512) · (512, 512),
# four times, 9.1, 8.1, 7.6; on two threads 5.4, 4.7, 7.5 ms.
MATMUL_TASK_PRODUCTS = 2**26

# ---- convolution by im2col -----------------------------------------------------------------------

# A batch of small images has at least so many blocks, if it has that many images: work for threads.
# 1, 8, 64: small at batch 64 y 12.4, 12.3, 14.9, at batch 16 3.2, 3.3, 3.7.
BLOCKS_OF_IMAGES = 8
# Columns of a block. 2^18, 2^20, 2^21, 2^23: conv1 y 49, 39, 38, 36; its weight gradient 50, 41,
# 40, 39; its input gradient 186, 128, 122, 117. Not 2^23: every thread keeps a block of that size.
COLUMNS_BYTES = 2**21
# Sums of a weight gradient that are added up apart, by a task each. 1, 8, 32: conv1 40.3, 40.5,
# 40.7: they cost nothing, and so many tasks keep threads busy.
COLUMNS_SUMS = 8
# Up to so many output pixels a product is cut by filters, not by pixels: else one image would be
# the work of one thread. On one thread it costs: conv3 of one image 2.9 by pixels, 3.4 by filters.
FEW_PIXELS = 256
# Tasks of such a product. 1, 2, 4, 8: conv3 of one image 2.7, 2.8, 3.0, 3.4.
FILTER_TASKS = 4
# Of an output's gradient whose channels are added up in one call. 2^16, 2^20, 2^24: conv1 5.2, 5.1,
# 7.2, small 3.3, 2.8, 3.0.
BIAS_GRADIENT_BYTES = 2**20

# ---- convolution by Winograd's algorithm ---------------------------------------------------------

# It is used where its multiplications are less than this fraction of the definition's. It becomes
# the faster one at 0.50 (conv3 y), 0.73 (conv3's weight gradient), 0.73 (small), 0.71 (64 channels
# of 16 x 16).
WINOGRAD_WORTH = 2 / 3
# A multiplication of the filters' transform counts as so many others. It took 3.4 (conv2) and 14
# (conv3) times as long as BLAS's.
FILTER_COST = 4
# Tiles gathered for one transform. 2^18, 2^20, 2^22: conv2 y 54, 54, 51, small y 17, 12.5, 11.8,
# small's weight gradient 22, 17, 13. Not yet 2^22: that is measured on one thread of one processor
# only.
TRANSFORM_BYTES = 2**20
# Channels, or filters, whose filters a task transforms. 4, 16, 64: conv3 y 31.5, 30.3, 30.2; conv2
# the same for all.
TRANSFORMED_CHANNELS = 16
# Tiles of a block on which all threads work. 100, 400, 1600: conv2 y 49, 53, 50, its weight
# gradient 50, 60, 58; conv3 y 34.7, 30.9, 31.0. A compromise: conv2 wants 100, the
# layers like conv3 more.
BLOCK_TILES = 400
# Up to so many numbers of transformed filters, every task works on blocks of its own. With no
# filters, with all: small y 13.6, 12.6; 64 channels of 16 x 16 8.3, 7.2; but conv3 y 30.3, 34.4.
OWN_FILTERS_ELEMENTS = 2**18
# Tiles of such a block. 32, 128, 512: small y 12.3, 12.5, 12.7; its weight gradient 16.7, 16.8,
# 14.6; 64 channels of 16 x 16 7.2, 7.3, 8.0.
OWN_BLOCK_TILES = 128
# Tasks of such blocks, so also the sums of a weight gradient that are added up apart. 1, 4, 16:
# small's weight gradient 18.6, 17.2, 17.0.
WINOGRAD_SUMS = 16
# Of the n² products, where all threads work on one block. 1, 4, 16: conv3 y 31.1, 31.0, 32.0. One
# at a time, threads would wait for each other's Python between short products; not measured.
POINTS_OF_A_TASK = 4
