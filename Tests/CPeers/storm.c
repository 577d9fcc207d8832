#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cpeers.h"

struct storm {
  struct sockaddr_storage address;
  socklen_t length;
  time_t end;
  struct peers_storm count;
};

static time_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec;
}

// One conversation: a line, a FIN, and all that the server sends until its own. Returns 0 when the server is gone.
static int converse(struct storm *storm) {
  int fd = socket(storm->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct timeval limit = {.tv_sec = 20};
  if (fd < 0) return 0;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (connect(fd, (struct sockaddr *)&storm->address, storm->length) != 0) {
    int isGone = errno == ECONNREFUSED || errno == ENOENT;
    __atomic_add_fetch(isGone ? &storm->count.refused : &storm->count.failed, 1, __ATOMIC_RELAXED);
    close(fd);
    return !isGone;
  }
  char answer[16];
  long count = 0, more = 0;
  if (send(fd, "x\n", 2, MSG_NOSIGNAL) == 2 && shutdown(fd, SHUT_WR) == 0)
    while (count < 16 && (more = recv(fd, answer + count, 16 - count, 0)) > 0) count += more;
  int isServed = count == 2 && more == 0 && memcmp(answer, "x\n", 2) == 0;
  __atomic_add_fetch(isServed ? &storm->count.served : &storm->count.reset, 1, __ATOMIC_RELAXED);
  close(fd);
  return 1;
}

static void *run(void *argument) {
  struct storm *storm = argument;
  while (now() < storm->end && converse(storm)) {
  }
  return NULL;
}

int peers_storm(const char *path, int port, int clients, int seconds, struct peers_storm *count) {
  struct storm storm = {.end = now() + seconds};
  if (path) {
    struct sockaddr_un *address = (struct sockaddr_un *)&storm.address;
    if (strlen(path) >= sizeof address->sun_path) return ENAMETOOLONG;
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, path);
    storm.length = sizeof *address;
  } else {
    struct sockaddr_in *address = (struct sockaddr_in *)&storm.address;
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)port);
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    storm.length = sizeof *address;
  }
  pthread_t threads[256];
  int started = 0, code = 0;
  if (clients > 256) return EINVAL;
  while (started < clients && (code = pthread_create(&threads[started], NULL, run, &storm)) == 0) started++;
  for (int index = 0; index < started; index++) pthread_join(threads[index], NULL);
  *count = storm.count;
  return code;
}
