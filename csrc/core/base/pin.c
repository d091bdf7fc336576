/* dlopen counts; with RTLD_NODELETE the count no longer matters. */
#include "pin.h"

#include <dlfcn.h>
#include <stdint.h>

int hd_pin(void (*code)(void *)) {
    Dl_info info;
    if (!dladdr((void *)(uintptr_t)code, &info) || !info.dli_fname) return -1;
    void *handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    if (!handle) return -1;
    dlclose(handle);
    return 0;
}
