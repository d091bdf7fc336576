/* dlopen counts; with RTLD_NODELETE the count no longer matters. The program itself cannot be opened by its name, nor be
 * unloaded. */
#include "pin.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif

static bool is_program(const Dl_info *info) {
#ifdef __linux__
    Dl_info program;
    void *headers = (void *)(uintptr_t)getauxval(AT_PHDR);
    return dladdr(headers, &program) && info->dli_fbase == program.dli_fbase;
#else
    (void)info;
    return false;
#endif
}

int hd_pin(void (*code)(void *)) {
    Dl_info info;
    if (!dladdr((void *)(uintptr_t)code, &info) || !info.dli_fname) return -1;
    if (is_program(&info)) return 0;
    void *handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    if (!handle) return -1;
    dlclose(handle);
    return 0;
}
