// What the runner needs from below it.
#ifndef INDUSEDGE_EMBEDDED_PLATFORM_H
#define INDUSEDGE_EMBEDDED_PLATFORM_H

// For the checksum's instruction.
#include "../../Sources/CSystem/include/CSystem.h"

/// Reads from standard input; 0 at its end, negative for an error.
long platform_read(void *bytes, unsigned long count);
/// Writes to standard output; negative for an error.
long platform_write(const void *bytes, unsigned long count);

#endif
