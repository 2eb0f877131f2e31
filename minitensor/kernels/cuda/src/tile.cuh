#pragma once
// Tiles of a matrix product: c (M, N) = Σ over k < K of a (row, k) · b (column, k).
//
// A block of THREADS threads computes SIDE x SIDE numbers of c. It walks along k in steps of DEPTH
// numbers. For each it loads SIDE rows of a and of b into shared memory, as words k-major: word
// (k, row). A word is what is multiplied: a number of type REAL, one tf32, or two bf16. How a and b
// come from memory is up to two loaders; those of plain matrices are here, those of images in
// windows.cuh. The words of this field:
//
//   vectorised load     a thread reads a pack of 16 bytes at once
//   swizzle             a permutation of shared memory that spares conflicts of its banks
//   double buffering    the next step is loaded while this one is multiplied
//   split-K             several blocks share one tile, each with a part of k; sum_parts adds up
//   epilogue            what happens to a sum before it is written: bias, residual, activation
//
// SIDE and DEPTH are the caller's, who plans the grid by them: products.py.
#define FULL 0
#define TF32 1
#define BF16 2
#include "common.cuh"
#include "mma.cuh"

constexpr int THREADS = 256;                            // of a block, as in tuning.py
constexpr int PER_WORD = PRECISION == BF16 ? 2 : 1;     // numbers
constexpr int WORDS = DEPTH / PER_WORD;                 // of a step, along k
constexpr int SHARE = SIDE * DEPTH / THREADS;           // numbers of a (and of b) a thread loads

// Blocks at work on one processor at a time: two, where their registers suffice for that.
#if defined(__CUDA_ARCH__) \
    && ((PRECISION == FULL && __CUDA_ARCH__ >= 800) || (PRECISION == TF32 && __CUDA_ARCH__ >= 900))
constexpr int RESIDENT = 2;
#else
constexpr int RESIDENT = 1;
#endif

#if PRECISION == FULL
typedef REAL Word;
#else
typedef unsigned Word;
#endif

typedef Word Words[WORDS * SIDE];
typedef Words Buffers[4];               // a and b of this step, a and b of the next

// What a block computes: a tile of c, and under split-K only a part of its sums. The grid is
// (tiles, groups, split-K).
struct Tile {
    int row, column, group, split, first_k, steps;

    __device__ Tile(int columns, int depth)
    {
        int across = ceil_div(columns, SIDE);
        int all_steps = ceil_div(depth, DEPTH), share = ceil_div(all_steps, gridDim.z);
        row = blockIdx.x / across * SIDE;           // neighbours in the grid share the rows of a
        column = blockIdx.x % across * SIDE;
        group = blockIdx.y;
        split = blockIdx.z;
        first_k = split * share * DEPTH;
        steps = max(min(all_steps - split * share, share), 0);
    }
};

// ---- shared memory -----------------------------------------------------------------------------

// Where word (k, row) is: rows are permuted by eights so that neither writing runs along k nor
// reading runs along rows makes two threads of a warp wait for the same bank of shared memory.
__device__ inline int swizzled(int k, int row) { return k * SIDE + (row ^ 8 * ((k ^ k >> 2) & 3)); }

__device__ inline Word word_of(const REAL* numbers, int stride)
{
#if PRECISION == FULL
    return numbers[0];
#elif PRECISION == TF32
    return to_tf32(numbers[0]);
#else
    return to_bf16s(numbers[0], numbers[stride]);
#endif
}

__device__ inline void load_pack(REAL* to, const REAL* from, bool valid)
{
    Pack pack = {};
    if (valid)
        pack = *(const Pack*)from;
    for (int e = 0; e < PACK; e++)
        to[e] = pack.v[e];
}

// How the threads share the loading of a matrix whose packs lie along k: thread t has the packs
// (row(i), k), i < RUNS.
struct AlongK {
    static constexpr int PACKS_PER_ROW = DEPTH / PACK, RUNS = SHARE / PACK;
    static constexpr int ROWS_AT_ONCE = THREADS / PACKS_PER_ROW;
    static __device__ int k() { return threadIdx.x % PACKS_PER_ROW * PACK; }
    static __device__ int row(int i) { return threadIdx.x / PACKS_PER_ROW + i * ROWS_AT_ONCE; }

