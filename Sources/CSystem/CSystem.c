#define _GNU_SOURCE
#include "CSystem.h"

#include <pthread.h>

int csystem_set_thread_name(const char *name)
{
    return pthread_setname_np(pthread_self(), name);
}
