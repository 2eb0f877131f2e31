// Runs the blocks of one launch: every thread of a block on a stack of its own, switched at
// barriers, in a random order.
//
// A thread runs until it waits or ends. When none can go on, the waiting ones are released: a warp
// once all lanes of the mask wait at the same place, the block once all of its threads do. If
// nothing can be released, or threads wait at different places, the barrier was divergent. Shared
// memory starts every block as NaN. Buffers lie in pages of their own between pages that nobody may
// touch.
#include "cuda_emulator.h"

#include <algorithm>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace {

using emulator::Site;
constexpr size_t PAGE = 4096, STACK = 128 * 1024;
constexpr size_t ARENA = size_t(1) << 36;               // addresses, not memory
constexpr int POISON = 0xff;            // NaN in every floating-point type, -1 in every integer
constexpr int BESIDE_WRITTEN = 0xfe;    // another one, which a copied NaN does not equal

// ---- random order ----

uint64_t random_state;
uint32_t random_below(uint32_t n) {                     // xorshift64*
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return uint32_t((((random_state * 2685821657736338717ull) >> 32) * n) >> 32);
}
void shuffle(std::vector<int> &order) {
    for (size_t i = order.size(); i > 1; i--)
        std::swap(order[i - 1], order[random_below(uint32_t(i))]);
}

// ---- threads and their stacks ----

struct Fiber { char *stack; jmp_buf where; bool started; };
enum State { READY, AT_BLOCK, AT_WARP, DONE };
struct Thread {
    State state;
    int fiber;                                          // -1 before its first step
    unsigned mask, exchanges;
    Site site;
};
struct Call { void (*kernel)(void **); void **values; };

std::vector<Fiber> fibers;
std::vector<int> idle;
std::vector<Thread> threads;
std::vector<int> ready;
size_t next_ready, going;               // of ready: the next to run, and how many run in this round
std::vector<char> slots;                                // per warp two times 32 x SLOT
int current;
Call running;
jmp_buf scheduler;
sigjmp_buf launch_frame;
char message[512];

void set_thread_index(int thread) {
    current = thread;
    unsigned i = unsigned(thread);
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
}

[[noreturn]] void stop() { siglongjmp(launch_frame, 1); }

[[noreturn]] void stop_at(int thread, const char *what, Site site) {
    set_thread_index(thread);
    snprintf(message, sizeof message, "%s, %s:%d, thread (%u, %u, %u) of block (%u, %u, %u)", what,
             site.name, site.line, threadIdx.x, threadIdx.y, threadIdx.z,
             blockIdx.x, blockIdx.y, blockIdx.z);
    stop();
}

// The life of a stack: the kernel for one thread after another. A thread that never waits costs no
// switch.
void fiber_main() {
    for (int me = threads[size_t(current)].fiber;;) {
        running.kernel(running.values);
        Thread &thread = threads[size_t(current)];
        thread.state = DONE;
        if (next_ready < going && threads[size_t(ready[next_ready])].fiber < 0) {
            set_thread_index(ready[next_ready++]);
            threads[size_t(current)].fiber = me;
            continue;
        }
        idle.push_back(me);
        if (!_setjmp(fibers[size_t(me)].where)) _longjmp(scheduler, 1);
    }
}

// So many addresses, whose memory nobody may touch yet.
char *addresses(size_t bytes) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    return static_cast<char *>(mmap(nullptr, bytes, PROT_NONE, flags, -1, 0));
}

int take_fiber() {
    if (idle.empty()) {
        char *memory = addresses(STACK + PAGE);
        mprotect(memory + PAGE, STACK, PROT_READ | PROT_WRITE);
        fibers.push_back({memory + PAGE, {}, false});
        idle.push_back(int(fibers.size()) - 1);
    }
    int fiber = idle.back();
    idle.pop_back();
    return fiber;
}

void start(Fiber &fiber) {
    static ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack;
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, fiber_main, 0);
    fiber.started = true;
    setcontext(&context);
}

void resume(int thread) {
    set_thread_index(thread);
    int &fiber = threads[size_t(thread)].fiber;
    if (fiber < 0) fiber = take_fiber();
    if (_setjmp(scheduler)) return;
    Fiber &to = fibers[size_t(fiber)];
    if (to.started) _longjmp(to.where, 1);
    start(to);
}

void wait(State state, unsigned mask, Site site) {
    Thread &thread = threads[size_t(current)];
    thread.state = state, thread.mask = mask, thread.site = site;
    if (!_setjmp(fibers[size_t(thread.fiber)].where)) _longjmp(scheduler, 1);
}

// ---- barriers ----

bool same_place(const Thread &a, const Thread &b) {
    return a.site.line == b.site.line && !strcmp(a.site.name, b.site.name);
}

unsigned lanes_of(size_t warp) {
    size_t left = threads.size() - warp * 32;
    return left >= 32 ? 0xffffffffu : (1u << left) - 1;
}

void release(int thread) { threads[size_t(thread)].state = READY, ready.push_back(thread); }

