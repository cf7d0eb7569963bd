// What Swift cannot call by itself: GNU extensions and variadic functions of the C library.
#ifndef INDUSEDGE_CSYSTEM_H
#define INDUSEDGE_CSYSTEM_H

/// Names the calling thread, as `top -H` and debuggers show it. At most 15 bytes.
/// Returns 0, or ERANGE when the name is too long.
int csystem_set_thread_name(const char *name);

#endif
