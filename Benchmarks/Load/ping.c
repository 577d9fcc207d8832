// Ping-pong: each connection sends a message, waits until all of it has come back, and sends the next.
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

struct line {
  int fd;
  unsigned number;
  uint64_t turn, began;
  size_t sent, received;
  bool resting;
};

static struct interval interval;

static void send_rest(struct line *line, size_t size) {
  while (line->sent < size) {
    ssize_t n = send(line->fd, message(line->number, line->turn) + line->sent, size - line->sent,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) fail_call("send");
    line->sent += (size_t)n;
  }
}

static void begin_turn(struct line *line, size_t size, uint64_t now) {
  line->turn++;
  line->began = now;
  line->sent = line->received = 0;
  send_rest(line, size);
}

// Reads the received bytes. Returns true when the last byte of the turn has been read.
static bool receive_rest(struct line *line, size_t size) {
  static uint8_t buffer[1 << 16];
  while (line->received < size) {
    ssize_t n = recv(line->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return false;
    if (n < 0) fail_call("recv");
    if (n == 0) fail("the server finished in the middle of a conversation");
    if ((size_t)n > size - line->received) fail("the server sent more than it got");
    if (memcmp(buffer, message(line->number, line->turn) + line->received, (size_t)n) != 0) {
      fail("connection %u, turn %lu: the echo differs", line->number, (unsigned long)line->turn);
    }
    line->received += (size_t)n;
  }
  return true;
}

// Checks the end too: the server must answer our FIN with its own.
static void end(struct line *line) {
  uint8_t byte;
  if (shutdown(line->fd, SHUT_WR) != 0) fail_call("shutdown");
  ssize_t n = recv(line->fd, &byte, 1, 0);
  if (n < 0) fail_call("recv at the end");
  if (n > 0) fail("the server sent more than it got");
  close(line->fd);
}

void run_ping(const struct plan *plan) {
  messages_prepare(plan->size);
  int epoll = make_epoll();
  struct line *lines = calloc((size_t)plan->connections, sizeof *lines);
  if (lines == NULL) fail_call("calloc");
  for (int i = 0; i < plan->connections; i++) {
    lines[i].number = (unsigned)i;
    lines[i].fd = dial(plan->port);
    watch(epoll, lines[i].fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &lines[i]);
  }
  interval_start(&interval, plan);
  for (int i = 0; i < plan->connections; i++) begin_turn(&lines[i], plan->size, now_ns());

  int running = plan->connections;
  while (running > 0) {
    struct epoll_event events[512];
    int count = epoll_wait(epoll, events, 512, 10000);
    if (count < 0) fail_call("epoll_wait");
    if (count == 0) fail("no answer for 10 seconds on %d connections", running);
    for (int i = 0; i < count; i++) {
      struct line *line = events[i].data.ptr;
      if (line->resting) continue;
      if (line->sent < plan->size) send_rest(line, plan->size);
      if (!receive_rest(line, plan->size)) continue;
      uint64_t now = now_ns();
      if (interval_count(&interval, line->began, now)) {
        begin_turn(line, plan->size, now);
      } else {
        line->resting = true;
        running--;
      }
    }
  }
  for (int i = 0; i < plan->connections; i++) end(&lines[i]);
  interval_print(&interval, (double)interval.operations);
}
