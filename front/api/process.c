/* What happens at the ends of the process: set-up before main, the report that HAKMEM_STATS asks
 * for after it.
 *
 * Many programs close stderr in an exit handler, to find write errors, and handlers run before
 * destructors. A report would then vanish, so a duplicate of stderr is kept while a report is due.
 * Descriptor 2 and the duplicate are used only if they still are the file that stderr was at start:
 * a program may close all descriptors and open others in their place, and a report must not end up
 * in its data.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/os/os.h"
#include "core/options/options.h"
#include "front/gate/gate.h"
#include "include/hakmem.h"

/* Above what shells and daemons use for themselves. */
enum { HAK_LOWEST_DUPLICATE = 100 };

static bool hak_had_stderr;
static struct stat hak_stderr_file; /* only if there was one */
static int hak_duplicate = -1;

static bool hak_is_stderr(int fd) {
    struct stat now;
    return fstat(fd, &now) == 0 && now.st_dev == hak_stderr_file.st_dev &&
           now.st_ino == hak_stderr_file.st_ino && now.st_rdev == hak_stderr_file.st_rdev;
}

static int hak_report_fd(void) {
    if (!hak_had_stderr) {
        return -1;
    }
    if (hak_is_stderr(STDERR_FILENO)) {
        return STDERR_FILENO;
    }
    return hak_duplicate >= 0 && hak_is_stderr(hak_duplicate) ? hak_duplicate : -1;
}

/* 101 is the first priority that programs may use: this runs before other constructors of the same
 * file. The shared library is linked so that it runs before those of all libraries, the C library's
 * too, which sets `environ`: fork calls handlers newest first, and those of libraries, which may
 * allocate, must find the allocator's locks free. */
__attribute__((constructor(101))) static void hak_process_start(int argc, char **argv, char **env) {
    int saved = errno;
    (void)argc;
    (void)argv;
    hak_gate_init(hak_os_environment(env));
    if (hak_option(HAK_OPTION_STATS) != HAK_STATS_OPTION_OFF) {
        hak_had_stderr = fstat(STDERR_FILENO, &hak_stderr_file) == 0;
        /* Without a duplicate the report goes to stderr or nowhere. */
        hak_duplicate = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, HAK_LOWEST_DUPLICATE);
    }
    errno = saved;
}

/* With the same priority a destructor runs after the others of its file, so the report counts what
 * they freed. */
__attribute__((destructor(101))) static void hak_process_end(void) {
    static const hak_stats_format_t formats[] = {[HAK_STATS_OPTION_TEXT] = HAK_STATS_TEXT,
                                                 [HAK_STATS_OPTION_SUMMARY] = HAK_STATS_SUMMARY,
                                                 [HAK_STATS_OPTION_JSON] = HAK_STATS_JSON,
                                                 [HAK_STATS_OPTION_OPENMETRICS] =
                                                     HAK_STATS_OPENMETRICS};
    uint64_t option = hak_option(HAK_OPTION_STATS);
    if (option == HAK_STATS_OPTION_OFF) {
        return;
    }
    int fd = hak_report_fd();
    if (fd >= 0) {
        (void)hak_stats_write(fd, formats[option]); /* nobody is left to tell of an error */
    }
}
