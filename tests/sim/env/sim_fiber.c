/* Fibers: a job's own stack, so that it can stand still in the middle of blocking code while
 * virtual time goes on. ucontext does the switching; the sanitizers are told of every switch.
 *
 * A fiber serves one run after another; its first frame never returns, so that nothing is left
 * poisoned on a stack that is used again. The lowest page of the stack is closed: an overflow
 * faults. */
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "tests/sim/env/sim_internal.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif

#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

enum { GUARD_BYTES = 4096, STACK_BYTES = 512 * 1024 };

struct sim_fiber {
    ucontext_t own;
    ucontext_t caller;
    uint8_t *map;
    void (*run)(void *arg); /* NULL asks the fiber to end */
    void *arg;
    bool running; /* in the middle of a run */
    bool returned;
#ifdef FIBER_ASAN
    void *fake_stack;
    const void *caller_stack;
    size_t caller_stack_size;
#endif
#ifdef FIBER_TSAN
    void *tsan_own;
    void *tsan_caller;
#endif
};

static void enter(struct sim_fiber *f)
{
#ifdef FIBER_ASAN
    void *fake = NULL;
    __sanitizer_start_switch_fiber(&fake, f->map + GUARD_BYTES, STACK_BYTES);
#endif
#ifdef FIBER_TSAN
    f->tsan_caller = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->tsan_own, 0);
#endif
    int rc = swapcontext(&f->caller, &f->own);
    ASSERT(rc == 0);
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

static void leave(struct sim_fiber *f, bool for_good)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(for_good ? NULL : &f->fake_stack, f->caller_stack,
                                   f->caller_stack_size);
#else
    (void)for_good;
#endif
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(f->tsan_caller, 0);
#endif
    int rc = swapcontext(&f->own, &f->caller);
    ASSERT(rc == 0);
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(f->fake_stack, &f->caller_stack, &f->caller_stack_size);
#endif
}

static void fiber_main(unsigned low, unsigned high)
{
    struct sim_fiber *f = (struct sim_fiber *)((uintptr_t)low | (uintptr_t)high << 32);
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(NULL, &f->caller_stack, &f->caller_stack_size);
#endif
    while (f->run != NULL) {
        f->run(f->arg);
        f->returned = true;
        leave(f, false);
    }
    leave(f, true);
    UNREACHABLE("a fiber that ended was entered");
}

struct sim_fiber *sim_fiber_new(void)
{
    struct sim_fiber *f = mem_zalloc(sizeof *f);
    f->map = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT(f->map != MAP_FAILED);
    int rc = mprotect(f->map, GUARD_BYTES, PROT_NONE);
    ASSERT(rc == 0);
    rc = getcontext(&f->own);
    ASSERT(rc == 0);
    f->own.uc_stack.ss_sp = f->map + GUARD_BYTES;
    f->own.uc_stack.ss_size = STACK_BYTES;
    f->own.uc_link = NULL;
    uintptr_t p = (uintptr_t)f;
    makecontext(&f->own, (void (*)(void))(void *)fiber_main, 2, (unsigned)(p & UINT32_MAX),
                (unsigned)((uint64_t)p >> 32));
#ifdef FIBER_TSAN
    f->tsan_own = __tsan_create_fiber(0);
#endif
    return f;
}

void sim_fiber_free(struct sim_fiber *f)
{
    ASSERT(!f->running);
    f->run = NULL;
    enter(f);
#ifdef FIBER_TSAN
    __tsan_destroy_fiber(f->tsan_own);
#endif
    munmap(f->map, GUARD_BYTES + STACK_BYTES);
    mem_free(f);
}

static bool go_on(struct sim_fiber *f)
{
    f->returned = false;
    enter(f);
    f->running = !f->returned;
    return f->returned;
}

bool sim_fiber_start(struct sim_fiber *f, void (*run)(void *arg), void *arg)
{
    ASSERT(!f->running && run != NULL);
    f->run = run;
    f->arg = arg;
    return go_on(f);
}

bool sim_fiber_resume(struct sim_fiber *f)
{
    ASSERT(f->running);
    return go_on(f);
}

void sim_fiber_suspend(struct sim_fiber *f)
{
    leave(f, false);
}
