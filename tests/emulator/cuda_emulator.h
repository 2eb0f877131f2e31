// The part of CUDA C++ that the kernels use, for g++: included before an unchanged .cu file. The threads of a block run one after another,
// each until it reaches a barrier, in a random order (runtime.cpp). Inline PTX has no meaning here: its wrappers ask for CUDA_EMULATOR.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define CUDA_EMULATOR 1
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __restrict__                                    // the driver refuses arrays that overlap instead
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__ static                               // a library's zero-initialised data are the shared memory of its kernels

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace emulator {

struct Site { const char *name; int line; };            // a barrier's place in the source

// ---- runtime.cpp ----
void wait_for_block(Site site);
int count_in_block(bool predicate, Site site);          // how many threads of the block say yes; a barrier too
void wait_for_warp(unsigned mask, Site site);
char *warp_slots();                                     // 32 x SLOT bytes that the warp's next exchange writes
void *dynamic_shared();
[[noreturn]] void fail(const char *message, Site site);

constexpr int SLOT = 256;

inline unsigned thread() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }
inline unsigned lane() { return thread() % 32; }

// The values of all lanes in mask, by lane.
template <class T> const T *exchange(const T &value, unsigned mask, Site site) {
    static_assert(sizeof(T) <= SLOT && std::is_trivially_copyable<T>::value, "a warp exchanges small plain values");
    T *slots = reinterpret_cast<T *>(warp_slots());
    std::memcpy(&slots[lane()], &value, sizeof(T));
    wait_for_warp(mask, site);
    return slots;
}

template <class T> T shuffle(unsigned mask, const T &value, int source, Site site) {
    const T *values = exchange(value, mask, site);
    unsigned threads = blockDim.x * blockDim.y * blockDim.z, lanes = threads - thread() / 32 * 32;
    if (!(mask >> source & 1) || source >= int(lanes)) fail("a shuffle reads a lane that does not take part", site);
    return values[source];
}

// The lane at source within the group of width lanes that holds this one, or this lane itself where source is outside of the group.
inline int in_group(int source, int width) { return source >= 0 && source < width ? int(lane()) / width * width + source : int(lane()); }
inline int place(int width) { return int(lane()) % width; }

inline unsigned ballot(unsigned mask, bool predicate, Site site) {
    const bool *votes = exchange(predicate, mask, site);
    unsigned result = 0, lanes = blockDim.x * blockDim.y * blockDim.z - thread() / 32 * 32;
    for (unsigned i = 0; i < 32 && i < lanes; i++) result |= unsigned((mask >> i & 1) && votes[i]) << i;
    return result;
}

// ---- what PTX wrappers do on the CPU ----
#define warp_exchange(value) exchange(value, 0xffffffffu, emulator::Site{__FILE__, __LINE__})

// cp.async: the bytes arrive when they are waited for, not before, so a forgotten wait shows.
void cp_async(void *shared, const void *global, int bytes, int bytes_to_read);
inline void cp_async(void *shared, const void *global, int bytes) { cp_async(shared, global, bytes, bytes); }
void cp_async_commit();
void cp_async_wait(int groups_in_flight);

inline float from_bits(uint32_t bits) { float x; std::memcpy(&x, &bits, 4); return x; }
inline float bf16(uint32_t pair, int half) { return from_bits(half ? pair & 0xffff0000u : pair << 16); }
inline float tf32(uint32_t bits) { return from_bits(bits & 0xffffe000u); }     // the tensor cores read 19 bits

struct Fragments { unsigned a[4], b[2]; };
inline Fragments fragments(const unsigned *a, const unsigned *b) { return {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}}; }

// d = a b + c for a (16, K), b (K, 8), in the fragment layouts of PTX; multiply(row, column) gives one number of a b.
template <class Multiply> void mma_m16n8(float *d, const float *c, Multiply multiply) {
    int row = lane() / 4, column = lane() % 4 * 2;
    for (int i = 0; i < 4; i++) d[i] = c[i] + multiply(row + i / 2 * 8, column + i % 2);
}

