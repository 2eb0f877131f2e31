// The part of CUDA C++ that the kernels use, for g++: included before an unchanged .cu file. The
// threads of a block run one after another, each until it reaches a barrier, in a random order
// (runtime.cpp). Inline PTX has no meaning here: its wrappers ask for __CUDA_ARCH__.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __restrict__            // the driver refuses arrays that overlap instead
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__ static       // a library's zero-initialised data are its kernels' shared memory

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace emulator {

struct Site { const char *name; int line; };            // a barrier's place in the source

// ---- runtime.cpp ----
void wait_for_block(Site site);
void wait_for_warp(unsigned mask, Site site);
char *warp_slots();             // 32 x SLOT bytes that the warp's next shuffle writes
[[noreturn]] void fail(const char *message, Site site);

constexpr int SLOT = 16;

inline unsigned thread() {
    return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}
inline unsigned lane() { return thread() % 32; }

// The value of lane source, which must be in mask.
template <class T> T shuffle(unsigned mask, const T &value, unsigned source, Site site) {
    static_assert(sizeof(T) <= SLOT && std::is_trivially_copyable<T>::value,
                  "a warp exchanges small plain values");
    T *values = reinterpret_cast<T *>(warp_slots());
    std::memcpy(&values[lane()], &value, sizeof(T));
    wait_for_warp(mask, site);
    unsigned lanes = blockDim.x * blockDim.y * blockDim.z - thread() / 32 * 32;
    if (!(mask >> source & 1) || source >= lanes)
        fail("a shuffle reads a lane that does not take part", site);
    return values[source];
}

// Calls a kernel with the arguments that the driver passes as addresses of values.
template <class... A, size_t... I>
void call(void (*kernel)(A...), void **values, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A> *>(values[I])...);
}
template <class... A> void call(void (*kernel)(A...), void **values) {
    call(kernel, values, std::index_sequence_for<A...>{});
}

}  // namespace emulator

// ---- barriers and warps ----
#define EMULATOR_SITE(name) emulator::Site{name " in " __FILE__, __LINE__}
#define __syncthreads() emulator::wait_for_block(EMULATOR_SITE("__syncthreads"))
#define __syncwarp() emulator::wait_for_warp(0xffffffffu, EMULATOR_SITE("__syncwarp"))
#define __shfl_xor_sync(mask, value, bits) \
    emulator::shuffle(mask, value, emulator::lane() ^ unsigned(bits), \
                      EMULATOR_SITE("__shfl_xor_sync"))

// ---- arithmetic ----
template <class To, class From> To emulator_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "");
    To to; std::memcpy(&to, &from, sizeof(To)); return to;
}
inline unsigned __float_as_uint(float x) { return emulator_bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return emulator_bits<float>(x); }
inline float __int_as_float(int x) { return emulator_bits<float>(x); }
inline uint64_t __umul64hi(uint64_t a, uint64_t b) {
    return uint64_t((static_cast<unsigned __int128>(a) * b) >> 64);
}
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float rsqrt(float x) { return 1 / std::sqrt(x); }
using std::exp; using std::log; using std::pow; using std::sqrt; using std::tanh;

// CUDA's max and min forget a NaN, as fmax and fmin do.
template <class A, class B> std::common_type_t<A, B> max(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>) return std::fmax(T(a), T(b));
    else return T(a) > T(b) ? T(a) : T(b);
}
template <class A, class B> std::common_type_t<A, B> min(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>) return std::fmin(T(a), T(b));
    else return T(a) < T(b) ? T(a) : T(b);
}
