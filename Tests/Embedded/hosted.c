// The platform of an ordinary program.
#include "platform.h"

#include <unistd.h>

void runner_main(void);

long platform_read(void *bytes, unsigned long count) { return read(0, bytes, count); }
long platform_write(const void *bytes, unsigned long count) { return write(1, bytes, count); }

int main(void) {
    runner_main();
    return 0;
}