    static __device__ void store(const REAL (&numbers)[SHARE], Word* words)
    {
        for (int i = 0; i < RUNS; i++)
            for (int e = 0; e < PACK; e += PER_WORD)
                words[swizzled((k() + e) / PER_WORD, row(i))] = word_of(numbers + i * PACK + e, 1);
    }
};

// The same where packs lie along rows: thread t has the packs (row, k(i)), i < RUNS. The PER_WORD
// numbers of a word are in packs that follow each other.
struct AlongRows {
    static constexpr int PACKS_PER_K = SIDE / PACK, RUNS = SHARE / PACK;
    static constexpr int WORDS_AT_ONCE = THREADS / PACKS_PER_K;
    static __device__ int row() { return threadIdx.x % PACKS_PER_K * PACK; }
    static __device__ int k(int i)
    {
        return (threadIdx.x / PACKS_PER_K + i / PER_WORD * WORDS_AT_ONCE) * PER_WORD + i % PER_WORD;
    }

    static __device__ void store(const REAL (&numbers)[SHARE], Word* words)
    {
        for (int i = 0; i < RUNS; i += PER_WORD)
            for (int e = 0; e < PACK; e++)
                words[swizzled(k(i) / PER_WORD, row() + e)] = word_of(numbers + i * PACK + e, PACK);
    }
};

// ---- loaders of plain matrices -----------------------------------------------------------------

// Element (row, k) of a matrix is at row · stride + k. Packs may reach into the stride's end, which
// must be zeros.
struct MatrixAlongK : AlongK {
    const REAL* matrix;
    int rows, depth, stride, first, position;

    __device__ MatrixAlongK(const REAL* matrix, int rows, int depth, int stride, int first_row,
                            int first_k)
        : matrix(matrix), rows(rows), depth(depth), stride(stride), first(first_row),
          position(first_k + k()) {}

    __device__ void load(REAL (&numbers)[SHARE])
    {
        for (int i = 0; i < RUNS; i++) {
            int row = first + this->row(i);
            bool valid = row < rows && position < depth;
            load_pack(numbers + i * PACK, matrix + (row * stride + position), valid);
        }
        position += DEPTH;
    }
};

// Element (row, k) of a matrix is at k · stride + row.
struct MatrixAlongRows : AlongRows {
    const REAL* matrix;
    int rows, depth, stride, row, position;

    __device__ MatrixAlongRows(const REAL* matrix, int rows, int depth, int stride, int first_row,
                               int first_k)
        : matrix(matrix), rows(rows), depth(depth), stride(stride),
          row(first_row + AlongRows::row()), position(first_k) {}

    __device__ void load(REAL (&numbers)[SHARE])
    {
        for (int i = 0; i < RUNS; i++) {
            int k = position + this->k(i);
            load_pack(numbers + i * PACK, matrix + (k * stride + row), row < rows && k < depth);
        }
        position += DEPTH;
    }
};

// ---- multiplication ----------------------------------------------------------------------------

#if PRECISION == FULL

// Each thread's part of c: PATCH x PATCH numbers. The threads are a square of ACROSS x ACROSS; each
// has runs of PACK rows and columns that lie ACROSS runs apart.
struct Sums {
    static constexpr int ACROSS = 16, PATCH = SIDE / ACROSS;
    static_assert(ACROSS * ACROSS == THREADS, "the threads are a square");
    REAL c[PATCH][PATCH] = {};

    static __device__ int at(int thread, int i)
    {
        return i / PACK * ACROSS * PACK + thread * PACK + i % PACK;
    }

    __device__ void add_product(const Word* a, const Word* b)
    {
        int y = threadIdx.x / ACROSS, x = threadIdx.x % ACROSS;
        for (int k = 0; k < WORDS; k++) {
            REAL column[PATCH], row[PATCH];
            for (int i = 0; i < PATCH; i += PACK) {
                load_pack(column + i, a + swizzled(k, at(y, i)), true);
                load_pack(row + i, b + swizzled(k, at(x, i)), true);
            }
            for (int i = 0; i < PATCH; i++)
                for (int j = 0; j < PATCH; j++)
                    c[i][j] += column[i] * row[j];
        }
    }

