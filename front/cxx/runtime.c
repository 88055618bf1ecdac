#include "front/cxx/runtime.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "backends/os/os.h"
#include "base/attr.h"
#include "core/text/text.h"

#define hak_weak __attribute__((weak))

/* What the linker found of the runtime; 0 where it found nothing. */
hak_weak void hak_get_new_handler(void) __asm__("_ZSt15get_new_handlerv");
hak_weak void hak_throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv");
hak_weak void hak_exception_alloc(void) __asm__("__cxa_allocate_exception");
hak_weak void hak_exception_throw(void) __asm__("__cxa_throw");
hak_weak void hak_bad_alloc_delete(void) __asm__("_ZNSt9bad_allocD1Ev");
extern hak_weak char hak_bad_alloc_type[] __asm__("_ZTISt9bad_alloc");
extern hak_weak char hak_bad_alloc_vtable[] __asm__("_ZTVSt9bad_alloc");

/* Weak too: in a static program these need not be linked in, as it loads nothing. dlopen itself is
 * looked up with dlsym: a mere reference to it makes the linker warn about every static program. */
extern __typeof__(dlclose) dlclose hak_weak;
extern __typeof__(dlsym) dlsym hak_weak;
extern __typeof__(dl_iterate_phdr) dl_iterate_phdr hak_weak;

static bool hak_can_throw(const hak_runtime_t *runtime) {
    return runtime->throw_bad_alloc != NULL ||
           (runtime->exception_alloc != NULL && runtime->exception_throw != NULL &&
            runtime->bad_alloc_vtable != NULL && runtime->bad_alloc_delete != NULL &&
            runtime->bad_alloc_type != NULL);
}

static hak_runtime_code_t hak_code(void *handle, const char *symbol) {
    return (hak_runtime_code_t)(uintptr_t)dlsym(handle, symbol);
}

static bool hak_take_runtime(void *handle, void *argument) {
    hak_runtime_t *runtime = argument;
    runtime->get_new_handler = hak_code(handle, "_ZSt15get_new_handlerv");
    runtime->throw_bad_alloc = hak_code(handle, "_ZSt17__throw_bad_allocv");
    runtime->exception_alloc = hak_code(handle, "__cxa_allocate_exception");
    runtime->exception_throw = hak_code(handle, "__cxa_throw");
    runtime->bad_alloc_delete = hak_code(handle, "_ZNSt9bad_allocD1Ev");
    runtime->bad_alloc_type = dlsym(handle, "_ZTISt9bad_alloc");
    runtime->bad_alloc_vtable = dlsym(handle, "_ZTVSt9bad_alloc");
    return hak_can_throw(runtime);
}

typedef void *hak_open_t(const char *name, int mode);

typedef struct {
    const void *caller; /* wanted: the object that holds it; NULL: the object number `index` */
    size_t index;
    size_t seen;
    char name[PATH_MAX]; /* "": the program itself */
} hak_object_t;

static bool hak_holds(const struct dl_phdr_info *info, const void *address) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t offset = (uintptr_t)address - (info->dlpi_addr + part->p_vaddr);
        if (part->p_type == PT_LOAD && offset < part->p_memsz) {
            return true;
        }
    }
    return false;
}

static int hak_visit_object(struct dl_phdr_info *info, size_t bytes, void *argument) {
    (void)bytes;
    hak_object_t *object = argument;
    bool wanted =
        object->caller != NULL ? hak_holds(info, object->caller) : object->seen == object->index;
    object->seen++;
    if (!wanted) {
        return 0;
    }
    const char *name = info->dlpi_name == NULL ? "" : info->dlpi_name;
    size_t length = strlen(name);
    if (length >= sizeof object->name) {
        length = 0; /* no such path can be opened; the program itself is a harmless answer */
    }
    memcpy(object->name, name, length);
    object->name[length] = '\0';
    return 1;
}

/* Opens what is loaded already, never anything new, so that its symbols and those of what it needs
 * can be found. */
static bool hak_try_object(const hak_object_t *object, hak_open_t *open,
                           bool (*take)(void *, void *), void *argument) {
    const char *name = object->name[0] == '\0' ? NULL : object->name;
    void *handle = open(name, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL) {
        return false;
    }
    bool taken = take(handle, argument);
    (void)dlclose(handle); /* the object stays loaded: its code is on the stack above us */
    return taken;
}

