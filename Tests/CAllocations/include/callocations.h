// Counts the calls of the C library's allocator in a program that links this library, and provides a peer that makes no
// allocations.
#ifndef CALLOCATIONS_H
#define CALLOCATIONS_H

// The calls of malloc, calloc, realloc, posix_memalign, aligned_alloc and memalign by any thread of the process, and
// the bytes that they requested.
struct allocations {
  long calls, bytes;
};

// Sets the counters to zero and begins counting.
void allocations_begin(void);
// Stops counting and returns the counters.
struct allocations allocations_end(void);
// Prints the backtrace of the first counted call, as addresses and symbols.
void allocations_print_first(void);
// Whether this build counts at all: a sanitizer replaces the allocator.
int allocations_are_counted(void);

// Makes `connections` connections to a port of 127.0.0.1, sends `size` bytes on each and waits for the echo on each,
// first `warm_up` times, then `rounds` times with counting. Blocks its thread.
// Returns 0, or -1 with errno.
int allocations_ping(
    unsigned short port, int connections, int size, int warm_up, int rounds, struct allocations *_Nonnull counted);
// Connects to a port of 127.0.0.1, receives until EOF and discards the bytes. Blocks its thread.
// Returns the number of bytes, or -1 with errno.
long allocations_drain(unsigned short port);

#endif