// Lets go every group of lanes that is complete.
void release_warps() {
    for (size_t first = 0; first < threads.size(); first++) {
        Thread &leader = threads[first];
        if (leader.state != AT_WARP) continue;
        size_t warp = first / 32;
        unsigned mask = leader.mask & lanes_of(warp);
        bool complete = true;
        if (!(mask >> first % 32 & 1))
            stop_at(int(first), "a lane takes part that its own mask leaves out", leader.site);
        for (size_t lane = 0; lane < 32; lane++) {
            if (!(mask >> lane & 1)) continue;
            Thread &other = threads[warp * 32 + lane];
            if (other.state == DONE)
                stop_at(int(first), "divergent barrier: waits for a lane that has ended",
                        leader.site);
            complete &= other.state == AT_WARP && same_place(leader, other)
                        && other.mask == leader.mask;
        }
        for (size_t lane = 0; complete && lane < 32; lane++)
            if (mask >> lane & 1) release(int(warp * 32 + lane));
    }
}

void release_block() {
    for (size_t i = 0; i < threads.size(); i++) {
        Thread &thread = threads[i];
        if (thread.state == AT_WARP)
            stop_at(int(i), "divergent barrier: lanes of its mask wait elsewhere", thread.site);
        if (thread.state == DONE) continue;
        for (size_t j = 0; j < threads.size(); j++)
            if (threads[j].state == DONE || !same_place(thread, threads[j]))
                stop_at(int(i),
                        threads[j].state == DONE
                            ? "divergent barrier: waits for threads that have ended"
                            : "divergent barrier: waits while others wait elsewhere",
                        thread.site);
        for (size_t j = 0; j < threads.size(); j++) release(int(j));
        return;
    }
}

// In every other block one warp runs alone, as far ahead of the others as barriers let it: puts its
// threads first, and says how many they are.
size_t put_first(int &warp) {
    auto inside = [&warp](int thread) { return thread / 32 == warp; };
    if (std::none_of(ready.begin(), ready.end(), inside)) warp = ready[0] / 32;
    return size_t(std::partition(ready.begin(), ready.end(), inside) - ready.begin());
}

void run_block(char *statics, size_t statics_size) {
    memset(statics, POISON, statics_size);
    ready.clear();
    for (size_t i = 0; i < threads.size(); i++) {
        threads[i].fiber = -1, threads[i].exchanges = 0;
        release(int(i));
    }
    bool alone = random_below(2);
    for (int ahead = 0; !ready.empty();) {
        shuffle(ready);
        going = alone ? put_first(ahead) : ready.size();
        for (next_ready = 0; next_ready < going;) resume(ready[next_ready++]);
        ready.erase(ready.begin(), ready.begin() + ptrdiff_t(going));
        release_warps();
        if (ready.empty()) release_block();
    }
}

// ---- buffers between forbidden pages ----

// As the driver's Buffer; inside: where it lies in the arena.
struct Buffer { char *data; size_t bytes; int align, written; char *inside; };
struct Slack { char *start; size_t bytes; int value; };

char *arena, *arena_used;
std::vector<Slack> slacks;

size_t pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

// A copy of the buffer that ends (or begins, at_start) at a forbidden page; the rest of its pages
// must stay as it is.
void place(Buffer &buffer, bool at_start) {
    size_t size = pages(buffer.bytes + size_t(buffer.align));
    mprotect(arena_used, size, PROT_READ | PROT_WRITE);
    size_t align = size_t(buffer.align), phase = size_t(buffer.data) % align;
    size_t free = size - buffer.bytes, last = (free - phase) / align * align + phase;
    size_t before = at_start || free < phase ? phase : last;
    buffer.inside = arena_used + before;
    memcpy(buffer.inside, buffer.data, buffer.bytes);
    int value = buffer.written ? BESIDE_WRITTEN : POISON;
    slacks.push_back({arena_used, before, value});
    slacks.push_back({buffer.inside + buffer.bytes, free - before, value});
    for (const Slack *slack = &slacks.back() - 1; slack <= &slacks.back(); slack++)
        memset(slack->start, value, slack->bytes);
    arena_used += size + PAGE;
}

void check_slacks(Buffer *buffers) {
    for (size_t i = 0; i < slacks.size(); i++)
        for (size_t j = 0; j < slacks[i].bytes; j++)
            if (static_cast<unsigned char>(slacks[i].start[j]) != slacks[i].value) {
                Buffer &buffer = buffers[i / 2];
                snprintf(message, sizeof message,
                         "writes outside of buffer %zu, %td bytes from its start of %zu", i / 2,
                         slacks[i].start + j - buffer.inside, buffer.bytes);
                return;
            }
}

Buffer *placed;
size_t placed_count;

// The buffer that the address just misses, or nullptr.
const Buffer *nearest_buffer(const char *address) {
    const Buffer *nearest = nullptr;
    ptrdiff_t least = 2 * PAGE;
    for (const Buffer *buffer = placed; buffer < placed + placed_count; buffer++) {
        ptrdiff_t before = buffer->inside - address, behind = -before - ptrdiff_t(buffer->bytes);
        ptrdiff_t distance = std::max(before, behind);
        if (distance < least) least = distance, nearest = buffer;
    }
    return nearest;
}

