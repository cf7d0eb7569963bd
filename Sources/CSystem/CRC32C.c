// Nothing here needs an operating system, so the check for ARM runs it without one.
#include "CSystem.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#define INSTRUCTION __attribute__((target("sse4.2")))
#define STEP8(state, word) ((uint32_t)_mm_crc32_u64((state), (word)))
#define STEP1(state, byte) _mm_crc32_u8((state), (byte))
#elif defined(__aarch64__)
#include <arm_acle.h>
#define INSTRUCTION __attribute__((target("crc")))
#define STEP8(state, word) __crc32cd((state), (word))
#define STEP1(state, byte) __crc32cb((state), (byte))
#endif

#ifdef INSTRUCTION
INSTRUCTION uint32_t csystem_crc32c(uint32_t state, const void *bytes, size_t count)
{
    const unsigned char *next = bytes;
    for (; count >= 8; count -= 8, next += 8) {
        uint64_t word;
        __builtin_memcpy(&word, next, 8);
        state = STEP8(state, word);
    }
    for (; count > 0; count--)
        state = STEP1(state, *next++);
    return state;
}
#else
uint32_t csystem_crc32c(uint32_t state, const void *bytes, size_t count)
{
    (void)bytes;
    (void)count;
    return state;
}
#endif