inline void mma_m16n8k16_bf16(float *d, const unsigned *a, const unsigned *b, const float *c) {
    const Fragments *all = warp_exchange(fragments(a, b));
    mma_m16n8(d, c, [all](int row, int column) {
        float sum = 0;
        for (int k = 0; k < 16; k++) {
            int pair = k % 8 / 2;
            sum += bf16(all[row % 8 * 4 + pair].a[row / 8 + k / 8 * 2], k % 2) * bf16(all[column * 4 + pair].b[k / 8], k % 2);
        }
        return sum;
    });
}

inline void mma_m16n8k8_tf32(float *d, const unsigned *a, const unsigned *b, const float *c) {
    const Fragments *all = warp_exchange(fragments(a, b));
    mma_m16n8(d, c, [all](int row, int column) {
        float sum = 0;
        for (int k = 0; k < 8; k++) sum += tf32(all[row % 8 * 4 + k % 4].a[row / 8 + k / 4 * 2]) * tf32(all[column * 4 + k % 4].b[k / 4]);
        return sum;
    });
}

// ldmatrix of count 8 x 8 matrices of 16-bit numbers: lane 8 i + r gives the address of row r of matrix i.
inline void ldmatrix(unsigned *registers, const void *row, bool transposed, int count) {
    const void *const *rows = warp_exchange(row);
    for (int i = 0; i < count; i++) {
        unsigned r = lane() / 4, c = lane() % 4 * 2;
        uint16_t pair[2];
        for (unsigned j = 0; j < 2; j++) {
            unsigned from = transposed ? c + j : r, at = transposed ? r : c + j;
            std::memcpy(&pair[j], static_cast<const char *>(rows[8 * i + from]) + 2 * at, 2);
        }
        std::memcpy(&registers[i], pair, 4);
    }
}

// Calls a kernel with the arguments that the driver passes as addresses of values.
template <class... A, size_t... I> void call(void (*kernel)(A...), void **values, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A> *>(values[I])...);
}
template <class... A> void call(void (*kernel)(A...), void **values) { call(kernel, values, std::index_sequence_for<A...>{}); }

}  // namespace emulator

// ---- barriers and warps ----
#define EMULATOR_SITE(name) emulator::Site{name " in " __FILE__, __LINE__}
#define __syncthreads() emulator::wait_for_block(EMULATOR_SITE("__syncthreads"))
#define __syncthreads_count(p) emulator::count_in_block(p, EMULATOR_SITE("__syncthreads_count"))
#define __syncthreads_or(p) (emulator::count_in_block(p, EMULATOR_SITE("__syncthreads_or")) > 0)
#define __syncthreads_and(p) (emulator::count_in_block(!(p), EMULATOR_SITE("__syncthreads_and")) == 0)
#define EMULATOR_FIRST(mask, ...) mask
#define __syncwarp(...) emulator::wait_for_warp(EMULATOR_FIRST(__VA_ARGS__ __VA_OPT__(,) 0xffffffffu), EMULATOR_SITE("__syncwarp"))
#define __activemask() 0xffffffffu
#define __ballot_sync(mask, p) emulator::ballot(mask, p, EMULATOR_SITE("__ballot_sync"))
#define __any_sync(mask, p) (emulator::ballot(mask, p, EMULATOR_SITE("__any_sync")) != 0)
#define __all_sync(mask, p) (emulator::ballot(mask, !(p), EMULATOR_SITE("__all_sync")) == 0)
#define EMULATOR_SHUFFLE(name, mask, value, source) emulator::shuffle(mask, value, source, EMULATOR_SITE(name))
#define EMULATOR_WIDTH(unused, width, ...) width
#define EMULATOR_WIDTH_OF(...) EMULATOR_WIDTH(0, ##__VA_ARGS__, 32, 0)
#define __shfl_sync(mask, value, source, ...) EMULATOR_SHUFFLE("__shfl_sync", mask, value, \
    emulator::in_group((source) % EMULATOR_WIDTH_OF(__VA_ARGS__), EMULATOR_WIDTH_OF(__VA_ARGS__)))
#define __shfl_xor_sync(mask, value, bits, ...) EMULATOR_SHUFFLE("__shfl_xor_sync", mask, value, \
    emulator::in_group(emulator::place(EMULATOR_WIDTH_OF(__VA_ARGS__)) ^ (bits), EMULATOR_WIDTH_OF(__VA_ARGS__)))
