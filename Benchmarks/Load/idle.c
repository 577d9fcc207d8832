// Idle: measures the server's memory while many connections are open and silent, and the server waits for a byte on
// each. Then each connection exchanges one message and is closed in good order.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

static void pause_ms(long ms) { nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL); }

// Waits until the server has used almost no processor time for 50 ms.
static void wait_until_still(pid_t server) {
  for (int tries = 0; tries < 100; tries++) {
    uint64_t before = usage_of(server).on_cpu;
    pause_ms(50);
    if (usage_of(server).on_cpu - before < 1000000) return;
  }
  fail("the server is busy for 5 seconds with connections that are silent");
}

static void exchange(int fd, unsigned number, size_t size) {
  uint8_t buffer[4096];
  if (send(fd, message(number, 0), size, MSG_NOSIGNAL) != (ssize_t)size) fail_call("send");
  ssize_t n = recv(fd, buffer, size, MSG_WAITALL);
  if (n < 0) fail_call("recv");
  if (n != (ssize_t)size) fail("connection %u: the echo has %zd bytes", number, n);
  if (memcmp(buffer, message(number, 0), size) != 0) fail("connection %u: the echo differs", number);
}

static void end(int fd) {
  uint8_t byte;
  if (shutdown(fd, SHUT_WR) != 0) fail_call("shutdown");
  ssize_t n = recv(fd, &byte, 1, 0);
  if (n < 0) fail_call("recv at the end");
  if (n > 0) fail("the server sent more than it got");
  close(fd);
}

void run_idle(const struct plan *plan) {
  if (plan->size > 4096) fail("a message of idle has 4096 bytes at most");
  messages_prepare(plan->size);
  int *fds = calloc((size_t)plan->connections, sizeof *fds);
  if (fds == NULL) fail_call("calloc");

  // Warms up, so that memory that the server allocates once, with its first connections, is not counted.
  for (int i = 0; i < 64; i++) {
    int fd = dial(plan->port);
    exchange(fd, 0, plan->size);
    end(fd);
  }
  wait_until_still(plan->server);
  int descriptors = server_descriptors(plan->server);
  struct memory before = server_memory(plan->server);

  uint64_t began = now_ns();
  for (int i = 0; i < plan->connections; i++) {
    fds[i] = dial(plan->port);
    // At most 100 connections wait for accept: the shortest accept queue among the servers holds no more.
    if (i % 100 != 99 && i + 1 != plan->connections) continue;
    for (int tries = 0; server_descriptors(plan->server) < descriptors + i + 1; tries++) {
      if (tries == 5000) fail("of %d connections the server did not accept all in time", i + 1);
      pause_ms(1);
    }
  }
  double seconds = (double)(now_ns() - began) / 1e9;
  wait_until_still(plan->server);
  struct memory open = server_memory(plan->server);

  struct usage usage_before = usage_of(plan->server);
  for (int i = 0; i < plan->connections; i++) exchange(fds[i], (unsigned)i, plan->size);
  wait_until_still(plan->server);
  struct usage usage_after = usage_of(plan->server);
  struct memory used = server_memory(plan->server);
  for (int i = 0; i < plan->connections; i++) end(fds[i]);
  wait_until_still(plan->server);
  struct memory ended = server_memory(plan->server);

  double count = plan->connections;
  printf("{\"connections\": %d, \"opening_seconds\": %.3f, ", plan->connections, seconds);
  printf("\"rss_before_kib\": %" PRIu64 ", \"rss_kib\": %" PRIu64 ", ", before.rss, open.rss);
  printf("\"private_kib\": %" PRIu64 ", \"rss_ended_kib\": %" PRIu64 ", ", open.private, ended.rss);
  printf("\"bytes_idle\": %.1f, \"bytes_idle_pss\": %.1f, \"bytes_idle_private\": %.1f, \"bytes_used\": %.1f, ",
         ((double)open.rss - (double)before.rss) * 1024 / count, ((double)open.pss - (double)before.pss) * 1024 / count,
         ((double)open.private - (double)before.private) * 1024 / count,
         ((double)used.rss - (double)before.rss) * 1024 / count);
  printf("\"cpu_ns\": %.2f}\n", (double)(usage_after.on_cpu - usage_before.on_cpu) / count);
}
