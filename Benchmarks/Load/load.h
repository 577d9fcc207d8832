// The load generator: one program for every server, one thread, epoll.
//
// It checks every byte that comes back. A server that answers wrongly, resets a connection or falls silent ends the
// program with status 1 and a sentence on stderr.
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// What the command line asks for.
struct plan {
  int port;
  pid_t server;
  int connections;
  size_t size;        // bytes of a message; in `stream`, of a whole transfer
  uint64_t warm_up;   // nanoseconds
  uint64_t measure;   // nanoseconds
  uint64_t at_most;   // operations in the measured interval; 0 for no bound
  uint64_t exactly;   // operations in all, without a warm-up; 0 to go by time
};

// Latencies in buckets, each less than one percent wide.
struct histogram {
  uint64_t counts[64 * 128];
  uint64_t total;
};

void histogram_add(struct histogram *h, uint64_t nanoseconds);
double histogram_quantile(const struct histogram *h, double q);

// What the threads of a process have used so far.
struct usage {
  uint64_t on_cpu;   // nanoseconds, in user space and in the kernel
  uint64_t waiting;  // nanoseconds ready to run while something else had the core
};

struct usage usage_of(pid_t process);

// Resident memory of the server, in KiB.
struct memory {
  uint64_t rss, pss, private;
};

struct memory server_memory(pid_t server);
int server_descriptors(pid_t server);

// Warm-up, measured interval, end: the same for every work that is measured by time.
struct interval {
  const struct plan *plan;
  enum { WARMING, MEASURING, OVER } phase;
  uint64_t warm_at, over_at, began, ended;
  struct usage before, after, load_before, load_after;
  uint64_t operations;
  struct histogram latencies;
};

void interval_start(struct interval *i, const struct plan *plan);
// Counts one operation. False when no further one should begin.
bool interval_count(struct interval *i, uint64_t began, uint64_t now);
void interval_print(const struct interval *i, double operations);

uint64_t now_ns(void);
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fail_call(const char *call);

// A connected stream. Its source address is one of many in 127/8, so that ports last however many connections are made.
int dial(int port);
int make_epoll(void);
void watch(int epoll, int fd, uint32_t events, void *owner);

// `size` bytes that differ with the connection and the turn; valid until the next call of `messages_prepare`.
void messages_prepare(size_t size);
const uint8_t *message(unsigned connection, uint64_t turn);

void run_ping(const struct plan *plan);
void run_churn(const struct plan *plan);
void run_stream(const struct plan *plan);
void run_idle(const struct plan *plan);

#endif
