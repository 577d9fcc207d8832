// Churn: connect, send a message, read its echo, finish sending, read the server's EOF, close. An operation is one
// connection.
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

struct visit {
  int fd;
  unsigned number;
  uint64_t turn, began;
  size_t received;
};

static struct interval interval;
static int epoll;

static void begin(struct visit *visit, const struct plan *plan, uint64_t now) {
  visit->turn++;
  visit->began = now;
  visit->received = 0;
  visit->fd = dial(plan->port);
  watch(epoll, visit->fd, EPOLLIN | EPOLLRDHUP | EPOLLET, visit);
  ssize_t n = send(visit->fd, message(visit->number, visit->turn), plan->size, MSG_NOSIGNAL);
  if (n != (ssize_t)plan->size) fail_call("send");
}

// Returns true when the server's EOF has been read.
static bool go_on(struct visit *visit, const struct plan *plan) {
  uint8_t buffer[4096];
  for (;;) {
    ssize_t n = recv(visit->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return false;
    if (n < 0) fail_call("recv");
    if (n == 0 && visit->received < plan->size) fail("the server finished before it had answered");
    if (n == 0) return true;
    if ((size_t)n > plan->size - visit->received) fail("the server sent more than it got");
    if (memcmp(buffer, message(visit->number, visit->turn) + visit->received, (size_t)n) != 0) {
      fail("visit %u: the echo differs", visit->number);
    }
    visit->received += (size_t)n;
    if (visit->received == plan->size && shutdown(visit->fd, SHUT_WR) != 0) fail_call("shutdown");
  }
}

void run_churn(const struct plan *plan) {
  if (plan->size > 4096) fail("a message of churn has 4096 bytes at most");
  messages_prepare(plan->size);
  epoll = make_epoll();
  struct visit *visits = calloc((size_t)plan->connections, sizeof *visits);
  if (visits == NULL) fail_call("calloc");
  interval_start(&interval, plan);
  for (int i = 0; i < plan->connections; i++) {
    visits[i].number = (unsigned)i;
    begin(&visits[i], plan, now_ns());
  }
  int running = plan->connections;
  while (running > 0) {
    struct epoll_event events[256];
    int count = epoll_wait(epoll, events, 256, 10000);
    if (count < 0) fail_call("epoll_wait");
    if (count == 0) fail("no answer for 10 seconds on %d connections", running);
    for (int i = 0; i < count; i++) {
      struct visit *visit = events[i].data.ptr;
      if (!go_on(visit, plan)) continue;
      close(visit->fd);
      uint64_t now = now_ns();
      if (interval_count(&interval, visit->began, now)) {
        begin(visit, plan, now);
      } else {
        running--;
      }
    }
  }
  interval_print(&interval, (double)interval.operations);
}
