// Loaded before the C library (LD_PRELOAD) into a process of the tests: records, in one order, what
// the process does to the files below a directory, and makes chosen calls fail.
//
//   ANNULUS_RECORD_BELOW    the directory; calls that concern other files pass
//   ANNULUS_RECORD_JOURNAL  the file that the calls are written to; none are if it is not set
//   ANNULUS_RECORD_NOTES    a file outside of the directory; writes to it go into the journal, too
//   ANNULUS_FAULT           number:what[:sticky]: the call with this number fails. `what` is the
//                           number of an error, `short` (half of a write, then nothing), or `kill`.
//                           With `sticky` all later calls below the same shard, or the log, fail,
//                           too; where the disk is full, only those that need room on it
//   ANNULUS_FAULT_CALL      an act and a kind of file, as `sync table`: only such calls are counted
//   ANNULUS_FAULT_MILLIS    how long `sticky` lasts: without it, until the process ends
//   ANNULUS_FAULT_COUNT     a file to which it is written at the end how many calls of each kind
//                           there were
//   ANNULUS_RECORD_SYNC_MICROS  how long a sync takes
//   ANNULUS_HANG_BELOW      a directory: calls that concern files below it do not return as long as the
//   ANNULUS_HANG_WHILE      file of this name is there; other calls go on
//
// One lock is held over each call and its record, so the journal is a total order: what precedes a
// note in it had been done when the note was written. A record is a header of 40 bytes and its
// content; power/journal.rs reads them. What goes to a file through mapped memory is not seen: the
// processes of the tests write the log (`LogAccess::Written`).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { OPEN = 1, WRITE, TRUNCATE, SYNC, RENAME, LINK, UNLINK, RMDIR, MKDIR, NOTE, EXTEND, ZERO };

struct header {
    uint32_t bytes; // of what follows
    uint32_t kind;
    uint64_t handle, a, b, spare;
};

#define FILES 65536
#define NOTES UINT64_MAX

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static char below[PATH_MAX], notes[PATH_MAX];
static size_t below_bytes;
static uint64_t handles = 0;
static uint64_t of_fd[FILES]; // 0: not ours
static char *name_of_fd[FILES];

// What calls do, and to which files: a fault can be asked for by both.
enum act { OPENS, CREATES, READS, WRITES, SYNCS, TRUNCATES, ALLOCATES, RENAMES, LINKS, UNLINKS, MKDIRS, MAPS, ACTS };
static const char *const act_names[ACTS] = {"open", "create", "read", "write", "sync", "truncate",
                                            "allocate", "rename", "link", "unlink", "mkdir", "map"};
enum file { OF_LOG, TABLE, MANIFEST, OF_SHARD, META_TABLE, META_MANIFEST, META_WAL, OF_METADATA, OF_STORE, KINDS };
static const char *const file_names[KINDS] = {"log", "table", "manifest", "shard", "metadata-table",
                                              "metadata-manifest", "metadata-wal", "metadata", "store"};

static uint64_t counts[ACTS][KINDS];
static uint64_t calls = 0, fault_at = 0, fault_millis = 0, sick_until = 0;
static useconds_t sync_micros = 0;
static int fault_error = 0, fault_short = 0, fault_kill = 0, fault_sticky = 0, counting = 0;
static char sick[PATH_MAX];
static const char *fault_call = NULL;
static const char *hang_below = NULL, *hang_while = NULL;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("ANNULUS_RECORD_BELOW");
    if (!text) return;
    snprintf(below, sizeof below, "%s", text);
    below_bytes = strlen(below);
    if ((text = getenv("ANNULUS_RECORD_NOTES"))) snprintf(notes, sizeof notes, "%s", text);
    if ((text = getenv("ANNULUS_RECORD_JOURNAL"))) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, text, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
        // Out of the way: the process under test may be about to run out of descriptors.
        journal = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900);
        syscall(SYS_close, fd);
    }
    if ((text = getenv("ANNULUS_RECORD_SYNC_MICROS"))) sync_micros = (useconds_t)atoi(text);
    if ((text = getenv("ANNULUS_FAULT"))) {
        char *rest;
        fault_at = strtoull(text, &rest, 10);
        if (!strncmp(rest, ":short", 6)) fault_short = 1, fault_error = ENOSPC;
        else if (!strncmp(rest, ":kill", 5)) fault_kill = 1;
        else if (*rest) fault_error = atoi(rest + 1);
        fault_sticky = strstr(rest, ":sticky") != NULL;
    }
    fault_call = getenv("ANNULUS_FAULT_CALL");
    hang_below = getenv("ANNULUS_HANG_BELOW");
    hang_while = getenv("ANNULUS_HANG_WHILE");
    if ((text = getenv("ANNULUS_FAULT_MILLIS"))) fault_millis = strtoull(text, NULL, 10);
    counting = fault_at || getenv("ANNULUS_FAULT_COUNT");
}

