/* Makes files unwritable for a program under test while it runs, as a disk that fails makes a whole
 * file system: the kernel does that to no one's order.
 *
 * Loaded by LD_PRELOAD. The file named by TIDEGATE_TEST_READ_ONLY holds texts, one a line; whatever
 * changes a file whose path contains one of them fails with EROFS. Without that file, all is well. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Returns 1, and sets errno, if nothing under this path may be changed now. */
static int is_read_only(const char *path) {
    const char *order = getenv("TIDEGATE_TEST_READ_ONLY");
    if (order == NULL || path == NULL) return 0;
    /* By number, so that none of the functions below is asked. */
    int file = (int)syscall(SYS_openat, AT_FDCWD, order, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    char texts[1024];
    ssize_t length = syscall(SYS_read, file, texts, sizeof texts - 1);
    syscall(SYS_close, file);
    if (length <= 0) return 0;
    texts[length] = '\0';
    char *rest = texts;
    for (char *text; (text = strsep(&rest, "\n")) != NULL;) {
        if (*text != '\0' && strstr(path, text) != NULL) {
            errno = EROFS;
            return 1;
        }
    }
    return 0;
}

static int is_file_read_only(int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = '\0';
    return is_read_only(path);
}

#define OPEN(name)                                                                    \
    int name(const char *path, int flags, ...) {                                      \
        va_list more;                                                                 \
        va_start(more, flags);                                                        \
        int makes = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;       \
        mode_t mode = makes ? va_arg(more, mode_t) : 0;                               \
        va_end(more);                                                                 \
        int writes = (flags & O_ACCMODE) != O_RDONLY || makes;                        \
        if (writes && is_read_only(path)) return -1;                                  \
        return REAL(name)(path, flags, mode);                                         \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int file, const void *bytes, size_t count) {
    return is_file_read_only(file) ? -1 : REAL(write)(file, bytes, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    return is_file_read_only(file) ? -1 : REAL(pwrite64)(file, bytes, count, at);
}

int ftruncate64(int file, off64_t length) {
    return is_file_read_only(file) ? -1 : REAL(ftruncate64)(file, length);
}

int unlink(const char *path) {
    return is_read_only(path) ? -1 : REAL(unlink)(path);
}

int rename(const char *from, const char *to) {
    return is_read_only(from) || is_read_only(to) ? -1 : REAL(rename)(from, to);
}
