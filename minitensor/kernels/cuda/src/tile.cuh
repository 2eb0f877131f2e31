#pragma once
// A tile of the product c (rows, columns) = Σ over k of a (rows, k) · b (columns, k): how it lies in shared memory, and its multiplication.
//
// A block of THREADS threads computes SIDE x SIDE numbers of c. It walks along k in steps of DEPTH numbers; for each it loads SIDE rows of a
// and of b into shared memory, as words k-major: word (k, row). A word is what is multiplied: a number of type REAL, one tf32, or two bf16.
// SIDE and DEPTH are the caller's, who plans the blocks by them.
#include "common.cuh"

#define FULL 0
#define TF32 1
#define BF16 2
#include "mma.cuh"

constexpr int THREADS = 256;
constexpr int PER_WORD = PRECISION == BF16 ? 2 : 1;                 // numbers
constexpr int WORDS = DEPTH / PER_WORD;                             // along k
constexpr int SHARE = SIDE * DEPTH / THREADS;                       // numbers of a, and as many of b, that each thread loads

// Blocks at work on one processor at a time: two, where their registers suffice for that.
#if defined(__CUDA_ARCH__) && ((PRECISION == FULL && __CUDA_ARCH__ >= 800) || (PRECISION == TF32 && __CUDA_ARCH__ >= 900))
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

// Where word (k, row) is: rows are permuted by eights so that neither writing runs along k nor reading runs along rows makes two threads of
// a warp wait for the same bank of shared memory.
__device__ inline int place(int k, int row) { return k * SIDE + (row ^ 8 * ((k ^ k >> 2) & 3)); }

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

// How the threads share the loading of a matrix whose packs lie along k: thread t has the packs (row(i), k), i < RUNS.
struct AlongK {
    static constexpr int PACKS_PER_ROW = DEPTH / PACK, RUNS = SHARE / PACK;
    static __device__ int k() { return threadIdx.x % PACKS_PER_ROW * PACK; }
    static __device__ int row(int i) { return threadIdx.x / PACKS_PER_ROW + i * (THREADS / PACKS_PER_ROW); }

    static __device__ void store(const REAL (&numbers)[SHARE], Word* words)
    {
        for (int i = 0; i < RUNS; i++)
            for (int e = 0; e < PACK; e += PER_WORD)
                words[place((k() + e) / PER_WORD, row(i))] = word_of(numbers + i * PACK + e, 1);
    }
};

// The same where packs lie along rows: thread t has the packs (row, k(i)), i < RUNS.
struct AlongRows {
    static constexpr int PACKS_PER_K = SIDE / PACK, RUNS = SHARE / PACK;
    static __device__ int row() { return threadIdx.x % PACKS_PER_K * PACK; }
    static __device__ int k(int i) { return (threadIdx.x / PACKS_PER_K + i / PER_WORD * (THREADS / PACKS_PER_K)) * PER_WORD + i % PER_WORD; }

    static __device__ void store(const REAL (&numbers)[SHARE], Word* words)
    {
        for (int i = 0; i < RUNS; i += PER_WORD)
            for (int e = 0; e < PACK; e++)
                words[place(k(i) / PER_WORD, row() + e)] = word_of(numbers + i * PACK + e, PACK);
    }
};

#if PRECISION == FULL

// Each thread's part of c: PATCH x PATCH numbers, in runs of PACK rows and columns that lie 16 runs apart.
struct Sums {
    static constexpr int PATCH = SIDE / 16;
    REAL c[PATCH][PATCH] = {};

    static __device__ int at(int thread, int i) { return i / PACK * 16 * PACK + thread * PACK + i % PACK; }

    __device__ void add_product(const Word* a, const Word* b)
    {
        int y = threadIdx.x / 16, x = threadIdx.x % 16;
        for (int k = 0; k < WORDS; k++) {
            REAL column[PATCH], row[PATCH];
            for (int i = 0; i < PATCH; i += PACK) {
                load_pack(column + i, a + place(k, at(y, i)), true);
                load_pack(row + i, b + place(k, at(x, i)), true);
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
#pragma unroll                                                          // or else the sums would leave their registers
        for (int i = 0; i < PATCH; i++)
#pragma unroll
            for (int j = 0; j < PATCH; j++)
                f(at(threadIdx.x / 16, i), at(threadIdx.x % 16, j), c[i][j]);
    }
};

#else

// Each warp's part of c: 64 rows x 32 columns, as 4 x 4 products of the tensor cores, spread over its threads as in mma.cuh.
struct Sums {
    static constexpr int DOWN = 4, ACROSS = 4;
    float c[DOWN][ACROSS][4] = {};

    static __device__ int first_row() { return threadIdx.x / WARP / 4 * 64; }
    static __device__ int first_column() { return threadIdx.x / WARP % 4 * 32; }

    __device__ void add_product(const Word* a, const Word* b)
    {
        int group = threadIdx.x % WARP / 4, member = threadIdx.x % 4;
        for (int k = 0; k < WORDS; k += 8) {
            unsigned from_a[DOWN][4], from_b[ACROSS][2];
            for (int i = 0; i < DOWN; i++)
                for (int part = 0; part < 4; part++)
                    from_a[i][part] = a[place(k + member + part / 2 * 4, first_row() + i * 16 + group + part % 2 * 8)];
            for (int j = 0; j < ACROSS; j++)
                for (int part = 0; part < 2; part++)
                    from_b[j][part] = b[place(k + member + part * 4, first_column() + j * 8 + group)];
            for (int i = 0; i < DOWN; i++)
                for (int j = 0; j < ACROSS; j++)
                    multiply_warp(c[i][j], from_a[i], from_b[j]);
        }
    }

    template <class F>
    __device__ void for_each(F f) const
    {
        int group = threadIdx.x % WARP / 4, member = threadIdx.x % 4;
#pragma unroll                                                          // or else the sums would leave their registers
        for (int i = 0; i < DOWN; i++)
#pragma unroll
            for (int j = 0; j < ACROSS; j++)
#pragma unroll
                for (int part = 0; part < 4; part++)
                    f(first_row() + i * 16 + group + part / 2 * 8, first_column() + j * 8 + 2 * member + part % 2, c[i][j][part]);
    }
};

#endif

// sums += a · b over `steps` steps of DEPTH. a.load(numbers) reads the next step of a thread's share from memory, which takes so long that
// the step before is multiplied meanwhile.
template <class A, class B>
__device__ void multiply(A& a, B& b, int steps, Words* shared, Sums& sums)
{
    REAL next_a[SHARE], next_b[SHARE];
    a.load(next_a);
    b.load(next_b);
    for (int step = 0; step < steps; step++) {
        Words* now = shared + step % 2 * 2;             // a and b of this step; the other two may still be in use for the step before
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
