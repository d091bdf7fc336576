/* Preloaded into an interpreter whose instructions are counted (bench/instructions.sh).
 *
 * Interpreters seed the hashes of their strings with the time, with what the system calls random, and
 * with the address of their first block of memory: how strings collide would be another thing each
 * time. So the time stands still, chance is none, and memory begins at a round address, whatever the
 * loader has put before (names of directories among it). Other addresses valgrind lays out alike. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SHOWN  __attribute__((visibility("default")))
#define ROUND  65536
#define NO_BIN 4096 /* more than the loader has given back in one piece */

SHOWN time_t time(time_t *t) {
    const time_t always = 1500000000;
    if (t) *t = always;
    return always;
}

/* LuaJIT asks the kernel, without the C library's getrandom. */
SHOWN long syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long a[6];
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_getrandom) {
        memset((void *)(uintptr_t)a[0], 0x5a, (size_t)a[1]);
        return a[1];
    }
    long (*next)(long, ...) = (long (*)(long, ...))(uintptr_t)dlsym(RTLD_NEXT, "syscall");
    return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

__attribute__((constructor)) static void begin_at_a_round_address(void) {
    void *volatile first = malloc(NO_BIN);
    size_t past = ((uintptr_t)first + NO_BIN) % ROUND;
    void *volatile filler = malloc(ROUND - past);
    (void)filler;
}
