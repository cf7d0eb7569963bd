#define _GNU_SOURCE
#include "CSystem.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int csystem_set_thread_name(const char *name)
{
    return pthread_setname_np(pthread_self(), name);
}

void csystem_set_thread_niceness(int niceness)
{
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), niceness);
}
