// Measures time, latencies, and the server's processor time and memory as the kernel reports them.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void fail(const char *format, ...) {
  va_list words;
  va_start(words, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, words);
  fputc('\n', stderr);
  va_end(words);
  exit(1);
}

void fail_call(const char *call) { fail("%s: %s", call, strerror(errno)); }

// The bucket of a value: 128 buckets for each power of two from 128 on, and one for each nanosecond below.
static unsigned bucket(uint64_t value) {
  if (value < 128) return (unsigned)value;
  unsigned shift = 63 - (unsigned)__builtin_clzll(value) - 7;
  return (shift + 1) * 128 + (unsigned)((value >> shift) - 128);
}

static double bucket_middle(unsigned index) {
  if (index < 128) return index;
  unsigned shift = index / 128 - 1;
  return ((double)(128 + index % 128) + 0.5) * (double)(1ull << shift);
}

void histogram_add(struct histogram *h, uint64_t nanoseconds) {
  h->counts[bucket(nanoseconds)]++;
  h->total++;
}

double histogram_quantile(const struct histogram *h, double q) {
  uint64_t rank = (uint64_t)((double)h->total * q), seen = 0;
  for (unsigned i = 0; i < sizeof h->counts / sizeof h->counts[0]; i++) {
    seen += h->counts[i];
    if (seen > rank) return bucket_middle(i);
  }
  return 0;
}

// Sums over the existing threads. The time of a thread that has ended is missing, so a server that ended threads during
// the measurement would look too cheap. None of these servers does.
struct usage usage_of(pid_t process) {
  char path[320];
  snprintf(path, sizeof path, "/proc/%d/task", (int)process);
  DIR *threads = opendir(path);
  if (threads == NULL) fail_call("the server is gone: opendir");
  struct usage sum = {0};
  for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)process, entry->d_name);
    FILE *file = fopen(path, "r");
    if (file == NULL) continue;
    uint64_t on_cpu, waiting;
    if (fscanf(file, "%" SCNu64 " %" SCNu64, &on_cpu, &waiting) == 2) {
      sum.on_cpu += on_cpu;
      sum.waiting += waiting;
    }
    fclose(file);
  }
  closedir(threads);
  return sum;
}

struct memory server_memory(pid_t server) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)server);
  FILE *file = fopen(path, "r");
  if (file == NULL) fail_call(path);
  struct memory sum = {0};
  while (fgets(line, sizeof line, file) != NULL) {
    uint64_t kib;
    if (sscanf(line, "Rss: %" SCNu64, &kib) == 1) sum.rss = kib;
    if (sscanf(line, "Pss: %" SCNu64, &kib) == 1) sum.pss = kib;
    if (sscanf(line, "Private_Clean: %" SCNu64, &kib) == 1) sum.private += kib;
    if (sscanf(line, "Private_Dirty: %" SCNu64, &kib) == 1) sum.private += kib;
  }
  fclose(file);
  return sum;
}

int server_descriptors(pid_t server) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd", (int)server);
  DIR *folder = opendir(path);
  if (folder == NULL) fail_call(path);
  int count = 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) count += isdigit((unsigned char)entry->d_name[0]) != 0;
  closedir(folder);
  return count;
}

void interval_start(struct interval *i, const struct plan *plan) {
  memset(i, 0, sizeof *i);
  i->plan = plan;
  i->phase = WARMING;
  i->warm_at = now_ns() + (plan->exactly > 0 ? 0 : plan->warm_up);
}

bool interval_count(struct interval *i, uint64_t began, uint64_t now) {
  const struct plan *plan = i->plan;
  if (i->phase == WARMING && now >= i->warm_at) {
    // The operations in flight here began in the warm-up and end in the interval. At the end of the interval it is the
    // reverse, so the two roughly cancel.
    i->phase = MEASURING;
    i->load_before = usage_of(getpid());
    i->before = usage_of(plan->server);
    i->began = now_ns();
    i->over_at = plan->exactly > 0 ? UINT64_MAX : i->began + plan->measure;
    if (plan->exactly == 0) return true;
  }
  if (i->phase == MEASURING) {
    i->operations++;
    histogram_add(&i->latencies, now - began);
    bool enough = (plan->exactly > 0 && i->operations >= plan->exactly) ||
                  (plan->at_most > 0 && i->operations >= plan->at_most);
    if (now >= i->over_at || enough) {
      i->phase = OVER;
      i->ended = now_ns();
      i->after = usage_of(plan->server);
      i->load_after = usage_of(getpid());
    }
  }
  return i->phase != OVER;
}

void interval_print(const struct interval *i, double operations) {
  if (i->phase != OVER) fail("the measured interval did not end");
  double seconds = (double)(i->ended - i->began) / 1e9;
  double cpu = (double)(i->after.on_cpu - i->before.on_cpu);
  double waiting = (double)(i->after.waiting - i->before.waiting);
  printf("{\"operations\": %.3f, \"seconds\": %.6f, \"cpu_ns\": %.2f, \"per_second\": %.2f, ", operations, seconds,
         cpu / operations, operations / seconds);
  printf("\"p50_us\": %.3f, \"p99_us\": %.3f, ", histogram_quantile(&i->latencies, 0.50) / 1e3,
         histogram_quantile(&i->latencies, 0.99) / 1e3);
  printf("\"busy\": %.4f, \"disturbed\": %.4f, ", cpu / 1e9 / seconds, waiting / 1e9 / seconds);
  printf("\"load_busy\": %.4f, \"load_disturbed\": %.4f, ",
         (double)(i->load_after.on_cpu - i->load_before.on_cpu) / 1e9 / seconds,
         (double)(i->load_after.waiting - i->load_before.waiting) / 1e9 / seconds);
  struct memory memory = server_memory(i->plan->server);
  printf("\"rss_kib\": %" PRIu64 ", \"private_kib\": %" PRIu64 "}\n", memory.rss, memory.private);
}
