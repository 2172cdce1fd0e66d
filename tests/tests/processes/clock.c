/* Sets the wall clock of a process off by CLOCK_AHEAD seconds, where it is loaded in front of the C library. Clocks that
 * only count on are left as they are. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    const char *ahead = getenv("CLOCK_AHEAD");
    if (!failed && clock == CLOCK_REALTIME && ahead) {
        now->tv_sec += atol(ahead);
    }
    return failed;
}