void on_signal(int signal, siginfo_t *info, void *) {
    char *address = static_cast<char *>(info->si_addr);
    char where[200] = "";
    if (signal == SIGFPE) snprintf(where, sizeof where, "divides an integer by zero");
    else if (signal == SIGILL)
        snprintf(where, sizeof where, "reaches past a shared or local array, or its address is no "
                                      "multiple of the type's size");
    else snprintf(where, sizeof where, "reaches outside of every buffer");
    const Buffer *nearest = signal == SIGSEGV ? nearest_buffer(address) : nullptr;
    if (nearest)
        snprintf(where, sizeof where,
                 "reaches outside of buffer %td, %td bytes from its start of %zu", nearest - placed,
                 address - nearest->inside, nearest->bytes);
    snprintf(message, sizeof message, "%s, thread (%u, %u, %u) of block (%u, %u, %u)", where,
             threadIdx.x, threadIdx.y, threadIdx.z, blockIdx.x, blockIdx.y, blockIdx.z);
    stop();
}

constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

struct Handlers {                       // ours during a launch, Python's again afterwards
    struct sigaction before[4];
    stack_t stack_before;
    Handlers() {
        static char stack[64 * 1024];
        stack_t alternative = {};
        alternative.ss_sp = stack, alternative.ss_size = sizeof stack;
        sigaltstack(&alternative, &stack_before);
        struct sigaction action = {};
        action.sa_sigaction = on_signal, action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        for (int i = 0; i < 4; i++) sigaction(SIGNALS[i], &action, &before[i]);
    }
    void restore() {
        for (int i = 0; i < 4; i++) sigaction(SIGNALS[i], &before[i], nullptr);
        sigaltstack(&stack_before, nullptr);
    }
};

void run_blocks(char *statics, size_t statics_size) {
    std::vector<int> blocks(size_t(gridDim.x) * gridDim.y * gridDim.z);
    for (size_t i = 0; i < blocks.size(); i++) blocks[i] = int(i);
    shuffle(blocks);
    for (int b : blocks) {
        unsigned i = unsigned(b);
        blockIdx = {i % gridDim.x, i / gridDim.x % gridDim.y, i / gridDim.x / gridDim.y};
        run_block(statics, statics_size);
    }
}

void prepare() {
    if (!arena) arena = addresses(ARENA);
    threads.assign(size_t(blockDim.x) * blockDim.y * blockDim.z, Thread{DONE, -1, 0, 0, {}});
    slots.assign((threads.size() + 31) / 32 * 2 * 32 * emulator::SLOT, char(POISON));
    idle.clear();
    for (size_t i = 0; i < fibers.size(); i++) fibers[i].started = false, idle.push_back(int(i));
    slacks.clear();
    arena_used = arena + PAGE;
}

}  // namespace

// ---- what kernels call ----

namespace emulator {

void wait_for_block(Site site) { wait(AT_BLOCK, 0, site); }
void wait_for_warp(unsigned mask, Site site) { wait(AT_WARP, mask, site); }
void fail(const char *what, Site site) { stop_at(current, what, site); }

// Two sets of slots take turns: nobody can write the third exchange while somebody still reads the
// first.
char *warp_slots() {
    unsigned turn = threads[size_t(current)].exchanges++ % 2;
    return &slots[size_t(current / 32) * 2 * 32 * SLOT + turn * 32 * SLOT];
}

}  // namespace emulator

// ---- what the driver calls: nullptr when all went well, else what went wrong ----

extern "C" const char *emulator_launch(void (*kernel)(void **), void **values, const unsigned *grid,
                                       const unsigned *block, Buffer *buffers, size_t count,
                                       const int *pointer_of_value, size_t n_values,
                                       const size_t *offsets, char *statics, size_t statics_size,
                                       uint64_t seed) {
    gridDim = {grid[0], grid[1], grid[2]}, blockDim = {block[0], block[1], block[2]};
    random_state = seed * 2 + 1;
    message[0] = 0;
    prepare();
    for (size_t i = 0; i < count; i++) place(buffers[i], seed % 2 == 0);
    std::vector<char *> pointers(n_values);
    for (size_t i = 0; i < n_values; i++)
        if (pointer_of_value[i] >= 0) {
            pointers[i] = buffers[pointer_of_value[i]].inside + offsets[i];
            values[i] = &pointers[i];
        }
    placed = buffers, placed_count = count;
    running = {kernel, values};
    Handlers handlers;
    if (!sigsetjmp(launch_frame, 1)) run_blocks(statics, statics_size);
    handlers.restore();
    if (!message[0]) check_slacks(buffers);
    for (size_t i = 0; i < count; i++)
        if (buffers[i].written) memcpy(buffers[i].data, buffers[i].inside, buffers[i].bytes);
    mprotect(arena, size_t(arena_used - arena), PROT_NONE);
    if (arena_used - arena > (64 << 20)) madvise(arena, size_t(arena_used - arena), MADV_DONTNEED);
    return message[0] ? message : nullptr;
}
