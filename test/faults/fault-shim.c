/*
 * Preloaded into a server: counts its writes, syncs and renames of files below one folder, and makes the n-th fail.
 *
 *   FAULT_FOLDER  only files whose path begins so; no symbolic link in it
 *   FAULT_AT      n, from 1; 0: none, only count
 *   FAULT_HOW     ENOSPC or EIO: the n-th fails.  short: the n-th write is cut in half, and true to its word.
 *                 full: all writes from the n-th on fail with ENOSPC.  slow: all from the n-th on take 1.5 s
 *   FAULT_COUNT   a file of 8 bytes that has the count, in the byte order of the machine
 *   FAULT_HANG    optional: a file; while it is there, no read at a position, write, sync or rename returns
 *   FAULT_LOG     optional: a file to which each operation is appended, `write PATH`, `sync PATH` or `rename PATH`, before
 *                 it is made
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum how { NONE, FAIL_ENOSPC, FAIL_EIO, SHORT, FULL, SLOW };
enum verdict { PASS, FAIL, CUT };

static const char *folder, *hang;
static long at;
static enum how how;
static atomic_long *count;
static int log_file = -1;

__attribute__((constructor)) static void begin(void) {
  folder = getenv("FAULT_FOLDER");
  const char *path = getenv("FAULT_COUNT"), *number = getenv("FAULT_AT"), *name = getenv("FAULT_HOW");
  if (folder == NULL || path == NULL || number == NULL || name == NULL) abort();
  at = strtol(number, NULL, 10);
  hang = getenv("FAULT_HANG");
  how = !strcmp(name, "ENOSPC") ? FAIL_ENOSPC : !strcmp(name, "EIO") ? FAIL_EIO
      : !strcmp(name, "short") ? SHORT : !strcmp(name, "full") ? FULL : !strcmp(name, "slow") ? SLOW : NONE;
  int file = open(path, O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof *count) != 0) abort();
  count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (count == MAP_FAILED) abort();
  close(file);
  const char *log_path = getenv("FAULT_LOG");
  if (log_path != NULL && (log_file = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0) abort();
}

/* In one write, so that no two lines mix. Around the shim: it is no operation of the process. */
static void record(const char *operation, const char *path) {
  char line[4200];
  int length = snprintf(line, sizeof line, "%s %s\n", operation, path);
  if (syscall(SYS_write, log_file, line, (size_t)length) != length) abort();
}

static void hold(const char *path) {
  if (hang == NULL || strncmp(path, folder, strlen(folder)) != 0) return;
  while (access(hang, F_OK) == 0) usleep(10000);
}

/* Counts an operation on this path, and says what becomes of it. Sets errno if it fails. */
static enum verdict judge(const char *operation, const char *path) {
  if (count == NULL || strncmp(path, folder, strlen(folder)) != 0) return PASS;
  hold(path);
  int is_write = !strcmp(operation, "write");
  if (log_file >= 0) record(operation, path);
  long number = atomic_fetch_add(count, 1) + 1;
  if (how == SLOW && number >= at) usleep(1500000);
  int is_hit = number == at || (how == FULL && at > 0 && number > at && is_write);
  if (!is_hit || how == NONE || how == SLOW) return PASS;
  if (how == SHORT) return is_write ? CUT : PASS;
  errno = how == FAIL_EIO ? EIO : ENOSPC;
  return FAIL;
}

/* False for what has no path. */
static int find_path(int file, char *path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, size - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return 1;
}

static enum verdict judge_file(int file, const char *operation) {
  char path[4096];
  return find_path(file, path, sizeof path) ? judge(operation, path) : PASS;
}

static void hold_read(int file) {
  char path[4096];
  if (hang != NULL && find_path(file, path, sizeof path)) hold(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define HALF(length) ((length) > 1 ? (length) / 2 : (length))

#define WRITE(name, parameters, arguments)                                   \
  ssize_t name parameters {                                                  \
    enum verdict verdict = judge_file(file, "write");                              \
    if (verdict == FAIL) return -1;                                          \
    if (verdict == CUT) length = HALF(length);                               \
    return REAL(name) arguments;                                             \
  }

WRITE(write, (int file, const void *bytes, size_t length), (file, bytes, length))
WRITE(pwrite, (int file, const void *bytes, size_t length, off_t offset), (file, bytes, length, offset))
WRITE(pwrite64, (int file, const void *bytes, size_t length, off64_t offset), (file, bytes, length, offset))

/* Of several buffers, a cut write takes the first half of the first. */
#define WRITE_MANY(name, parameters, arguments)                              \
  ssize_t name parameters {                                                  \
    enum verdict verdict = judge_file(file, "write");                              \
    struct iovec first = {parts->iov_base, HALF(parts->iov_len)};            \
    if (verdict == FAIL) return -1;                                          \
    if (verdict == CUT) parts = &first, number = 1;                          \
    return REAL(name) arguments;                                             \
  }

WRITE_MANY(writev, (int file, const struct iovec *parts, int number), (file, parts, number))
WRITE_MANY(pwritev, (int file, const struct iovec *parts, int number, off_t offset), (file, parts, number, offset))
WRITE_MANY(pwritev64, (int file, const struct iovec *parts, int number, off64_t offset), (file, parts, number, offset))

int fsync(int file) { return judge_file(file, "sync") == FAIL ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return judge_file(file, "sync") == FAIL ? -1 : REAL(fdatasync)(file); }
int rename(const char *from, const char *to) { return judge("rename", to) == FAIL ? -1 : REAL(rename)(from, to); }

#define READ(name, offset_type)                                              \
  ssize_t name(int file, void *bytes, size_t length, offset_type offset) {   \
    hold_read(file);                                                         \
    return REAL(name)(file, bytes, length, offset);                          \
  }

READ(pread, off_t)
READ(pread64, off64_t)