/* Offers the object of `caller`, then every loaded object, until `take` says that it found what it
 * wants. The loader's lock is not held while objects are opened, so each step walks the list from
 * its start. */
static bool hak_search(const void *caller, bool (*take)(void *, void *), void *argument) {
    if (dlsym == NULL || dlclose == NULL || dl_iterate_phdr == NULL) {
        return false;
    }
    hak_open_t *open = (hak_open_t *)hak_code(RTLD_DEFAULT, "dlopen");
    if (open == NULL) {
        return false;
    }
    hak_object_t object = {.caller = caller};
    if (dl_iterate_phdr(hak_visit_object, &object) != 0 &&
        hak_try_object(&object, open, take, argument)) {
        return true;
    }
    object.caller = NULL;
    for (object.index = 0;; object.index++) {
        object.seen = 0;
        if (dl_iterate_phdr(hak_visit_object, &object) == 0) {
            return false;
        }
        if (hak_try_object(&object, open, take, argument)) {
            return true;
        }
    }
}

void hak_runtime_find(hak_runtime_t *runtime, const void *caller) {
    const hak_runtime_t linked = {
        .get_new_handler = hak_get_new_handler,
        .throw_bad_alloc = hak_throw_bad_alloc,
        .exception_alloc = hak_exception_alloc,
        .exception_throw = hak_exception_throw,
        .bad_alloc_delete = hak_bad_alloc_delete,
        .bad_alloc_type = hak_bad_alloc_type,
        .bad_alloc_vtable = hak_bad_alloc_vtable,
    };
    *runtime = linked;
    if (hak_can_throw(runtime) || dlsym == NULL || hak_take_runtime(RTLD_DEFAULT, runtime)) {
        return;
    }
    if (!hak_search(caller, hak_take_runtime, runtime)) {
        *runtime = linked;
    }
}

hak_runtime_code_t hak_runtime_handler(const hak_runtime_t *runtime) {
    if (runtime->get_new_handler == NULL) {
        return NULL;
    }
    return ((hak_runtime_code_t(*)(void))runtime->get_new_handler)();
}

static hak_cold void hak_report_no_runtime(size_t size) {
    hak_text_t text;
    hak_text_init(&text, 2);
    hak_text_put(&text, "hakmem[");
    hak_text_put_u64(&text, hak_os_pid());
    hak_text_put(&text, "]: operator new(");
    hak_text_put_u64(&text, size);
    hak_text_put(&text, "): out of memory, and no C++ runtime was found to throw std::bad_alloc\n");
    (void)hak_text_flush(&text); /* stderr may be closed; there is nobody else to tell */
}

void hak_runtime_throw_bad_alloc(const hak_runtime_t *runtime, size_t size) {
    if (runtime->throw_bad_alloc != NULL) {
        runtime->throw_bad_alloc();
    } else if (hak_can_throw(runtime)) {
        /* A std::bad_alloc is a virtual table pointer and nothing else, and its constructor is
         * inline in one of the runtimes. The pointer goes behind the offset to the top and the type
         * (Itanium C++ ABI 2.5.2). */
        void **exception = ((void *(*)(size_t))runtime->exception_alloc)(sizeof(void *));
        *exception = (char *)runtime->bad_alloc_vtable + 2 * sizeof(void *);
        ((void (*)(void *, void *, void (*)(void)))runtime->exception_throw)(
            exception, runtime->bad_alloc_type, runtime->bad_alloc_delete);
    } else {
        hak_report_no_runtime(size);
    }
    abort(); /* reached only without a runtime: the others throw */
}

typedef struct {
    const char *symbol;
    hak_runtime_code_t ours;
    hak_runtime_code_t code;
} hak_wanted_t;

static bool hak_take_wanted(void *handle, void *argument) {
    hak_wanted_t *wanted = argument;
    wanted->code = hak_code(handle, wanted->symbol);
    return wanted->code != NULL && wanted->code != wanted->ours;
}

hak_runtime_code_t hak_runtime_find_other(const char *symbol, hak_runtime_code_t ours,
                                          const void *caller) {
    hak_wanted_t wanted = {.symbol = symbol, .ours = ours};
    return hak_search(caller, hak_take_wanted, &wanted) ? wanted.code : NULL;
}