__attribute__((destructor)) static void end(void) {
    const char *text = getenv("ANNULUS_FAULT_COUNT");
    if (!text) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, text, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
    for (int act = 0; act < ACTS; act++)
        for (int file = 0; file < KINDS; file++) {
            char line[64];
            unsigned long long count = counts[act][file];
            int bytes = snprintf(line, sizeof line, "%s %s %llu\n", act_names[act], file_names[file], count);
            if (count) syscall(SYS_write, fd, line, bytes);
        }
    syscall(SYS_close, fd);
}

static int is_below(const char *path) {
    return below_bytes && !strncmp(path, below, below_bytes) &&
           (path[below_bytes] == '/' || path[below_bytes] == 0);
}

// The path that a call names, in full; false if it is not below the directory.
static int resolve(int at, const char *path, char *full) {
    if (!below_bytes || !path) return 0;
    if (path[0] == '/') {
        snprintf(full, PATH_MAX, "%s", path);
    } else {
        char link[64], base[PATH_MAX];
        ssize_t bytes;
        if (at == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        bytes = syscall(SYS_readlink, link, base, sizeof base - 1);
        if (bytes < 0) return 0;
        base[bytes] = 0;
        if (snprintf(full, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return 0;
    }
    // `a//b` and `a/./b` are `a/b`; no path here contains `..`.
    char *to = full;
    for (char *from = full; *from; from++) {
        if (from[0] == '/' && (from[1] == '/' || (from[1] == '.' && (from[2] == '/' || !from[2])))) {
            if (from[1] == '.') from++;
            continue;
        }
        *to++ = *from;
    }
    while (to > full + 1 && to[-1] == '/') to--;
    *to = 0;
    return is_below(full);
}

static void record(enum kind kind, uint64_t handle, uint64_t a, uint64_t b, const struct iovec *parts,
                   int count) {
    if (journal < 0) return;
    struct header header = {0, kind, handle, a, b, 0};
    struct iovec all[18];
    if (count > 16) abort();
    for (int n = 0; n < count; n++) {
        header.bytes += (uint32_t)parts[n].iov_len;
        all[n + 1] = parts[n];
    }
    all[0] = (struct iovec){&header, sizeof header};
    if (syscall(SYS_writev, journal, all, count + 1) != (ssize_t)(sizeof header + header.bytes)) abort();
}

static void record_paths(enum kind kind, uint64_t handle, uint64_t a, const char *one, const char *other) {
    struct iovec parts[2] = {{(void *)one, strlen(one) + 1}, {(void *)other, other ? strlen(other) + 1 : 0}};
    record(kind, handle, a, 0, parts, other ? 2 : 1);
}

// Which shard, or the metadata or the log, a path belongs to.
static void part_of(const char *path, char *part) {
    const char *end = strstr(path, "/shards/");
    if (end) end += 8;
    else if ((end = strstr(path, "/metadata"))) end += 9;
    else if ((end = strstr(path, "/store/log"))) end += 10;
    while (end && *end && *end != '/') end++;
    snprintf(part, PATH_MAX, "%.*s", end ? (int)(end - path) : (int)below_bytes, path);
}

static enum file kind_of(const char *path) {
    if (strstr(path, "/store/log")) return OF_LOG;
    int of_metadata = strstr(path, "/metadata") != NULL;
    if (!of_metadata && !strstr(path, "/data")) return OF_STORE;
    const char *name = strrchr(path, '/') + 1, *end = strrchr(name, '.');
    if (end && !strcmp(end, ".sst")) return of_metadata ? META_TABLE : TABLE;
    if (!strncmp(name, "MANIFEST", 8)) return of_metadata ? META_MANIFEST : MANIFEST;
    if (end && !strcmp(end, ".log") && of_metadata) return META_WAL;
    return of_metadata ? OF_METADATA : OF_SHARD;
}

// Where the disk is full, what is there can be read, synced and removed. The log writes within what
// it has reserved.
static int needs_room(enum act act, enum file file) {
    return act == CREATES || act == ALLOCATES || act == MKDIRS || act == LINKS ||
           (act == WRITES && file != OF_LOG);
}

static uint64_t now_millis(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// Tells the workload's history that a call fails, and which.
static void note_fault(enum act act, enum file file, const char *path) {
    char line[PATH_MAX + 64];
    int bytes = snprintf(line, sizeof line, "fault %s %s %s\n", act_names[act], file_names[file], path);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, notes, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (bytes < (int)sizeof line) syscall(SYS_write, fd, line, bytes);
    syscall(SYS_close, fd);
}

// Waits while calls like this one hang. The lock is held, except while waiting.
static void hang(const char *path) {
    if (!hang_below || !hang_while || strncmp(path, hang_below, strlen(hang_below))) return;
    while (!syscall(SYS_faccessat, AT_FDCWD, hang_while, F_OK)) {
        struct timespec pause = {0, 1000000};
        pthread_mutex_unlock(&lock);
        syscall(SYS_nanosleep, &pause, NULL);
        pthread_mutex_lock(&lock);
    }
}

// Counts a call; returns -1 with an error set if it has to fail. The lock is held.
static int faulty(enum act act, const char *path) {
    hang(path);
    if (!counting) return 0;
    enum file file = kind_of(path);
    counts[act][file]++;
    if (!fault_at) return 0;
    if (fault_call) {
        size_t bytes = strlen(act_names[act]);
        int is_meant = !strncmp(fault_call, act_names[act], bytes) && fault_call[bytes] == ' ' &&
                       !strcmp(fault_call + bytes + 1, file_names[file]);
        calls += (uint64_t)is_meant;
        if (!is_meant && !*sick) return 0;
    } else {
        calls++;
    }
    if (!*sick && calls == fault_at) {
        if (fault_kill) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
        if (*notes) note_fault(act, file, path);
        if (fault_sticky) part_of(path, sick);
        if (fault_millis) sick_until = now_millis() + fault_millis;
        errno = fault_error;
        return -1;
    }
    if (!*sick || strncmp(path, sick, strlen(sick))) return 0;
    if (fault_error == ENOSPC && !needs_room(act, file)) return 0;
    if (sick_until && now_millis() >= sick_until) return 0;
    errno = fault_error;
    return -1;
}

static uint64_t handle_of(int fd) { return fd >= 0 && fd < FILES ? of_fd[fd] : 0; }

static void forget(int fd) {
    if (fd < 0 || fd >= FILES) return;
    of_fd[fd] = 0;
    free(name_of_fd[fd]);
    name_of_fd[fd] = NULL;
}

static int open_at(int at, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    int ours = resolve(at, path, full);
    int is_notes = *notes && path && !strcmp(path, notes);
    if (!ours && !is_notes) {
        int fd = (int)syscall(SYS_openat, at, path, flags, mode);
        if (below_bytes && fd >= 0 && fd < FILES && of_fd[fd]) {
            int saved = errno;
            pthread_mutex_lock(&lock);
            forget(fd);
            pthread_mutex_unlock(&lock);
            errno = saved;
        }
        return fd;
    }
    pthread_mutex_lock(&lock);
    int fd = -1;
    if (is_notes || !faulty(flags & O_CREAT ? CREATES : OPENS, full)) {
        fd = (int)syscall(SYS_openat, at, path, flags, mode);
        int saved = errno;
        if (fd >= 0 && fd < FILES) {
            forget(fd);
            of_fd[fd] = is_notes ? NOTES : ++handles;
            if (!is_notes) {
                name_of_fd[fd] = strdup(full);
                record_paths(OPEN, handles, (uint64_t)flags, full, NULL);
            }
        }
        errno = saved;
    }
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return fd;
}

#define MODE(last) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, last); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_at(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
    if (!handle_of(fd)) return (int)syscall(SYS_close, fd);
    pthread_mutex_lock(&lock);
    forget(fd);
    int result = (int)syscall(SYS_close, fd);
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

// Writes at a position, or, where that is -1, at the present one.
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t at) {
    uint64_t handle = handle_of(fd);
    if (!handle)
        return at < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwritev, fd, parts, count, at, 0);
    pthread_mutex_lock(&lock);
    ssize_t written = -1;
    struct iovec half;
    int failing = handle == NOTES ? 0 : faulty(WRITES, name_of_fd[fd]);
    if (failing && fault_short && calls == fault_at && parts[0].iov_len > 1) {
        half = (struct iovec){parts[0].iov_base, parts[0].iov_len / 2};
        parts = &half, count = 1, failing = 0;
    }
    if (!failing) {
        off_t place = at;
        if (at < 0) {
            int flags = (int)syscall(SYS_fcntl, fd, F_GETFL);
            place = syscall(SYS_lseek, fd, 0, flags & O_APPEND ? SEEK_END : SEEK_CUR);
        }
        written = at < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwritev, fd, parts, count, at, 0);
        int saved = errno;
        if (written > 0) {
            struct iovec done[16];
            size_t left = (size_t)written;
            int n = 0;
            for (; n < count && n < 16 && left; n++) {
                done[n] = parts[n];
                if (done[n].iov_len > left) done[n].iov_len = left;
                left -= done[n].iov_len;
            }
            record(handle == NOTES ? NOTE : WRITE, handle, (uint64_t)place, 0, done, n);
        }
        errno = saved;
    }
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return written;
}

ssize_t write(int fd, const void *data, size_t bytes) {
    if (!handle_of(fd)) return syscall(SYS_write, fd, data, bytes);
    struct iovec part = {(void *)data, bytes};
    return write_parts(fd, &part, 1, -1);
}
ssize_t writev(int fd, const struct iovec *parts, int count) { return write_parts(fd, parts, count, -1); }
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at) {
    struct iovec part = {(void *)data, bytes};
    return write_parts(fd, &part, 1, at);
}
ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t at) {
    struct iovec part = {(void *)data, bytes};
    return write_parts(fd, &part, 1, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return write_parts(fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return write_parts(fd, parts, count, at); }
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t at, int flags) {
    if (!handle_of(fd)) return syscall(SYS_pwritev2, fd, parts, count, at, 0, flags);
    return write_parts(fd, parts, count, at);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags) {
    return pwritev2(fd, parts, count, at, flags);
}

// Reads and mappings are not recorded, but can be made to fail.
static int fails(enum act act, int fd) {
    if (!counting || !handle_of(fd) || handle_of(fd) == NOTES) return 0;
    pthread_mutex_lock(&lock);
    int failing = name_of_fd[fd] ? faulty(act, name_of_fd[fd]) : 0;
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return failing;
}
ssize_t pread(int fd, void *data, size_t bytes, off_t at) {
    return fails(READS, fd) ? -1 : syscall(SYS_pread64, fd, data, bytes, at);
}
ssize_t pread64(int fd, void *data, size_t bytes, off64_t at) {
    return fails(READS, fd) ? -1 : syscall(SYS_pread64, fd, data, bytes, at);
}
ssize_t read(int fd, void *data, size_t bytes) {
    return fails(READS, fd) ? -1 : syscall(SYS_read, fd, data, bytes);
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    if (!(flags & MAP_ANONYMOUS) && fails(MAPS, fd)) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
}
void *mmap64(void *at, size_t bytes, int protection, int flags, int fd, off64_t offset) {
    return mmap(at, bytes, protection, flags, fd, offset);
}

static int sync_file(int fd, long number) {
    uint64_t handle = handle_of(fd);
    if (!handle) return (int)syscall(number, fd);
    // Other threads continue during it, as they do while a disk works.
    if (sync_micros && handle != NOTES) usleep(sync_micros);
    pthread_mutex_lock(&lock);
    int result = handle == NOTES ? 0 : faulty(SYNCS, name_of_fd[fd]);
    // The model decides what is durable: the disk need not be involved.
    if (!result && journal < 0) result = (int)syscall(number, fd);
    int saved = errno;
    if (!result && handle != NOTES) record(SYNC, handle, 0, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }
// Promises nothing that survives a power cut.
int sync_file_range(int fd, off64_t at, off64_t bytes, unsigned flags) {
    if (!handle_of(fd)) return (int)syscall(SYS_sync_file_range, fd, at, bytes, flags);
    return 0;
}

static int truncate_fd(int fd, off_t bytes) {
    uint64_t handle = handle_of(fd);
    if (!handle || handle == NOTES) return (int)syscall(SYS_ftruncate, fd, bytes);
    pthread_mutex_lock(&lock);
    int result = faulty(TRUNCATES, name_of_fd[fd]);
    if (!result) result = (int)syscall(SYS_ftruncate, fd, bytes);
    int saved = errno;
    if (!result) record(TRUNCATE, handle, (uint64_t)bytes, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
int ftruncate(int fd, off_t bytes) { return truncate_fd(fd, bytes); }
int ftruncate64(int fd, off64_t bytes) { return truncate_fd(fd, bytes); }

static int allocate(int fd, int mode, off_t at, off_t bytes) {
    uint64_t handle = handle_of(fd);
    if (!handle || handle == NOTES) return (int)syscall(SYS_fallocate, fd, mode, at, bytes);
    pthread_mutex_lock(&lock);
    int result = faulty(ALLOCATES, name_of_fd[fd]);
    if (!result) result = (int)syscall(SYS_fallocate, fd, mode, at, bytes);
    int saved = errno;
    // What becomes zeros first, then the size.
    if (!result && mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        record(ZERO, handle, (uint64_t)at, (uint64_t)(at + bytes), NULL, 0);
    if (!result && !(mode & FALLOC_FL_KEEP_SIZE)) record(EXTEND, handle, (uint64_t)(at + bytes), 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}
int fallocate(int fd, int mode, off_t at, off_t bytes) { return allocate(fd, mode, at, bytes); }
int fallocate64(int fd, int mode, off64_t at, off64_t bytes) { return allocate(fd, mode, at, bytes); }
int posix_fallocate(int fd, off_t at, off_t bytes) { return allocate(fd, 0, at, bytes) ? errno : 0; }
int posix_fallocate64(int fd, off64_t at, off64_t bytes) { return allocate(fd, 0, at, bytes) ? errno : 0; }

// A call with one or two paths.
#define WITH_PATHS(kind, act, from_at, from, to_at, to, call) \
    char one[PATH_MAX], other[PATH_MAX]; \
    const char *second = to; \
    int ours = resolve(from_at, from, one); \
    int both = second && resolve(to_at, second, other); \
    if (!ours && !both) return (int)(call); \
    pthread_mutex_lock(&lock); \
    int result = faulty(act, both ? other : one); \
    if (!result) result = (int)(call); \
    int saved = errno; \
    if (!result) record_paths(kind, 0, 0, one, second ? other : NULL); \
    pthread_mutex_unlock(&lock); \
    errno = saved; \
    return result;

int rename(const char *from, const char *to) {
    WITH_PATHS(RENAME, RENAMES, AT_FDCWD, from, AT_FDCWD, to, syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to))
}
int renameat(int a, const char *from, int b, const char *to) {
    WITH_PATHS(RENAME, RENAMES, a, from, b, to, syscall(SYS_renameat, a, from, b, to))
}
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    WITH_PATHS(RENAME, RENAMES, a, from, b, to, syscall(SYS_renameat2, a, from, b, to, flags))
}
int link(const char *from, const char *to) {
    WITH_PATHS(LINK, LINKS, AT_FDCWD, from, AT_FDCWD, to, syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0))
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    WITH_PATHS(LINK, LINKS, a, from, b, to, syscall(SYS_linkat, a, from, b, to, flags))
}
int unlink(const char *path) {
    WITH_PATHS(UNLINK, UNLINKS, AT_FDCWD, path, AT_FDCWD, NULL, syscall(SYS_unlinkat, AT_FDCWD, path, 0))
}
int rmdir(const char *path) {
    WITH_PATHS(RMDIR, UNLINKS, AT_FDCWD, path, AT_FDCWD, NULL, syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR))
}
int unlinkat(int at, const char *path, int flags) {
    WITH_PATHS(flags & AT_REMOVEDIR ? RMDIR : UNLINK, UNLINKS, at, path, AT_FDCWD, NULL, syscall(SYS_unlinkat, at, path, flags))
}
int remove(const char *path) {
    struct stat about;
    if (syscall(SYS_newfstatat, AT_FDCWD, path, &about, AT_SYMLINK_NOFOLLOW)) return -1;
    return S_ISDIR(about.st_mode) ? rmdir(path) : unlink(path);
}
int mkdir(const char *path, mode_t mode) {
    WITH_PATHS(MKDIR, MKDIRS, AT_FDCWD, path, AT_FDCWD, NULL, syscall(SYS_mkdirat, AT_FDCWD, path, mode))
}
int mkdirat(int at, const char *path, mode_t mode) {
    WITH_PATHS(MKDIR, MKDIRS, at, path, AT_FDCWD, NULL, syscall(SYS_mkdirat, at, path, mode))
}
