// The reference server: an edge-triggered epoll loop in C, without a library.
//
// A short read means that the socket is drained, so a message costs one recv and one send. Only after the kernel has
// reported the peer's FIN is the socket read until EOF.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
  int fd;
  bool peer_finished;
  uint64_t counted;
  uint8_t *unsent;  // the bytes that send did not take; nearly always NULL
  size_t unsent_size, unsent_at;
};

static int epoll, listener;
static bool counting;
static uint8_t *buffer;  // shared by all connections, because it keeps nothing between reads
static size_t buffer_size;

static void fail(const char *call) {
  perror(call);
  exit(1);
}

static void release(struct connection *c) {
  close(c->fd);
  free(c->unsent);
  free(c);
}

// Accepts one client in each turn. If more clients are queued, the next epoll_wait returns at once, with everything
// that is ready by then. Accepting until EAGAIN costs one more call, which allocates a socket in vain; measurements
// show no gain.
static void accept_one(void) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) return;
    fail("accept4");
  }
  struct connection *c = calloc(1, sizeof *c);
  if (c == NULL) fail("calloc");
  c->fd = fd;
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = c};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

static void rewatch(struct connection *c, uint32_t events) {
  struct epoll_event event = {.events = events | EPOLLRDHUP | EPOLLET, .data.ptr = c};
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event) != 0) fail("epoll_ctl");
}

// Sends the buffer. Stores the bytes that the socket does not take, and stops reading until they are sent. Returns
// false when the connection is lost.
static bool send_all(struct connection *c, size_t size) {
  ssize_t n = send(c->fd, buffer, size, MSG_NOSIGNAL);
  if (n == (ssize_t)size) return true;
  if (n < 0 && errno != EAGAIN) return false;
  size_t taken = n < 0 ? 0 : (size_t)n;
  c->unsent_size = size - taken;
  c->unsent_at = 0;
  c->unsent = malloc(c->unsent_size);
  if (c->unsent == NULL) fail("malloc");
  memcpy(c->unsent, buffer + taken, c->unsent_size);
  rewatch(c, EPOLLIN | EPOLLOUT);
  return true;
}

static bool send_unsent(struct connection *c) {
  while (c->unsent_at < c->unsent_size) {
    ssize_t n = send(c->fd, c->unsent + c->unsent_at, c->unsent_size - c->unsent_at, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN;
    c->unsent_at += (size_t)n;
  }
  free(c->unsent);
  c->unsent = NULL;
  rewatch(c, EPOLLIN);
  return true;
}

// Returns false when the connection is over.
static bool serve(struct connection *c) {
  if (c->unsent != NULL && !send_unsent(c)) return false;
  while (c->unsent == NULL) {
    ssize_t n = recv(c->fd, buffer, buffer_size, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) {
      uint64_t answer = htobe64(c->counted);
      if (counting) send(c->fd, &answer, sizeof answer, MSG_NOSIGNAL);
      return false;
    }
    if (counting) {
      c->counted += (uint64_t)n;
    } else if (!send_all(c, (size_t)n)) {
      return false;
    }
    if ((size_t)n < buffer_size && !c->peer_finished) return true;
  }
  return true;
}

int main(int count, char **words) {
  if (count != 3) {
    fprintf(stderr, "usage: server echo|count BUFFER\n");
    return 2;
  }
  counting = strcmp(words[1], "count") == 0;
  buffer_size = strtoul(words[2], NULL, 10);
  buffer = malloc(buffer_size);

  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;  // accepted sockets inherit the option
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
  if (listen(listener, SOMAXCONN) != 0) fail("listen");
  socklen_t size = sizeof address;
  getsockname(listener, (struct sockaddr *)&address, &size);

  epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0) fail("epoll_ctl");
  printf("port %d\n", ntohs(address.sin_port));
  fflush(stdout);

  for (;;) {
    struct epoll_event events[512];
    int ready = epoll_wait(epoll, events, 512, -1);
    if (ready < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (c == NULL) {
        accept_one();
        continue;
      }
      if (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) c->peer_finished = true;
      if (!serve(c)) release(c);
    }
  }
}
