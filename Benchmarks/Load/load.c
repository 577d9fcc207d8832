#include "load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: load ping|churn|stream|idle --port N --server PID [options]\n"
    "  --connections N   at the same time (64)\n"
    "  --size BYTES      of a message; with stream, of a transfer (64)\n"
    "  --warm-up MS      not measured (300)\n"
    "  --measure MS      (1000)\n"
    "  --at-most N       operations in the measured interval\n"
    "  --exactly N       operations in all, instead of time\n"
    "Prints one line of JSON.\n";

static uint64_t number(const char *text) {
  char *end;
  uint64_t value = strtoull(text, &end, 10);
  if (*text == '\0' || *end != '\0') fail("not a number: %s", text);
  return value;
}

int main(int count, char **words) {
  struct plan plan = {.connections = 64, .size = 64, .warm_up = 300000000, .measure = 1000000000};
  static const struct option options[] = {
      {"port", required_argument, NULL, 'p'},        {"server", required_argument, NULL, 's'},
      {"connections", required_argument, NULL, 'c'}, {"size", required_argument, NULL, 'b'},
      {"warm-up", required_argument, NULL, 'w'},     {"measure", required_argument, NULL, 'm'},
      {"at-most", required_argument, NULL, 'a'},     {"exactly", required_argument, NULL, 'e'},
      {"help", no_argument, NULL, 'h'},              {NULL, 0, NULL, 0},
  };
  for (int option; (option = getopt_long(count, words, "h", options, NULL)) != -1;) {
    switch (option) {
      case 'p': plan.port = (int)number(optarg); break;
      case 's': plan.server = (pid_t)number(optarg); break;
      case 'c': plan.connections = (int)number(optarg); break;
      case 'b': plan.size = number(optarg); break;
      case 'w': plan.warm_up = number(optarg) * 1000000; break;
      case 'm': plan.measure = number(optarg) * 1000000; break;
      case 'a': plan.at_most = number(optarg); break;
      case 'e': plan.exactly = number(optarg); break;
      case 'h': fputs(usage_text, stdout); return 0;
      default: fputs(usage_text, stderr); return 2;
    }
  }
  if (optind + 1 != count || plan.port < 1 || plan.server < 1 || plan.connections < 1 || plan.size < 1) {
    fputs(usage_text, stderr);
    return 2;
  }

  // Each connection needs a descriptor, so the limit is raised as far as allowed.
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }

  // Ends the program if anything hangs.
  alarm((unsigned)((plan.warm_up + plan.measure) / 1000000000) + 60);

  const char *work = words[optind];
  if (strcmp(work, "ping") == 0) {
    run_ping(&plan);
  } else if (strcmp(work, "churn") == 0) {
    run_churn(&plan);
  } else if (strcmp(work, "stream") == 0) {
    run_stream(&plan);
  } else if (strcmp(work, "idle") == 0) {
    run_idle(&plan);
  } else {
    fail("no such work: %s", work);
  }
  return 0;
}
