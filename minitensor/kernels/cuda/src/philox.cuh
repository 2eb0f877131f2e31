#pragma once
// Random bits as a pure function of (key, position): Philox4x64-10, bit for bit that of
// `minitensor/kernels/philox.py`.

typedef unsigned long long uint64;

constexpr int DRAWS = 8;                        // 32-bit draws that one counter yields

__device__ inline void philox(uint64 key0, uint64 key1, uint64 counter, unsigned (&draws)[DRAWS])
{
    constexpr uint64 MULTIPLIER0 = 0xD2E7470EE14C6C93ull, MULTIPLIER1 = 0xCA5A826395121157ull;
    constexpr uint64 WEYL0 = 0x9E3779B97F4A7C15ull, WEYL1 = 0xBB67AE8584CAA73Bull;
    uint64 a = counter, b = 0, c = 0, d = 0;
    for (int round = 0; round < 10; round++) {
        uint64 high0 = __umul64hi(a, MULTIPLIER0), low0 = a * MULTIPLIER0;
        uint64 high1 = __umul64hi(c, MULTIPLIER1), low1 = c * MULTIPLIER1;
        a = high1 ^ b ^ key0;
        b = low1;
        c = high0 ^ d ^ key1;
        d = low0;
        key0 += WEYL0;
        key1 += WEYL1;
    }
    uint64 words[4] = {a, b, c, d};
    for (int i = 0; i < DRAWS; i++)             // each word its low half, then its high half
        draws[i] = (unsigned)(words[i / 2] >> (i % 2 * 32));
}
