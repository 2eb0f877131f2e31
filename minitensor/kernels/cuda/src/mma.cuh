#pragma once
// The tensor cores behind three functions, the same for two formats of their input; sums are
// float32.
//
//   TF32    a word is one number of 19 bits     a product is 8 numbers deep     mma.sync m16n8k8
//   BF16    a word is two numbers of 16 bits    a product is 16 numbers deep    mma.sync m16n8k16
//
// Both multiply a (16, 8 words) by b (8 words, 8) and spread their words over the threads of a warp
// alike. With group = lane / QUAD and member = lane % QUAD a thread holds
//
//   a[0..3]   (row, k) = (group, member), (group + 8, member),
//                        (group, member + 4), (group + 8, member + 4)
//   b[0..1]   (k, column) = (member, group), (member + 4, group)
//   c[0..3]   sums (row, column) = (group, 2 member), (group, 2 member + 1),
//                                  (group + 8, 2 member), (group + 8, 2 member + 1)
#include "common.cuh"

#if PRECISION == TF32 || PRECISION == BF16

constexpr int MMA_ROWS = 16, MMA_COLUMNS = 8, MMA_WORDS = 8, QUAD = 4;

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800

__device__ inline unsigned to_tf32(float x)
{
    unsigned word;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(x));
    return word;
}

__device__ inline unsigned to_bf16s(float low, float high)
{
    unsigned word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

// c += a · b by the whole warp: volatile, so that the compiler moves it into no branch that only
// some threads take.
__device__ inline void multiply_warp(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
#if PRECISION == TF32
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
#endif
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#else   // the same in plain C++, for what has no such tensor cores: older GPUs, and the CPU

// The 32 bits of x rounded to a multiple of 2^bits, halves to even or else away from 0; NaN and
// infinity as they are.
__device__ inline unsigned rounded(float x, int bits, bool to_even)
{
    unsigned word = __float_as_uint(x), half = 1u << (bits - 1);
    if ((word & 0x7f800000u) == 0x7f800000u)
        return word;
    return (word + (to_even ? half - 1 + (word >> bits & 1) : half)) & ~((1u << bits) - 1);
}

__device__ inline unsigned to_tf32(float x) { return rounded(x, 13, false); }

__device__ inline unsigned to_bf16s(float low, float high)
{
    return rounded(low, 16, true) >> 16 | (rounded(high, 16, true) & 0xffff0000u);
}

__device__ inline float product(unsigned a, unsigned b)
{
#if PRECISION == TF32
    return __uint_as_float(a) * __uint_as_float(b);
#else
    return __uint_as_float(a << 16) * __uint_as_float(b << 16)
           + __uint_as_float(a & 0xffff0000u) * __uint_as_float(b & 0xffff0000u);
#endif
}

__device__ inline void multiply_warp(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    __shared__ unsigned words[8][WARP][6];      // of each of 8 warps, of each of its threads: a, b
    int lane = threadIdx.x % WARP, group = lane / QUAD, member = lane % QUAD;
    auto& warp = words[threadIdx.x / WARP];
    for (int i = 0; i < 4; i++)
        warp[lane][i] = a[i];
    for (int i = 0; i < 2; i++)
        warp[lane][4 + i] = b[i];
    __syncwarp();
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < MMA_WORDS; k++) {
            int column = 2 * member + i % 2;
            unsigned from_a = warp[group * QUAD + k % QUAD][i / 2 + k / QUAD * 2];
            unsigned from_b = warp[column * QUAD + k % QUAD][4 + k / QUAD];
            c[i] += product(from_a, from_b);
        }
    __syncwarp();
}

#endif
#endif
