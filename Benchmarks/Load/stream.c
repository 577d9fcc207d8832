// Stream: a connection sends a transfer and finishes sending; the server discards it and answers, at EOF, with the
// number of bytes received (8 bytes, most significant first). Repeated until the time is over. An operation is one MiB.
#include <endian.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

static struct interval interval;

static void transfer(const struct plan *plan) {
  enum { PIECE = 1 << 18 };
  static const uint8_t piece[PIECE] = {1};
  int fd = dial(plan->port);
  for (size_t left = plan->size; left > 0;) {
    ssize_t n = send(fd, piece, left < PIECE ? left : PIECE, MSG_NOSIGNAL);
    if (n < 0) fail_call("send");
    left -= (size_t)n;
  }
  if (shutdown(fd, SHUT_WR) != 0) fail_call("shutdown");
  uint64_t answer;
  ssize_t n = recv(fd, &answer, sizeof answer, MSG_WAITALL);
  if (n < 0) fail_call("recv");
  if (n != sizeof answer) fail("the server answered %zd of 8 bytes", n);
  if (be64toh(answer) != plan->size) fail("the server counted %lu bytes", (unsigned long)be64toh(answer));
  uint8_t byte;
  n = recv(fd, &byte, 1, 0);
  if (n < 0) fail_call("recv at the end");
  if (n > 0) fail("the server sent more than the count");
  close(fd);
}

void run_stream(const struct plan *plan) {
  interval_start(&interval, plan);
  for (bool more = true; more;) {
    uint64_t began = now_ns();
    transfer(plan);
    more = interval_count(&interval, began, now_ns());
  }
  interval_print(&interval, (double)interval.operations * (double)plan->size / (1 << 20));
}
