// The platform of a program without a C library: Linux system calls of aarch64, and what Swift's compiler takes for granted.
#include "platform.h"

void runner_main(void);

static long call(long number, long first, long second, long third) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = first;
    register long x1 __asm__("x1") = second;
    register long x2 __asm__("x2") = third;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}

long platform_read(void *bytes, size_t count) { return call(63, 0, (long)bytes, (long)count); }
long platform_write(const void *bytes, size_t count) { return call(64, 1, (long)bytes, (long)count); }

__attribute__((noreturn)) static void leave(long status) {
    for (;;) call(94, status, 0, 0);
}

void start(void) {
    runner_main();
    leave(0);
}

// The system leaves the stack pointer aligned; the frame chain ends here.
__asm__(".globl _start\n_start:\n mov x29, #0\n mov x30, #0\n bl start\n");

// The compiler guards stacks with it.
unsigned long __stack_chk_guard = 0x595e9fbd94fda766;
__attribute__((noreturn)) void __stack_chk_fail(void) { leave(134); }

// Memory is handed out once and never taken back: a run is short.
static unsigned char memory[256u << 20] __attribute__((aligned(64)));
static size_t used;

int posix_memalign(void **pointer, size_t alignment, size_t count) {
    size_t place = (used + alignment - 1) & ~(alignment - 1);
    if (count > sizeof memory - place) leave(12);
    *pointer = memory + place;
    used = place + count;
    return 0;
}

void free(void *pointer) { (void)pointer; }

void *memset(void *target, int byte, size_t count) {
    for (unsigned char *next = target; count-- > 0;) *next++ = (unsigned char)byte;
    return target;
}

void *memcpy(void *restrict target, const void *restrict source, size_t count) {
    const unsigned char *from = source;
    for (unsigned char *next = target; count-- > 0;) *next++ = *from++;
    return target;
}

void *memmove(void *target, const void *source, size_t count) {
    unsigned char *to = target;
    const unsigned char *from = source;
    if (to < from) return memcpy(target, source, count);
    while (count-- > 0) to[count] = from[count];
    return target;
}
