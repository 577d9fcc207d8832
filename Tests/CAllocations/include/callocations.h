// The allocator of a program that is linked with this: the C library's, counted. And a peer that itself allocates nothing.
#ifndef CALLOCATIONS_H
#define CALLOCATIONS_H

// What was asked of the allocator: calls of malloc, calloc, realloc, posix_memalign, aligned_alloc and memalign by any thread
// of the process, and the bytes that they asked for.
struct allocations {
  long calls, bytes;
};

// Counts from zero, from now on.
void allocations_begin(void);
// Counts no more.
struct allocations allocations_end(void);
// Prints who asked first since the counting began, as addresses and symbols.
void allocations_print_first(void);
// Whether this build counts at all: a sanitizer brings an allocator of its own.
int allocations_are_counted(void);

// Connects so many times to a port of 127.0.0.1, sends `size` bytes on each connection and waits for them to come back on
// each, `warm_up` times and then, counted, `rounds` times. Blocks its thread.
// Returns 0, or -1 with errno.
int allocations_ping(
    unsigned short port, int connections, int size, int warm_up, int rounds, struct allocations *_Nonnull counted);
// Connects to a port of 127.0.0.1 and throws away what comes until the end. Blocks its thread.
// Returns how many bytes came, or -1 with errno.
long allocations_drain(unsigned short port);

#endif
