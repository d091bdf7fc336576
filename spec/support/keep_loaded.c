/* Preloaded into the interpreter of a sanitizer run.
 *
 * An interpreter that closes its state unloads its modules before the leak checker looks: their stacks could no
 * longer be named, and what their globals point to would seem lost. So nothing is unloaded. The children of the
 * specs (shells, psql) are not ours to check: they inherit no LD_PRELOAD. */
#include <stdlib.h>

int dlclose(void *handle);

int dlclose(void *handle) {
    (void)handle;
    return 0;
}

__attribute__((constructor)) static void preload_no_children(void) {
    unsetenv("LD_PRELOAD");
}