#define __shfl_down_sync(mask, value, by, ...) EMULATOR_SHUFFLE("__shfl_down_sync", mask, value, \
    emulator::in_group(emulator::place(EMULATOR_WIDTH_OF(__VA_ARGS__)) + int(by), EMULATOR_WIDTH_OF(__VA_ARGS__)))
#define __shfl_up_sync(mask, value, by, ...) EMULATOR_SHUFFLE("__shfl_up_sync", mask, value, \
    emulator::in_group(emulator::place(EMULATOR_WIDTH_OF(__VA_ARGS__)) - int(by), EMULATOR_WIDTH_OF(__VA_ARGS__)))
inline void __threadfence() {}
inline void __threadfence_block() {}

// One thread runs at a time, so plain arithmetic is atomic.
template <class T, class U> T atomicAdd(T *to, U value) { T old = *to; *to = old + T(value); return old; }
template <class T, class U> T atomicExch(T *to, U value) { T old = *to; *to = T(value); return old; }
template <class T, class U> T atomicMax(T *to, U value) { T old = *to; if (T(value) > old) *to = T(value); return old; }
template <class T, class U> T atomicMin(T *to, U value) { T old = *to; if (T(value) < old) *to = T(value); return old; }
template <class T, class U, class V> T atomicCAS(T *to, U compare, V value) { T old = *to; if (old == T(compare)) *to = T(value); return old; }

// ---- vectors ----
#define EMULATOR_VECTORS(type, name, of2, of4) \
    struct __align__(of2) name##2 { type x, y; }; \
    struct __align__(of4) name##4 { type x, y, z, w; }; \
    inline name##2 make_##name##2(type x, type y) { return {x, y}; } \
    inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
EMULATOR_VECTORS(float, float, 8, 16)
EMULATOR_VECTORS(double, double, 16, 16)
EMULATOR_VECTORS(int, int, 8, 16)
EMULATOR_VECTORS(unsigned, uint, 8, 16)
EMULATOR_VECTORS(short, short, 4, 8)
EMULATOR_VECTORS(unsigned short, ushort, 4, 8)
EMULATOR_VECTORS(unsigned char, uchar, 2, 4)
EMULATOR_VECTORS(signed char, char, 2, 4)
EMULATOR_VECTORS(long long, longlong, 16, 16)

// ---- arithmetic ----
template <class T> T __ldg(const T *from) { return *from; }
template <class T> T __ldcs(const T *from) { return *from; }
template <class T> void __stcs(T *to, T value) { *to = value; }
template <class To, class From> To emulator_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "");
    To to; std::memcpy(&to, &from, sizeof(To)); return to;
}
inline unsigned __float_as_uint(float x) { return emulator_bits<unsigned>(x); }
inline int __float_as_int(float x) { return emulator_bits<int>(x); }
inline float __uint_as_float(unsigned x) { return emulator_bits<float>(x); }
inline float __int_as_float(int x) { return emulator_bits<float>(x); }
inline long long __double_as_longlong(double x) { return emulator_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return emulator_bits<double>(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline uint64_t __umul64hi(uint64_t a, uint64_t b) { return uint64_t((static_cast<unsigned __int128>(a) * b) >> 64); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __log2f(float x) { return std::log2(x); }
inline float __powf(float x, float y) { return std::pow(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fmaf_rn(float x, float y, float z) { return std::fma(x, y, z); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float rsqrt(float x) { return 1 / std::sqrt(x); }
inline float __saturatef(float x) { return x > 0 ? x < 1 ? x : 1 : 0; }
using std::isfinite; using std::isinf; using std::isnan; using std::fma; using std::exp; using std::log; using std::pow; using std::sqrt;
using std::tanh; using std::floor; using std::ceil; using std::fmax; using std::fmin; using std::abs;

// CUDA's max and min forget a NaN, as fmax and fmin do.
template <class A, class B> std::common_type_t<A, B> max(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>) return std::fmax(T(a), T(b)); else return T(a) > T(b) ? T(a) : T(b);
}
template <class A, class B> std::common_type_t<A, B> min(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>) return std::fmin(T(a), T(b)); else return T(a) < T(b) ? T(a) : T(b);
}