    // f(row, column, number) for each number of this thread.
    template <class F>
    __device__ void for_each(F f) const
    {
#pragma unroll                          // or else the sums would leave their registers
        for (int i = 0; i < PATCH; i++)
#pragma unroll
            for (int j = 0; j < PATCH; j++)
                f(at(threadIdx.x / ACROSS, i), at(threadIdx.x % ACROSS, j), c[i][j]);
    }
};

#else

// Each warp's part of c: ROWS x COLUMNS numbers, as DOWN x ACROSS products of the tensor cores,
// spread over its threads as in mma.cuh.
struct Sums {
    static constexpr int DOWN = 4, ACROSS = 4;
    static constexpr int ROWS = DOWN * MMA_ROWS, COLUMNS = ACROSS * MMA_COLUMNS;
    static constexpr int WARPS_ACROSS = SIDE / COLUMNS;
    static_assert(SIDE / ROWS * WARPS_ACROSS * WARP == THREADS, "the warps cover the tile");
    float c[DOWN][ACROSS][4] = {};

    static __device__ int first_row() { return threadIdx.x / WARP / WARPS_ACROSS * ROWS; }
    static __device__ int first_column() { return threadIdx.x / WARP % WARPS_ACROSS * COLUMNS; }

    __device__ void add_product(const Word* a, const Word* b)
    {
        int group = threadIdx.x % WARP / QUAD, member = threadIdx.x % QUAD;
#pragma unroll 1                        // or else the sums would leave their registers
        for (int k = 0; k < WORDS; k += MMA_WORDS) {
            unsigned from_a[DOWN][4], from_b[ACROSS][2];
            for (int i = 0; i < DOWN; i++)
                for (int part = 0; part < 4; part++) {
                    int row = first_row() + i * MMA_ROWS + group + part % 2 * (MMA_ROWS / 2);
                    from_a[i][part] = a[swizzled(k + member + part / 2 * QUAD, row)];
                }
            for (int j = 0; j < ACROSS; j++)
                for (int part = 0; part < 2; part++) {
                    int column = first_column() + j * MMA_COLUMNS + group;
                    from_b[j][part] = b[swizzled(k + member + part * QUAD, column)];
                }
            for (int i = 0; i < DOWN; i++)
                for (int j = 0; j < ACROSS; j++)
                    multiply_warp(c[i][j], from_a[i], from_b[j]);
        }
    }

    template <class F>
    __device__ void for_each(F f) const
    {
        int group = threadIdx.x % WARP / QUAD, member = threadIdx.x % QUAD;
#pragma unroll                          // or else the sums would leave their registers
        for (int i = 0; i < DOWN; i++)
#pragma unroll
            for (int j = 0; j < ACROSS; j++)
#pragma unroll
                for (int part = 0; part < 4; part++) {
                    int row = first_row() + i * MMA_ROWS + group + part / 2 * (MMA_ROWS / 2);
                    int column = first_column() + j * MMA_COLUMNS + 2 * member + part % 2;
                    f(row, column, c[i][j][part]);
                }
    }
};

#endif

// sums += a · b over `steps` steps of DEPTH. a.load(numbers) reads the next step of a thread's
// share from memory, which takes so long that the step before is multiplied meanwhile.
template <class A, class B>
__device__ void multiply(A& a, B& b, int steps, Buffers& buffers, Sums& sums)
{
    REAL next_a[SHARE], next_b[SHARE];
    a.load(next_a);
    b.load(next_b);
    for (int step = 0; step < steps; step++) {
        Words* now = buffers + step % 2 * 2;    // the step before may still be using the others
        A::store(next_a, now[0]);
        B::store(next_b, now[1]);
        __syncthreads();
        if (step + 1 < steps) {
            a.load(next_a);
            b.load(next_b);
        }
        sums.add_product(now[0], now[1]);
    }
}

// f(row, column, sum) for each sum of this thread that c (M, N) has.
template <class F>
__device__ void for_each_of(const Sums& sums, const Tile& tile, int M, int N, F f)
{
    sums.for_each([&](int row, int column, REAL sum) {
        row += tile.row, column += tile.column;
        if (row < M && column < N)
            f(row, column, sum);
    });
}
