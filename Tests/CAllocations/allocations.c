#include "callocations.h"

#include <arpa/inet.h>
#include <errno.h>
#include <execinfo.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static _Atomic long calls, bytes;
static _Atomic int counting;
enum { most_frames = 24 };
static void *first[most_frames];
static int frames;

void allocations_begin(void) {
  // The first call of backtrace allocates, so it is made before the counting begins.
  frames = backtrace(first, most_frames);
  frames = 0;
  atomic_store(&calls, 0);
  atomic_store(&bytes, 0);
  atomic_store(&counting, 1);
}

struct allocations allocations_end(void) {
  atomic_store(&counting, 0);
  struct allocations counted = {atomic_load(&calls), atomic_load(&bytes)};
  return counted;
}

void allocations_print_first(void) { backtrace_symbols_fd(first, frames, 1); }

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#if defined(__GLIBC__) && !defined(SANITIZED)
// The dynamic linker finds a program's own definitions before the C library's, for every caller, including Swift's
// runtime.
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static void count(size_t size) {
  if (!atomic_load_explicit(&counting, memory_order_relaxed)) return;
  if (atomic_fetch_add(&calls, 1) == 0) frames = backtrace(first, most_frames);
  atomic_fetch_add(&bytes, (long)size);
}

void *malloc(size_t size) {
  count(size);
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count(number * size);
  return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
  count(size);
  return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
  count(size);
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **place, size_t alignment, size_t size) {
  void *memory = memalign(alignment, size);
  if (memory == NULL) return ENOMEM;
  *place = memory;
  return 0;
}

int allocations_are_counted(void) { return 1; }
#else
int allocations_are_counted(void) { return 0; }
#endif

static int connect_to(unsigned short port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // A receive timeout, so that missing bytes cannot block this thread indefinitely.
  struct timeval limit = {.tv_sec = 20};
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static int receive_all(int fd, char *buffer, int size) {
  for (int got = 0; got < size;) {
    ssize_t count = recv(fd, buffer + got, (size_t)(size - got), 0);
    if (count == 0) errno = ECONNRESET;
    if (count <= 0) return -1;
    got += (int)count;
  }
  return 0;
}

enum { most_connections = 128, most_bytes = 4096 };

static int go_round(const int *fds, int connections, char *buffer, int size) {
  for (int i = 0; i < connections; i++) {
    if (send(fds[i], buffer, (size_t)size, MSG_NOSIGNAL) != size) return -1;
  }
  for (int i = 0; i < connections; i++) {
    if (receive_all(fds[i], buffer, size) != 0) return -1;
  }
  return 0;
}

int allocations_ping(
    unsigned short port, int connections, int size, int warm_up, int rounds, struct allocations *counted) {
  int fds[most_connections], status = 0;
  char buffer[most_bytes] = "ping";
  if (connections > most_connections || size > most_bytes) {
    errno = EINVAL;
    return -1;
  }
  for (int i = 0; i < connections; i++) fds[i] = -1;
  for (int i = 0; i < connections && status == 0; i++) {
    fds[i] = connect_to(port);
    if (fds[i] < 0) status = -1;
  }
  for (int i = 0; i < warm_up && status == 0; i++) status = go_round(fds, connections, buffer, size);
  allocations_begin();
  for (int i = 0; i < rounds && status == 0; i++) status = go_round(fds, connections, buffer, size);
  *counted = allocations_end();
  int error = errno;
  for (int i = 0; i < connections; i++) {
    if (fds[i] >= 0) close(fds[i]);
  }
  errno = error;
  return status;
}

long allocations_drain(unsigned short port) {
  static char buffer[1 << 16];
  long total = 0;
  int fd = connect_to(port);
  if (fd < 0) return -1;
  while (1) {
    ssize_t count = recv(fd, buffer, sizeof buffer, 0);
    if (count <= 0) {
      close(fd);
      return count == 0 ? total : -1;
    }
    total += count;
  }
}
