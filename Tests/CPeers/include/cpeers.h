#ifndef CPEERS_H
#define CPEERS_H
#define _GNU_SOURCE 1
#include <sched.h>
#endif
