// What Swift cannot call by itself: GNU extensions and variadic functions of the C library, and instructions that not every processor has.
#ifndef INDUSEDGE_CSYSTEM_H
#define INDUSEDGE_CSYSTEM_H

#include <stddef.h>
#include <stdint.h>

/// Names the calling thread, as `top -H` and debuggers show it. At most 15 bytes.
/// Returns 0, or ERANGE when the name is too long.
int csystem_set_thread_name(const char *name);

/// Lets other threads go before the calling one: 1 (a little) to 19 (always). On Linux every thread has a niceness of its own.
void csystem_set_thread_niceness(int niceness);

/// Whether the kernel says that something keeps CLOCK_REALTIME right: STA_UNSYNC of adjtimex(2) is not set.
/// 0 too where the system does not tell.
int csystem_clock_is_synchronized(void);

/// Who is at the other end of a connected Unix domain socket, as the kernel knows it (SO_PEERCRED of unix(7)).
/// Returns 0, or -1 with errno.
int csystem_peer_credentials(int descriptor, int *process, unsigned *user);

/// Has the medium take some of a file's bytes now, and waits, without the promise of fdatasync(2). Returns 0 or an errno.
int csystem_write_out(int file, long long offset, long long count);

/// Whether the processor has the instruction that `csystem_crc32c` needs: SSE 4.2 of x86-64, CRC32 of ARMv8.
int csystem_has_crc32c(void);

/// Takes some bytes into the state of a Castagnoli checksum (RFC 3720, 12.1), which is its complement. Only where `csystem_has_crc32c`.
uint32_t csystem_crc32c(uint32_t state, const void *bytes, size_t count);

#endif
